"""What a diff costs beside a full scan of both sides: `python -m benchmarks.diff`.

A fact of so many rows is sorted by its key, as builds write it, and made again with other values. A
scan reads every column of both sides once, as DuckDB does it when it has to look at every value.
All in processor seconds, so that other load on the machine counts less.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.harness import plain_lake, show
from lotus_lake.diff.compare import compare
from lotus_lake.diff.sides import Side

COLUMNS = """
    range * 7 % 1000003 + range * 1000003 as order_id,
    range % 700001 as customer_id,
    timestamptz '2024-01-01' + to_seconds(range * 7 % 31000000) as order_date,
    (timestamptz '2024-01-01' + to_seconds(range * 7 % 31000000))::date as order_day,
    range % 97 = 0 as is_test_order,
    ['paid', 'pending', 'refunded'][range % 3 + 1] as financial_status,
    ['fulfilled', null, 'partial'][range % 3 + 1] as fulfillment_status,
    ['USD', 'EUR', 'CAD'][range % 3 + 1] as currency,
    range % 5 + 1 as units
"""
MEASURES = (
    "gross_sales", "discounts", "returns", "net_sales", "shipping", "taxes", "total_sales",
    "refunded_amount",
)  # fmt: skip


def fact(rows: int, changed: int = 0, where: str = "true") -> str:
    """The SELECT of the fact, with so many measures changed in some rows."""
    measures = ", ".join(
        f"((range * {place + 13} + {f'({where})::int' if place < changed else 0})"
        f" % 20011 / 100)::decimal(18, 2) as {name}"
        for place, name in enumerate(MEASURES)
    )
    return f"select {COLUMNS}, {measures} from range({rows})"


def changes(rows: int) -> dict[str, str]:
    """What is made in place of the fact."""
    same = fact(rows)
    return {
        "nothing": same,
        "one column, every hundredth row": fact(rows, 1, "hash(range) % 100 = 0"),
        "one column, every row": fact(rows, 1),
        "all measures, every row": fact(rows, 8),
        "a tenth of the rows gone": f"from ({same}) where hash(order_id) % 10 <> 3",
        "other keys": f"select * replace (order_id + 1 as order_id) from ({same})",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="3GB")
    options = parser.parse_args()
    rows = []
    for name, change in changes(options.rows).items():
        with tempfile.TemporaryDirectory() as folder:
            rows.append([name, *measure(Path(folder), options, change)])
        print(f"{name}: done", flush=True)
    columns = ("what differs", "scan s", "diff s", "ratio", "added", "removed", "changed")
    show("a diff beside full scans", columns, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory {peak:.1f} GB, limit {options.memory}")


def measure(folder: Path, options: argparse.Namespace, change: str) -> list[str]:
    """Build both sides, scan them, compare them."""
    connection = plain_lake(folder, options.memory)
    sides = [make(connection, fact(options.rows)), make(connection, change)]
    # What was just written would still be on its way to the disk while the clock runs.
    os.sync()
    columns = [column for column, *_ in connection.execute("describe fct_sales").fetchall()]
    seconds = sum(min(scan(connection, side, columns) for _ in range(2)) for side in sides)
    started = time.process_time()
    shown = {"fct_sales": columns}
    diff = compare(connection, sides[0], sides[1], {"fct_sales": ["order_id"]}, shown).tables[0]
    took = time.process_time() - started
    connection.close()
    return [
        f"{seconds:.2f}",
        f"{took:.2f}",
        f"{took / seconds:.1f}",
        *(f"{count:,}" for count in (diff.added, diff.removed, diff.changed)),
    ]


def make(connection: duckdb.DuckDBPyConnection, rows: str) -> Side:
    """Make the fact again, sorted by its key; the side that has it."""
    connection.execute(
        f"begin; create or replace table fct_sales as from ({rows}) limit 0;"
        " alter table fct_sales set sorted by (order_id asc);"
        f" set preserve_insertion_order = false; insert into fct_sales {rows};"
        " reset preserve_insertion_order; commit"
    )
    row = connection.execute(
        "select max(snapshot_id) from ducklake_snapshots('lakehouse')"
    ).fetchone()
    assert row
    return Side("lakehouse", row[0], f"snapshot {row[0]}")


def scan(connection: duckdb.DuckDBPyConnection, side: Side, columns: list[str]) -> float:
    """Processor seconds of reading every value of one side."""
    started = time.process_time()
    connection.execute(
        f"select bit_xor(hash({', '.join(columns)})) from {side.relation('main.fct_sales')}"
    ).fetchall()
    return time.process_time() - started


if __name__ == "__main__":
    main()
