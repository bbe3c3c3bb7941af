"""Threads of one build, and builds side by side: how long, and how many end well.

    python -m benchmarks.concurrency [--threads 1 2 4] [--jobs 2 4] [--retries 10 100]
                                     [--repeat 3] [--work DIR]

Makes an embedded lake, and one with its catalog in PostgreSQL and its data in S3 (the servers of
the tests). Then, in turns, one new file lands in each stream, and one `dbt build` takes them, with
each number of threads; or several `dbt build` of different streams, started together and without
the scheduler's lock, take them, with each setting of DuckLake's `ducklake_max_retry_count`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.first_load import fresh, lake
from benchmarks.idle_tick import DBT, PROJECT, production
from benchmarks.ticks import add_files
from lotus_lake.sample import generate

BUILD = [DBT, "--quiet", "build", "--exclude-resource-type", "unit_test"]
# Different streams, which meet in dim_customers, in the facts and in the bookkeeping.
SELECTIONS = (
    "stg_shopify__orders+",
    "stg_klaviyo__events+ stg_klaviyo__profiles+",
    "stg_shopify__customers+ stg_shopify__order_refunds+",
    "stg_klaviyo__campaigns+ stg_klaviyo__flows+ stg_klaviyo__lists+",
)


@dataclass
class Place:
    """A lake, its landing zone, and how often something has landed there."""

    name: str
    environment: dict[str, str]
    landing: Path
    deliveries: int = 0

    def deliver(self) -> None:
        """One new file in each Airbyte stream."""
        add_files(self.landing, self.deliveries)
        self.deliveries += 1


@dataclass
class Figures:
    """What one setting took.

    Args:
        seconds: Of each turn, until the last of its builds had ended.
        builds: How many builds were started.
        well: How many of them ended well.
    """

    seconds: list[float] = field(default_factory=list)
    builds: int = 0
    well: int = 0


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--jobs", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--retries", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()

    sqlite_landing, postgres_landing = (make_landing(work, name) for name in ("sqlite", "postgres"))
    embedded = Place(
        "SQLite, local", lake(work, sqlite_landing, "concurrency_sqlite"), sqlite_landing
    )
    with production(work, postgres_landing, "concurrency_postgres") as environment:
        environment["LAKE_LANDING_URL"] = str(postgres_landing)
        served = Place("PostgreSQL, S3", environment, postgres_landing)
        figures: dict[tuple[str, str], Figures] = {}
        for place in (embedded, served):
            print(f"feeding: {place.name} ...", flush=True)
            assert run(place, [BUILD])[1] == 1, "the first build failed"
        for turn in range(arguments.repeat):
            for place in (embedded, served):
                for threads in arguments.threads:
                    label = f"one build, {threads} threads"
                    builds = [[*BUILD, "--threads", str(threads)]]
                    add(figures.setdefault((place.name, label), Figures()), place, builds)
                for jobs in arguments.jobs:
                    for retries in arguments.retries:
                        label = f"{jobs} builds, retry count {retries}"
                        options = ["--profiles-dir", str(profiles(work, retries)), "--select"]
                        builds = [[*BUILD, *options, *one.split()] for one in SELECTIONS[:jobs]]
                        add(figures.setdefault((place.name, label), Figures()), place, builds)
            print(f"turn {turn + 1} of {arguments.repeat}", flush=True)
    show(figures)


def make_landing(work: Path, name: str) -> Path:
    """A small shop's landing zone."""
    landing = fresh(work / f"concurrency_landing_{name}")
    generate(landing, orders=600, days=30, seed=2, start=date(2025, 1, 1))
    return landing


def profiles(work: Path, retries: int) -> Path:
    """The project's profile with another setting of DuckLake's retries."""
    folder = work / f"concurrency_profiles_{retries}"
    folder.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load((PROJECT / "profiles.yml").read_bytes())
    for output in content["lotus_lake"]["outputs"].values():
        output["settings"] = {**output["settings"], "ducklake_max_retry_count": retries}
    (folder / "profiles.yml").write_text(yaml.safe_dump(content))
    return folder


def add(figures: Figures, place: Place, builds: list[list[str]]) -> None:
    """Deliver, run builds side by side, and note what they took."""
    place.deliver()
    seconds, well = run(place, builds)
    figures.seconds.append(seconds)
    figures.builds += len(builds)
    figures.well += well


def run(place: Place, builds: list[list[str]]) -> tuple[float, int]:
    """Seconds until the last build has ended, and how many ended well."""
    started = time.perf_counter()
    processes = []
    for number, command in enumerate(builds):
        target = place.environment["DBT_TARGET_PATH"]
        environment = {**place.environment, "DBT_TARGET_PATH": f"{target}_{number}"}
        quiet = subprocess.DEVNULL
        processes.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
    well = sum(process.wait() == 0 for process in processes)
    return time.perf_counter() - started, well


def show(figures: dict[tuple[str, str], Figures]) -> None:
    """Print medians and how many builds ended well."""
    table = Table(title="builds with one new file a stream, whole processes, medians")
    for column in ("lake", "builds", "seconds", "ended well"):
        table.add_column(column, justify="right" if column in ("seconds", "ended well") else "left")
    for (place, label), one in figures.items():
        seconds = f"{statistics.median(one.seconds):.1f}"
        table.add_row(place, label, seconds, f"{one.well} of {one.builds}")
    Console().print(table)


if __name__ == "__main__":
    main()
