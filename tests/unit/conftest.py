"""A small lake for the feeder's tests: DuckLake with a SQLite catalog, fed without dbt."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.config import LakeConfig
from lotus_lake.connection import CONNECT_CONFIG, attach, extension_file, prepare_catalog
from lotus_lake.feeder import Feeder, Outcome
from lotus_lake.landing import LocalLanding
from lotus_lake.streams import Stream
from tests.system import services

PROJECT = Path(__file__).parents[2]
DAY = "year=2025/month=01/day=15"


def connect() -> duckdb.DuckDBPyConnection:
    """A connection as dbt has it, without a lake."""
    connection = duckdb.connect(config=dict(CONNECT_CONFIG))
    for name in ("sqlite_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    connection.execute("set threads = 2; set memory_limit = '2GB'")
    return connection


def attach_lake(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Attach the lake in a folder, which is made if there is none."""
    config = LakeConfig(
        f"{folder}/landing", f"sqlite:{folder}/catalog.sqlite", f"{folder}/lake data/"
    )
    prepare_catalog(config)
    attach(
        connection,
        config,
        f"attach 'ducklake:{config.catalog}' as lakehouse"
        f" (data_path '{config.data_url}', data_inlining_row_limit 0)",
    )


def meta_tables_sql() -> list[str]:
    """The statements of the macro create_meta_tables, with the database's name filled in."""
    macro = (PROJECT / "macros/lakehouse/create_meta_tables.sql").read_text()
    calls = re.findall(r'run_query\("(.*?)"\) %}', macro, re.DOTALL)
    return [re.sub(r'" ~ target.database\s*~ "', "lakehouse", call) for call in calls]


@dataclass
class SmallLake:
    """A lake and its landing zone in one folder."""

    folder: Path
    connection: duckdb.DuckDBPyConnection

    # -- landing ----------------------------------------------------------------------------------

    def path(self, name: str, day: str = DAY) -> str:
        """A file's path relative to the landing zone; a name with a slash is one already."""
        return name if name.startswith("shop/") else f"shop/orders/{day}/{name}"

    def land(self, name: str, content: bytes, day: str = DAY) -> str:
        """Write a file into the landing zone as a writer does that renames; return its path."""
        path = self.path(name, day)
        target = self.folder / "landing" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(".writing")
        temporary.write_bytes(content)
        temporary.rename(target)
        return path

    def land_rows(self, name: str, rows: Any, day: str = DAY, **options: Any) -> str:
        """Write rows (dicts, or an Arrow table) as Parquet."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
        return self.land(name, parquet(table, **options), day)

    # -- feeding ----------------------------------------------------------------------------------

    def stream(self, **settings: Any) -> Stream:
        """A stream's declaration; columns are SQL types by name."""
        columns = settings.pop("columns", {"id": "bigint", "name": "varchar"})
        return Stream.from_declaration(
            json.dumps(
                {
                    "source": "shop",
                    "stream": "orders",
                    "table": "lakehouse.staging.stg_shop__orders",
                    "airbyte": False,
                    "columns": [{"name": key, "type": value} for key, value in columns.items()],
                    **settings,
                }
            )
        )

    def feed(self, **settings: Any) -> Outcome:
        """Feed the stream once."""
        return self.feeder(**settings).feed()

    def feeder(self, **settings: Any) -> Feeder:
        """The feeder of the stream."""
        return Feeder(
            self.connection, self.stream(**settings), LocalLanding(f"{self.folder}/landing")
        )

    # -- looking ----------------------------------------------------------------------------------

    def rows(self, columns: str = "id, name", order: str = "all") -> list[tuple[Any, ...]]:
        """Rows of the staging table."""
        return self.query(
            f"select {columns} from lakehouse.staging.stg_shop__orders order by {order}"
        )

    def types(self) -> dict[str, str]:
        """The staging table's columns, without those that say where a row came from."""
        table = self.connection.table("lakehouse.staging.stg_shop__orders")
        types = dict(zip(table.columns, map(str, table.types), strict=True))
        return {
            name: type_
            for name, type_ in types.items()
            if name not in ("_source_file", "_source_row", "_cursor_version")
        }

    def ledger(self) -> dict[str, tuple[str, int | None]]:
        """Status and rows of each file; of its latest version."""
        return {
            path.rsplit("/", 1)[-1]: (status, rows)
            for path, status, rows in self.query(
                "select path, status, row_count from lakehouse.meta.feeder_files"
                " order by cursor_version"
            )
        }

    def reasons(self) -> dict[str, str]:
        """Why files are in quarantine."""
        return {
            path.rsplit("/", 1)[-1]: reason
            for path, reason in self.query(
                "select path, reason from lakehouse.meta.feeder_files where reason is not null"
            )
        }

    def cursor(self) -> dict[str, Any]:
        """The stream's cursor row."""
        result = self.connection.execute("select * from lakehouse.meta.feeder_cursors")
        names = [column[0] for column in result.description]
        rows = result.fetchall()
        assert len(rows) == 1
        return dict(zip(names, rows[0], strict=True))

    def snapshot(self) -> int:
        """The number of the lake's newest snapshot."""
        return int(self.query("select max(snapshot_id) from lakehouse.snapshots()")[0][0])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        return self.connection.execute(sql).fetchall()


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A Parquet file's bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def csv_text(rows: list[list[Any]]) -> bytes:
    """A CSV file's bytes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def json_lines(*rows: Any) -> bytes:
    """A JSONL file's bytes."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with the meta tables and one stream's cursor, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    connection = connect()
    attach_lake(connection, folder)
    connection.execute("create schema lakehouse.staging")
    for statement in meta_tables_sql():
        connection.execute(statement)
    connection.execute(
        "insert into lakehouse.meta.feeder_cursors"
        " values ('shop', 'orders', null, 0, 0, 0, 0, 0, 0, null, null, null)"
    )
    connection.close()
    return folder / "catalog.sqlite"


