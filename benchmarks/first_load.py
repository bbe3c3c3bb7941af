"""First load of a large landing zone: the lake against the floor, in one run, as ratios.

    python -m benchmarks.first_load [--orders 1000000] [--days 60] [--repeat 2] [--work DIR]

Writes a sample landing zone once, then loads it with benchmarks/floor.py and with the lake in
turns, each in a process of its own and into an empty lake. A ratio is the lake's time over the
floor's of the same turn; dbt's start-up is not counted. Needs about 5 GB of disk for a million
orders.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lotus_lake.sample import generate

# The first writes what the floor writes (with ledger and positions), the second tests it too.
LAKE_RUNS = {
    "tables": (
        "dbt build, tables only",
        ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"],
    ),
    "build": ("dbt build, with data tests", ["--exclude-resource-type", "unit_test"]),
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
        delivery = generate(
            landing, orders=arguments.orders, days=arguments.days, seed=1, start=date(2025, 1, 1)
        )
        # The lake converts these files; a plain script that reads them has to fail.
        for file in delivery.files:
            if any(case.startswith(("struct_as_json", "number_as")) for case in file.cases):
                (landing / file.path).unlink()

    compiled = compile_models(work)
    rows = []
    for turn in range(arguments.repeat):
        floor = run(
            ["-m", "benchmarks.floor", str(landing), str(fresh(work / "floor")), str(compiled)]
        )
        print(f"turn {turn + 1}: floor {floor}", flush=True)
        figures = {"floor": floor}
        for name, (label, options) in LAKE_RUNS.items():
            figures[name] = run(["-m", "benchmarks.lake", "build", *options], lake(work, landing))
            print(f"turn {turn + 1}: {label} {figures[name]}", flush=True)
        rows.append(figures)
    show(rows, arguments.orders)


def compile_models(work: Path) -> Path:
    """The models' SQL as a full build runs it; returns the manifest that has it."""
    place = fresh(work / "compiled")
    environment = lake(work, fresh(work / "nothing"), name="compiled")
    subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "--quiet", "compile"],
        env=environment,
        check=True,
    )
    return place / "target" / "manifest.json"


def lake(work: Path, landing: Path, name: str = "lake") -> dict[str, str]:
    """The environment of a lake that does not exist yet."""
    place = fresh(work / name)
    return {
        **os.environ,
        "LAKE_LANDING_URL": str(landing),
        "LAKE_CATALOG": f"sqlite:{place}/catalog.sqlite",
        "LAKE_DATA_URL": f"{place}/data/",
        "LAKE_TEMP_DIR": f"{place}/tmp",
        "DBT_TARGET_PATH": f"{place}/target",
        "DBT_LOG_PATH": f"{place}/logs",
    }


def fresh(place: Path) -> Path:
    """A path at which nothing is."""
    shutil.rmtree(place, ignore_errors=True)
    return place


def run(command: list[str], environment: dict[str, str] | None = None) -> dict[str, float]:
    """Run a benchmark script; its last line of output is its figures."""
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def show(rows: list[dict[str, dict[str, float]]], orders: int) -> None:
    """Print the medians over the turns."""
    table = Table(title=f"first load of {orders:,} orders, medians of {len(rows)} turns")
    for column in ("what", "seconds", "ratio to the floor", "rounds", "peak memory, MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, label in (
        ("floor", "floor: plain DuckDB"),
        *((name, label) for name, (label, _) in LAKE_RUNS.items()),
    ):
        ratios = [row[name]["seconds"] / row["floor"]["seconds"] for row in rows]
        table.add_row(
            label,
            f"{statistics.median(row[name]['seconds'] for row in rows):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{rows[0][name].get('rounds', '')}",
            f"{max(row[name]['peak_mb'] for row in rows):,.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
