"""First load of a large landing zone: the lake against two floors, in one run, as ratios.

Writes a sample landing zone once, then loads it with `benchmarks/floor.py` (plain DuckDB written
by hand, and only its reading and writing of staging) and with the lake, in turns, each in a process
of its own and into an empty lake. Ratios are of processor time in the same turn; dbt's start-up is
not counted. Needs about 5 GB of disk for a million orders.
"""

from __future__ import annotations

import json
import statistics
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.harness import fresh, lake, parser, run, show
from sample import Delivery, generate

NO_UNIT_TESTS = ["--exclude-resource-type", "unit_test"]
RUNS = {
    "physical": "staging alone: plain DuckDB",
    "floor": "floor: plain DuckDB, written by hand",
    "tables": "dbt build, tables only",
    "build": "dbt build, with data tests",
}


def main() -> None:
    options = parser(__doc__, repeat=2)
    options.add_argument("--orders", type=int, default=1_000_000)
    options.add_argument("--days", type=int, default=60)
    arguments = options.parse_args()
    work = arguments.work.resolve()
    landing = work / f"landing_{arguments.orders}_{arguments.days}"
    if not landing.exists():
        print(f"writing {arguments.orders:,} orders to {landing} ...", flush=True)
        remove_odd_files(
            generate(
                landing,
                orders=arguments.orders,
                days=arguments.days,
                seed=1,
                start=date(2025, 1, 1),
            )
        )
    turns = []
    for turn in range(arguments.repeat):
        turns.append({name: measure(name, work, landing) for name in RUNS})
        print(f"turn {turn + 1}: {turns[-1]}", flush=True)
    title = f"first load of {arguments.orders:,} orders, medians of {len(turns)} turns"
    columns = ("what", "seconds", "processor s", "ratio", "rounds", "peak MB", "total sales")
    show(title, columns, (figures(name, turns) for name in RUNS))


def remove_odd_files(delivery: Delivery) -> None:
    """Remove files of which a column has another type than usual.

    The lake converts them; a plain script that reads them has to fail.
    """
    usual: dict[tuple[str, str], int] = {}
    for file in reversed(delivery.files):
        if ".parquet" in file.path:  # a clash of names makes it .parquet-1
            for field in pq.read_schema(delivery.out / file.path):
                if usual.setdefault((file.stream, field.name), field.type.id) != field.type.id:
                    (delivery.out / file.path).unlink(missing_ok=True)


def measure(name: str, work: Path, landing: Path) -> dict[str, float]:
    """Load everything in one of the ways; its last line of output is its figures."""
    if name in ("physical", "floor"):
        command = ["-m", "benchmarks.floor", str(landing), str(fresh(work / name))]
        done = run([sys.executable, *command, *(["--physical"] if name == "physical" else [])])
    else:
        tests = ["--exclude-resource-type", "test"] if name == "tables" else []
        command = ["-m", "benchmarks.lake", "build", *NO_UNIT_TESTS, *tests]
        done = run([sys.executable, *command], lake(work, landing))
    found: dict[str, float] = json.loads(done.output.strip().splitlines()[-1])
    return found


def figures(name: str, turns: list[dict[str, dict[str, float]]]) -> list[str]:
    """A row of the table: medians over the turns."""
    runs, used = [turn[name] for turn in turns], "processor_seconds"
    return [
        RUNS[name],
        f"{statistics.median(run['seconds'] for run in runs):.1f}",
        f"{statistics.median(run[used] for run in runs):.1f}",
        f"{statistics.median(turn[name][used] / turn['floor'][used] for turn in turns):.2f}",
        f"{runs[0].get('rounds', '')}",
        f"{max(run['peak_mb'] for run in runs):,.0f}",
        f"{runs[0].get('total_sales', '')}",
    ]


if __name__ == "__main__":
    main()
