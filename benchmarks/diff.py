"""How long a diff takes beside a full scan of both sides: `python -m benchmarks.diff`.

A fact of so many rows is made on a lake, and changed in one of the ways below. A scan reads every
column of both sides once, as DuckDB does it when it has to look at every value. With --shuffled,
what is made anew keeps its rows in another order than before, as several threads leave them.

    none     nothing at all
    few      a thousand rows, with DuckLake's own delete and insert
    rebuilt  the table is made anew, with the same rows
    rare     made anew, with one column different in every ten-thousandth row
    newest   made anew, with one column different in the newest hundredth of the rows
    some     made anew, with one column different in every hundredth row
    column   made anew, with one column different in every row
    all      made anew, with every figure different in every row
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from lotus_lake.connection import extension_file
from lotus_lake.diff.compare import compare
from lotus_lake.diff.relations import Side

FACT = """
select
    range * 7 % 1000003 + range * 1000003 as order_id,
    range % 700001 as customer_id,
    timestamptz '2024-01-01' + to_seconds(range * 7 % 31000000) as order_date,
    (timestamptz '2024-01-01' + to_seconds(range * 7 % 31000000))::date as order_day,
    range % 97 = 0 as is_test_order,
    ['paid', 'pending', 'refunded'][range % 3 + 1] as financial_status,
    ['fulfilled', null, 'partial'][range % 3 + 1] as fulfillment_status,
    ['USD', 'EUR', 'CAD'][range % 3 + 1] as currency,
    range % 5 + 1 as units,
    {figures}
from range({rows})
"""
FIGURES = (
    "gross_sales", "discounts", "returns", "net_sales", "shipping", "taxes", "total_sales",
    "refunded_amount",
)  # fmt: skip


def fact(rows: int, other: int = 0, where: str = "true") -> str:
    """The SELECT of the fact, its first so many figures being others than usual in some rows."""
    figures = ", ".join(
        f"((range * {place + 13} + {f'({where})::int' if place < other else 0})"
        f" % 20011 / 100)::decimal(18, 2) as {name}"
        for place, name in enumerate(FIGURES)
    )
    return FACT.format(figures=figures, rows=rows)


def made_anew(rows: str, order: str) -> str:
    """The statement that makes the fact again."""
    return f"create or replace table fct_sales as {rows} {order}"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--shuffled", action="store_true", help="rows in another order")
    options = parser.parse_args()
    rows = options.rows
    newest = f"range >= {rows} * 0.99"
    order = "order by hash(range)" if options.shuffled else ""
    changes = {
        "none": "select 1",
        "few": "begin; delete from fct_sales where order_id in"
        " (select order_id from fct_sales limit 1000);"
        f" insert into fct_sales {fact(1000, 8)}; commit",
        "rebuilt": made_anew(fact(rows), order),
        "rare": made_anew(fact(rows, 1, "hash(range) % 10000 = 0"), order),
        "newest": made_anew(fact(rows, 1, newest), order),
        "some": made_anew(fact(rows, 1, "hash(range) % 100 = 0"), order),
        "column": made_anew(fact(rows, 1), order),
        "all": made_anew(fact(rows, 8), order),
    }
    found = Table("change", "scan s", "diff s", "ratio", "added", "removed", "changed")
    with tempfile.TemporaryDirectory() as folder:
        for name, change in changes.items():
            row = measure(Path(folder) / name, options.memory, fact(rows), change)
            found.add_row(name, *row)
    Console().print(found)


def measure(folder: Path, memory: str, before: str, change: str) -> list[str]:
    """Build both sides, scan them, compare them."""
    folder.mkdir()
    connection = duckdb.connect(config={"memory_limit": memory, "temp_directory": str(folder)})
    for extension in ("sqlite_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(extension)}'")
    connection.execute(
        f"attach 'ducklake:sqlite:{folder}/catalog.sqlite' as lake (data_path '{folder}/data/')"
    )
    connection.execute("call lake.set_option('data_inlining_row_limit', 0); use lake")
    connection.execute(f"create table fct_sales as {before}")
    sides = [Side("lake", snapshot(connection), "before")]
    connection.execute(change)
    sides.append(Side("lake", snapshot(connection), "after"))
    columns = [column for column, *_ in connection.execute("describe fct_sales").fetchall()]
    scan = [timed(connection, side, columns) for side in sides for _ in range(2)]
    seconds = min(scan[:2]) + min(scan[2:])
    started = time.monotonic()
    diff = compare(connection, *sides, {"fct_sales": ["order_id"]}).tables[0]
    took = time.monotonic() - started
    connection.close()
    return [
        f"{seconds:.2f}",
        f"{took:.2f}",
        f"{took / seconds:.2f}",
        *(f"{count:,}" for count in (diff.added, diff.removed, diff.changed)),
    ]


def timed(connection: duckdb.DuckDBPyConnection, side: Side, columns: list[str]) -> float:
    """Seconds of reading every value of one side."""
    started = time.monotonic()
    connection.execute(
        f"select bit_xor(hash({', '.join(columns)})) from {side.relation('main.fct_sales')}"
    ).fetchall()
    return time.monotonic() - started


def snapshot(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest snapshot."""
    row = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    assert row
    return int(row[0])


if __name__ == "__main__":
    main()