@pytest.fixture(scope="session")
def duckdb_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """One DuckDB for all tests: loading its extensions takes longer than most of them."""
    with connect() as connection:
        yield connection


@pytest.fixture
def lake(
    empty_lake: Path, tmp_path: Path, duckdb_connection: duckdb.DuckDBPyConnection
) -> Iterator[SmallLake]:
    """A new lake with an empty landing zone."""
    with (
        closing(sqlite3.connect(empty_lake)) as empty,
        closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as copy,
    ):
        empty.backup(copy)
        # The catalog remembers where its data lies.
        copy.execute(
            "update ducklake_metadata set value = ? where key = 'data_path'",
            [f"{tmp_path}/lake data/"],
        )
        copy.commit()
    (tmp_path / "landing").mkdir()
    attach_lake(duckdb_connection, tmp_path)
    yield SmallLake(tmp_path, duckdb_connection)
    with suppress(duckdb.Error):  # there is none, unless a test failed
        duckdb_connection.execute("rollback")
    duckdb_connection.execute("detach lakehouse")


@pytest.fixture
def other(lake: SmallLake) -> Iterator[Callable[[], SmallLake]]:
    """Makes further connections to the same lake, each a DuckDB of its own."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def another() -> SmallLake:
        opened.append(connect())
        attach_lake(opened[-1], lake.folder)
        return SmallLake(lake.folder, opened[-1])

    yield another
    for connection in opened:
        connection.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[services.S3]:
    """A real S3 server."""
    with services.s3() as server:
        yield server


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The project as dbt parses it, away from anybody's lake and target folder. Only to be read."""
    home = tmp_path_factory.mktemp("parse")
    environment = os.environ | {
        "DBT_TARGET": "local",
        "LAKE_LANDING_URL": str(home / "raw"),
        "LAKE_CATALOG": f"sqlite:{home / 'catalog.sqlite'}",
        "LAKE_DATA_URL": f"{home / 'data'}/",
    }
    command = "from dbt.cli.main import cli; cli()"
    arguments = ["parse", "--quiet", "--target-path", str(home), "--log-path", str(home)]
    parsed = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    found: dict[str, Any] = json.loads((home / "manifest.json").read_text())
    return found
