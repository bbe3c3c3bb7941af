"""How long a branch of a lake with many data files takes: `python -m benchmarks.branch`.

The catalogs hold what a lake with so many files of fifty columns has: a row for each file, and one
for the statistics of each of its columns. The files themselves are never looked at.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from lotus_lake import branches
from lotus_lake.config import LakeConfig
from lotus_lake.connection import extension_file
from tests.system import services

COLUMNS = 50
FILES = """
insert into ducklake_data_file (
    data_file_id, table_id, begin_snapshot, file_order, path, path_is_relative, file_format,
    record_count, file_size_bytes
)
select 1000000 + {n}, 1, 1, {n}, 'file-' || {n} || '.parquet', {true}, 'parquet', 100, 100000
from {series};
insert into ducklake_file_column_stats (
    data_file_id, table_id, column_id, column_size_bytes, value_count, null_count, min_value,
    max_value
)
select 1000000 + {n} / {columns}, 1, {n} % {columns}, 1000, 100, 0, '2025-01-01', '2025-12-31'
from {all_series};
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    found = Table("catalog", "data files", "catalog rows", "made in s", "dropped in s")
    with tempfile.TemporaryDirectory() as folder, services.postgres() as server:
        home = Path(folder)
        libpq = server.database("branching")
        os.environ.update(libpq)
        for catalog in (f"sqlite:{home}/catalog.sqlite", "postgres:"):
            lake = LakeConfig(f"{home}/landing", catalog, f"{home}/data/")
            fill(lake, libpq, options.files)
            started = time.monotonic()
            branches.create(lake, "trial")
            made = time.monotonic() - started
            started = time.monotonic()
            branches.drop(lake, "trial")
            dropped = time.monotonic() - started
            found.add_row(
                catalog.partition(":")[0],
                f"{options.files:,}",
                f"{options.files * (COLUMNS + 1):,}",
                f"{made:.2f}",
                f"{dropped:.2f}",
            )
    Console().print(found)


def fill(lake: LakeConfig, libpq: dict[str, str], files: int) -> None:
    """Make a lake, and put the files into its catalog."""
    with duckdb.connect() as connection:
        for extension in ("sqlite_scanner", "postgres_scanner", "ducklake"):
            connection.execute(f"load '{extension_file(extension)}'")
        where = lake.catalog + ("" if lake.sqlite_path else services.libpq(libpq))
        connection.execute(f"attach 'ducklake:{where}' as lake (data_path '{lake.data_url}')")
        connection.execute("create table lake.fct as select 1 as id")
    if lake.sqlite_path:
        with sqlite3.connect(lake.sqlite_path) as catalog:
            catalog.executescript(
                FILES.format(
                    n="n",
                    true="true",
                    columns=COLUMNS,
                    series=_recursive(files),
                    all_series=_recursive(files * COLUMNS),
                )
            )
        catalog.close()
        return
    import psycopg2

    with psycopg2.connect("") as server, server.cursor() as cursor:
        cursor.execute(
            FILES.format(
                n="n",
                true="true",
                columns=COLUMNS,
                series=f"generate_series(0, {files - 1}) as n",
                all_series=f"generate_series(0, {files * COLUMNS - 1}) as n",
            )
        )
    server.close()


def _recursive(count: int) -> str:
    return (
        "(with recursive numbers(n) as"
        f" (select 0 union all select n + 1 from numbers where n < {count - 1})"
        " select n from numbers)"
    )


if __name__ == "__main__":
    main()
