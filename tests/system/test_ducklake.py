"""DuckLake where it is known to err, used as the project uses it (docs/decisions 0002 and 0013)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.connection import extension_file
from sample import Delivery
from tests.system import services
from tests.system.lake import Lake

AWKWARD = [
    *("it's", "'", "''", '"', "\\", "\\'", "a,b", "üñí 🪷", "line\nbreak", "tab\t", "NULL", "null"),
    *("", " ", "{'a': 1}", "$$", "%s", "\x01", "--"),
]


def test_inlined_bookkeeping(postgres: services.Postgres, tmp_path: Path) -> None:
    """Small flat rows that are kept in PostgreSQL (schema meta) keep every character and moment.

    In SQLite the ledger of test_files.py::test_odd_names does.
    """
    attach = (
        f"attach 'ducklake:postgres:{services.libpq(postgres.database(tmp_path.name))}' as lake"
        f" (data_path '{tmp_path}/data/', data_inlining_row_limit 0)"
    )
    now = datetime(2024, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
    rows = [(number, word, now + timedelta(days=number)) for number, word in enumerate(AWKWARD)]
    expected = [
        (number, word + "x'y" if number % 2 == 0 else word, seen)
        for number, word, seen in rows
        if number % 5 != 4
    ]
    with duckdb.connect() as connection:
        _attach(connection, attach)
        connection.execute("create schema lake.meta")
        connection.execute("call lake.set_option('data_inlining_row_limit', 50, schema => 'meta')")
        connection.execute(
            "create table lake.meta.notes (id bigint, note varchar, seen timestamptz)"
        )
        for row in rows:
            connection.execute("insert into lake.meta.notes values (?, ?, ?)", row)
        connection.execute("update lake.meta.notes set note = note || 'x''y' where id % 2 = 0")
        connection.execute("delete from lake.meta.notes where id % 5 = 4")
        assert connection.execute("from lake.meta.notes order by id").fetchall() == expected
    assert not list((tmp_path / "data").rglob("*.parquet"))
    with duckdb.connect() as connection:
        _attach(connection, attach)
        assert connection.execute("from lake.meta.notes order by id").fetchall() == expected


def _attach(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    for name in ("postgres_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(statement)


@pytest.mark.slow
def test_columns_that_begin_with_nulls(new_lake: Callable[..., Lake], sample: Delivery) -> None:
    """A file without a column and one with it come first and together, others one by one.

    DuckLake alone would take the last file's least and greatest value for the whole table's, and
    DuckDB would end `group by` with an error, or leave rows out.
    """
    lake = new_lake()
    folder = "shopify/customers/year=2025/month=01/day=01"
    (lake.landing / folder).mkdir(parents=True)
    sent = next(file for file in sample.files if file.path.startswith("shopify/customers/"))
    landed = pq.read_table(sample.out / sent.path).slice(0, 1)

    def land(number: int, value: int | None) -> None:
        column = landed.schema.get_field_index("orders_count")
        values = pa.array([value], landed.schema.field(column).type)
        table = landed.remove_column(column)
        if value is not None:
            table = table.append_column("orders_count", values)
        pq.write_table(table, lake.landing / folder / f"{number}_0.parquet")

    def build() -> None:
        assert lake.build_quickly("-s", "stg_shopify__customers").ok

    land(1, None)
    land(2, 1000)
    build()
    for number in (3, 4):
        land(number, 2000 + number)
        build()
        staging = "from staging.stg_shopify__customers"
        counts = dict(lake.query(f"select orders_count, count(*) {staging} group by all"))
        assert counts == dict.fromkeys([None, 1000, *range(2003, 2001 + number)], 1)
        few = lake.query(f"select orders_count {staging} where orders_count < 1500 order by all")
        assert few == [(1000,)]
