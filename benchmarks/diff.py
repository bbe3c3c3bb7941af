"""How long a diff takes beside a full scan of both sides: `python -m benchmarks.diff`.

A fact of so many rows is made on a lake, and changed in one of the ways below. A scan reads every
column of both sides once, as DuckDB does it when it has to look at every value.

    none     nothing at all
    few      a thousand rows written again, with every figure different
    tenth    a tenth of the rows written again, with one column different
    rebuilt  the table is made anew, with the same rows
    rare     made anew, with one column different in every ten-thousandth row
    newest   made anew, with one column different in the newest hundredth of the rows
    some     made anew, with one column different in every hundredth row
    column   made anew, with one column different in every row
    two      made anew, with two columns different in every row
    four     made anew, with four columns different in every row
    all      made anew, with every figure different in every row
    fewer    made anew, without a tenth of the rows
    more     made anew, with a tenth more rows between them
    both     made anew, with one column different in every row, without a tenth of the rows
    keys     made anew, with another key in every row

The rows lie in one of these orders:

    built    sorted by their key, as builds write them; before the change twenty ticks have written
             a hundredth of them again
    same     as they come from one thread, before and after
    any      in another order after the change than before
"""

from __future__ import annotations

import argparse
import os
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

TENTH = "hash(order_id) % 10 = 3"


def fact(rows: int, other: int = 0, where: str = "true") -> str:
    """The SELECT of the fact, its first so many figures being others than usual in some rows."""
    figures = ", ".join(
        f"((range * {place + 13} + {f'({where})::int' if place < other else 0})"
        f" % 20011 / 100)::decimal(18, 2) as {name}"
        for place, name in enumerate(FIGURES)
    )
    return FACT.format(figures=figures, rows=rows)


def make(connection: duckdb.DuckDBPyConnection, rows: str, order: str) -> None:
    """Make the fact, or make it anew."""
    if order == "built":
        connection.execute(
            f"begin; create or replace table fct_sales as from ({rows}) limit 0;"
            " alter table fct_sales set sorted by (order_id asc);"
            f" set preserve_insertion_order = false; insert into fct_sales {rows};"
            " reset preserve_insertion_order; commit"
        )
    else:
        connection.execute(f"create or replace table fct_sales as {rows}")


def write_again(connection: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Write rows of the fact again, as a build for some keys does."""
    connection.execute(
        f"create or replace temp table new_rows as {rows};"
        " begin; delete from fct_sales where order_id in (select order_id from new_rows);"
        " insert into fct_sales from new_rows; commit"
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--order", choices=("built", "same", "any"), default="built")
    options = parser.parse_args()
    rows = options.rows
    # What is written again, with DuckLake's own delete and insert, or else what is made anew.
    written = {
        "none": None,
        "few": fact(1000, 8),
        "tenth": f"from ({fact(rows, 1)}) where {TENTH}",
    }
    changes = written | {
        "rebuilt": fact(rows),
        "rare": fact(rows, 1, "hash(range) % 10000 = 0"),
        "newest": fact(rows, 1, f"range >= {rows} * 0.99"),
        "some": fact(rows, 1, "hash(range) % 100 = 0"),
        "column": fact(rows, 1),
        "two": fact(rows, 2),
        "four": fact(rows, 4),
        "all": fact(rows, 8),
        "fewer": f"from ({fact(rows)}) where not {TENTH}",
        "more": f"{fact(rows)} union all select * replace (order_id + 500000 as order_id)"
        f" from ({fact(rows)}) where {TENTH}",
        "both": f"from ({fact(rows, 1)}) where not {TENTH}",
        "keys": f"select * replace (order_id + 1 as order_id) from ({fact(rows)})",
    }
    found = Table("change", "scan s", "diff s", "ratio", "added", "removed", "changed")
    with tempfile.TemporaryDirectory() as folder:
        for name, change in changes.items():
            anew = name not in written
            found.add_row(name, *measure(Path(folder) / name, options, change, anew=anew))
            print(f"{name} done", flush=True)
    Console().print(found)


def measure(
    folder: Path, options: argparse.Namespace, change: str | None, *, anew: bool
) -> list[str]:
    """Build both sides, scan them, compare them."""
    folder.mkdir()
    connection = duckdb.connect(
        config={"memory_limit": options.memory, "temp_directory": str(folder)}
    )
    for extension in ("sqlite_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(extension)}'")
    connection.execute(
        f"attach 'ducklake:sqlite:{folder}/catalog.sqlite' as lake (data_path '{folder}/data/')"
    )
    connection.execute("call lake.set_option('data_inlining_row_limit', 0); use lake")
    make(connection, fact(options.rows), options.order)
    if options.order == "built":
        for number in range(20):
            write_again(connection, f"from fct_sales where hash(order_id) % 2000 = {number}")
    sides = [Side("lake", snapshot(connection), "before")]
    if change and anew:
        order = "order by hash(order_id)" if options.order == "any" else ""
        make(connection, f"from ({change}) {order}", options.order)
    elif change:
        write_again(connection, change)
    sides.append(Side("lake", snapshot(connection), "after"))
    # What was just written would still be on its way to the disk while the clock runs.
    os.sync()
    columns = [column for column, *_ in connection.execute("describe fct_sales").fetchall()]
    scan = [timed(connection, side, columns) for side in sides for _ in range(2)]
    seconds = min(scan[:2]) + min(scan[2:])
    started = time.monotonic()
    diff = compare(connection, *sides, {"fct_sales": ["order_id"]}, {}).tables[0]
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
