"""The status page, with a year of history: how long it takes to make.

    python -m benchmarks.status_page [--runs-a-day 48] [--repeat 5] [--work DIR]

Builds a small embedded lake over a year of days, then gives it so many recorded runs a day and
their nodes, as the project's hooks would have written them. Reports whole processes, from start to
end.
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

from benchmarks.first_load import lake
from lotus_lake.config import LakeConfig
from lotus_lake.connection import ALIAS, attach, attach_sql, prepare
from lotus_lake.sample import generate

PROJECT = Path(__file__).resolve().parent.parent
DBT = str(Path(sys.executable).with_name("dbt"))
_DAYS = 365

# The first recorded run and its nodes, again and again: one statement for each of the tables.
_YEAR = """
create temp table ticks as
select md5(tick::varchar) as invocation_id, started_at
from (
    select
        range as tick,
        now() - interval 365 day + range * interval 365 day / {runs} as started_at
    from range({runs})
);
insert into {alias}.meta.invocations
select runs.* replace (
    ticks.invocation_id as invocation_id,
    ticks.started_at as started_at,
    ticks.started_at + interval 12 second as finished_at
)
from ticks, (from {alias}.meta.invocations limit 1) as runs;
insert into {alias}.meta.node_results
select nodes.* replace (ticks.invocation_id as invocation_id, ticks.started_at as finished_at)
from ticks, {alias}.meta.node_results as nodes;
"""


def main() -> None:
    """Run the benchmark and print what it measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs-a-day", type=int, default=48)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()

    landing = work / "status_landing"
    shutil.rmtree(landing, ignore_errors=True)
    generate(landing, orders=10_000, days=_DAYS, seed=3, start=date(2025, 1, 1))
    environment = lake(work, landing, name="status")
    print("building ...", flush=True)
    while True:
        built = subprocess.run([DBT, "--quiet", "build"], env=environment, cwd=PROJECT, check=True)
        if built.returncode == 0 and not waiting(environment):
            break
    make_history(environment, arguments.runs_a_day * _DAYS)

    seconds = []
    for _ in range(arguments.repeat):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "scripts/docs.py", "--status", "--out", str(work / "site")],
            env=environment,
            cwd=PROJECT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds.append(time.perf_counter() - started)
    Console().print(
        f"The status page of a year, {arguments.runs_a_day * _DAYS:,} runs: "
        f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})",
        highlight=False,
    )


def waiting(environment: dict[str, str]) -> bool:
    """Whether files wait for another run."""
    code = "from benchmarks.lake import waiting; print(waiting())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=PROJECT, check=True, capture_output=True
    )
    return int(done.stdout) > 0


def make_history(environment: dict[str, str], runs: int) -> None:
    """Give the lake that many recorded runs, with the nodes of the one that built it."""
    import duckdb

    os.environ.update(environment)
    config = LakeConfig.from_env()
    with duckdb.connect() as connection:
        prepare(connection, config)
        attach(connection, config, attach_sql(config, ALIAS))
        for statement in _YEAR.format(alias=ALIAS, runs=runs).split(";"):
            if statement.strip():
                connection.execute(statement)


if __name__ == "__main__":
    main()
