"""First load of a large landing zone: the lake against a floor, in one run, as a ratio.

    python -m benchmarks.first_load [--orders 1000000] [--days 60] [--repeat 2] [--work DIR]

Writes a sample landing zone once, then loads it with `benchmarks/floor.py` (plain DuckDB written by
hand) and with the lake, in turns, each in a process of its own and into an empty lake. Ratios are
of processor time in the same turn; dbt's start-up is not counted. Needs about 5 GB of disk for a
million orders.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.harness import fresh, lake, run
from sample import Delivery, generate

NO_UNIT_TESTS = ["--exclude-resource-type", "unit_test"]
RUNS = {
    "floor": "floor: plain DuckDB, written by hand",
    "tables": "dbt build, tables only",
    "build": "dbt build, with data tests",
}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=2, help="turns of floor and lake")
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    arguments = parser.parse_args()
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
    show(turns, arguments.orders)


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
    if name == "floor":
        command = ["-m", "benchmarks.floor", str(landing), str(fresh(work / name))]
        done = run([sys.executable, *command])
    else:
        tests = ["--exclude-resource-type", "test"] if name == "tables" else []
        command = ["-m", "benchmarks.lake", "build", *NO_UNIT_TESTS, *tests]
        done = run([sys.executable, *command], lake(work, landing))
    figures: dict[str, float] = json.loads(done.output.strip().splitlines()[-1])
    return figures


def show(turns: list[dict[str, dict[str, float]]], orders: int) -> None:
    """Print the medians over the turns."""
    table = Table("what", title=f"first load of {orders:,} orders, medians of {len(turns)} turns")
    for column in ("seconds", "processor s", "ratio", "rounds", "peak memory, MB", "total sales"):
        table.add_column(column, justify="right")
    for name, label in RUNS.items():
        ratios = [
            turn[name]["processor_seconds"] / turn["floor"]["processor_seconds"] for turn in turns
        ]
        table.add_row(
            label,
            f"{statistics.median(turn[name]['seconds'] for turn in turns):.1f}",
            f"{statistics.median(turn[name]['processor_seconds'] for turn in turns):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{turns[0][name].get('rounds', '')}",
            f"{max(turn[name]['peak_mb'] for turn in turns):,.0f}",
            f"{turns[0][name].get('total_sales', '')}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
