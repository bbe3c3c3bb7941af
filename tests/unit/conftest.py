"""A small lake for the feeder's tests: DuckLake with a SQLite catalog, fed without dbt."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.config import LakeConfig
from lotus_lake.connection import ALIAS, CONNECT_CONFIG, attach, attach_sql, load, prepare_catalog
from lotus_lake.feeder import Feeder, Outcome
from lotus_lake.landing import Landing, LocalLanding
from lotus_lake.operations.lake import Lake
from lotus_lake.operations.starting import create_meta
from lotus_lake.streams import LINEAGE_COLUMNS, Stream
from tests.system import services

PROJECT = Path(__file__).parents[2]
TABLE = "lakehouse.staging.stg_shop__orders"
FOLDER = "shop/orders"
DAY = "year=2025/month=01/day=15"

# Names of files with something that a pattern, a URL, SQL or a shell would read otherwise.
ODD_NAMES = [
    *("part_0.parquet-1", "part 1 (copy).parquet", "[x].parquet", "[!a].gz", "a*b?.parquet"),
    *("{a,b}.parquet", "it's.parquet", 'say "x".parquet', "ünïcode 🪷–部.parquet", "~x.parquet"),
    *("%20+%2F.parquet", "100%.parquet", "a#b&c=d;e,@f:g.parquet", "a;b$c`d.parquet"),
    *("back\\slash.parquet", "line\nbreak.parquet", "no_extension", "parquet_inside.csv"),
    *("part_2.PARQUET", "x" * 200 + ".parquet"),
]

Content = bytes | str | pa.Table | list[dict[str, Any]]


def connect() -> duckdb.DuckDBPyConnection:
    """A connection as dbt has it, without a lake."""
    connection = duckdb.connect(config=dict(CONNECT_CONFIG))
    load(connection, LakeConfig("landing", "sqlite:catalog", "data/"))
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    connection.execute("set threads = 2; set memory_limit = '2GB'")
    return connection


def attach_lake(connection: duckdb.DuckDBPyConnection, folder: Path) -> LakeConfig:
    """Attach the lake in a folder, which is made if there is none."""
    config = LakeConfig(
        f"{folder}/landing", f"sqlite:{folder}/catalog.sqlite", f"{folder}/lake data/"
    )
    prepare_catalog(config)
    attach(connection, config, attach_sql(config, ALIAS))
    return config


@dataclass
class SmallLake:
    """A lake and its landing zone in one folder.

    lake.land("part_0.parquet", [{"id": 1, "name": "a"}])
    assert lake.feed(feed_mode="register").files == 1
    assert lake.rows("id, name") == [(1, "a")]
    """

    folder: Path  # of the catalog, the data and the landing zone
    connection: duckdb.DuckDBPyConnection
    settings: dict[str, Any] = field(default_factory=dict)  # for every feed; a feed may have more
    landing: Landing | None = None  # the folder ``landing`` unless told otherwise

    # -- landing ----------------------------------------------------------------------------------

    def file(self, path: str) -> Path:
        """A landed file."""
        return self.folder / "landing" / path

    def land(self, name: str, content: Content, day: str = DAY) -> str:
        """Land a file, whole at once; return its path relative to the landing zone.

        A name with a slash is its path in the stream's folder. Rows (dicts, or an Arrow table) are
        written as Parquet.
        """
        path = f"{FOLDER}/{name}" if "/" in name else f"{FOLDER}/{day}/{name}"
        self.file(path).parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file(path).with_name(".writing")
        temporary.write_bytes(as_bytes(content))
        temporary.rename(self.file(path))
        return path

    # -- feeding ----------------------------------------------------------------------------------

    def stream(self, **settings: Any) -> Stream:
        """The stream as declared; columns are SQL types by name."""
        settings = {"columns": {"id": "bigint", "name": "varchar"}, **self.settings, **settings}
        columns = settings.pop("columns")
        return Stream.from_declaration(
            json.dumps(
                {
                    "source": "shop",
                    "stream": "orders",
                    "table": TABLE,
                    "airbyte": False,
                    "columns": [{"name": key, "type": value} for key, value in columns.items()],
                    **settings,
                }
            )
        )

    def feed(self, **settings: Any) -> Outcome:
        """Feed the stream once."""
        landing = self.landing or LocalLanding(f"{self.folder}/landing")
        return Feeder(self.connection, self.stream(**settings), landing).feed()

    # -- reading ----------------------------------------------------------------------------------

    def rows(self, columns: str = "id, name", order: str = "all") -> list[tuple[Any, ...]]:
        """Rows of the staging table."""
        return self.query(f"select {columns} from {TABLE} order by {order}")

    def types(self) -> dict[str, str]:
        """The staging table's columns, without those that say where a row came from."""
        table = self.connection.table(TABLE)
        types = dict(zip(table.columns, map(str, table.types), strict=True))
        return {name: type_ for name, type_ in types.items() if name not in LINEAGE_COLUMNS}

    def ledger(self, columns: str = "status, row_count") -> dict[str, Any]:
        """What the ledger says of each file, by its name; of its latest version."""
        return {
            path.rsplit("/", 1)[-1]: values[0] if len(values) == 1 else tuple(values)
            for path, *values in self.query(
                f"select path, {columns} from lakehouse.meta.feeder_files order by cursor_version"
            )
        }

    def reasons(self) -> dict[str, str]:
        """Why files are in quarantine, by their names."""
        return {
            path.rsplit("/", 1)[-1]: reason
            for path, reason in self.query("select path, reason from lakehouse.meta.quarantine")
        }

    def cursor(self, columns: str) -> tuple[Any, ...]:
        """The stream's cursor."""
        (row,) = self.query(f"select {columns} from lakehouse.meta.feeder_cursors")
        return row

    def snapshot(self) -> int:
        """The number of the lake's newest snapshot."""
        return int(self.query("select max(snapshot_id) from lakehouse.snapshots()")[0][0])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        return self.connection.execute(sql).fetchall()


def parquet(rows: pa.Table | list[dict[str, Any]], **options: Any) -> bytes:
    """A Parquet file's bytes."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def damaged_page() -> bytes:
    """A Parquet file with a right footer and a damaged page."""
    whole = parquet([{"id": number, "name": f"name {number * 7919}"} for number in range(500)])
    return whole[:30] + b"\xff" * 200 + whole[230:]


def as_bytes(content: Content) -> bytes:
    """What ``land`` writes."""
    if isinstance(content, str):
        return content.encode()
    return content if isinstance(content, bytes) else parquet(content)


def json_lines(*rows: Any) -> bytes:
    """A JSONL file's bytes."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with the meta tables and one stream's cursor, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    connection = connect()
    config = attach_lake(connection, folder)
    connection.execute("create schema lakehouse.staging")
    create_meta(Lake(connection, config))
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
def open_again(lake: SmallLake) -> Iterator[Callable[[], SmallLake]]:
    """Makes further connections to the same lake, each a DuckDB of its own."""
    with ExitStack() as opened:

        def open_it() -> SmallLake:
            connection = opened.enter_context(connect())
            attach_lake(connection, lake.folder)
            return SmallLake(lake.folder, connection)

        yield open_it


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
