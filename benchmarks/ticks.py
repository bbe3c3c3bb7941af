"""A tick with one new file a stream, after few and after many files were fed.

    python -m benchmarks.ticks [--files 200 5000] [--repeat 5] [--work DIR]

Makes a lake for each number of files (of each busy stream), feeds them, and then runs ticks in
turns over the lakes: one new file a stream each, and one with nothing new. Reports dbt's own time
and the whole process's, as ratios to the first lake, and the snapshots that an empty tick wrote.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.first_load import lake
from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect
from lotus_lake.sample import generate

# Files that the sample writes for a busy stream such as shopify/orders, per day of history.
FILES_PER_DAY = 2.1


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, nargs="+", default=[200, 5000])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--orders-per-day", type=int, default=20, help="how much is in a file")
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()

    lakes = {count: prepare(work, count, arguments.orders_per_day) for count in arguments.files}
    seconds: dict[int, dict[str, list[float]]] = {
        count: {"new": [], "nothing": []} for count in lakes
    }
    written: dict[int, int] = {}
    for turn in range(arguments.repeat):
        for count, environment in lakes.items():
            add_files(Path(environment["LAKE_LANDING_URL"]), turn)
            seconds[count]["new"].append(tick(environment))
            before = snapshots(environment)
            seconds[count]["nothing"].append(tick(environment))
            written[count] = written.get(count, 0) + snapshots(environment) - before
        print(
            f"turn {turn + 1}: {[(count, seconds[count]['new'][-1]) for count in lakes]}",
            flush=True,
        )
    show(seconds, written)


def prepare(work: Path, count: int, orders_per_day: int) -> dict[str, str]:
    """A lake that has fed about so many files of each busy stream."""
    landing = work / f"ticks_{count}_landing"
    shutil.rmtree(landing, ignore_errors=True)
    days = max(7, round(count / FILES_PER_DAY))
    print(f"making a lake with {count:,} files a stream ({days:,} days) ...", flush=True)
    generate(landing, orders=days * orders_per_day, days=days, seed=2, start=date(2015, 1, 1))
    environment = lake(work, landing, name=f"ticks_{count}")
    tick(environment, "--vars", "{feed_max_files: 100000, feed_max_bytes: 100000000000}")
    return environment


def add_files(landing: Path, turn: int) -> None:
    """One new file in each Airbyte stream: its newest file once more, under a new name."""
    for stream in sorted(landing.glob("*/*")):
        files = sorted(stream.rglob("*.parquet"))
        if files:
            newest = [file for file in files if "tick_" not in file.name][-1]
            shutil.copy(newest, newest.with_name(f"tick_{turn}.parquet"))


def tick(environment: dict[str, str], *arguments: str) -> float:
    """One `dbt build` as the scheduler starts it, without unit tests; seconds of the process."""
    started = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "--quiet", "build"]
        + ["--exclude-resource-type", "unit_test", *arguments],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def snapshots(environment: dict[str, str]) -> int:
    """The lake's newest snapshot."""
    connection = connect(LakeConfig.from_env({**os.environ, **environment}))
    found = connection.execute(
        "select max(snapshot_id) from ducklake_snapshots('lakehouse')"
    ).fetchone()
    connection.close()
    return int(found[0]) if found else 0


def show(seconds: dict[int, dict[str, list[float]]], written: dict[int, int]) -> None:
    """Print the medians, and their ratios to the first lake's."""
    table = Table(title="ticks, whole processes, medians")
    for column in (
        "files fed a stream",
        "one new file each, s",
        "ratio",
        "nothing new, s",
        "snapshots",
    ):
        table.add_column(column, justify="right")
    base = next(iter(seconds.values()))
    for count, figures in seconds.items():
        ratios = [new / first for new, first in zip(figures["new"], base["new"], strict=True)]
        table.add_row(
            f"{count:,}",
            f"{statistics.median(figures['new']):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{statistics.median(figures['nothing']):.1f}",
            f"{written[count]}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
