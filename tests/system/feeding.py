"""The feeder without dbt around it: a stream, its landing folder, and what a feed makes of a file.

    feeding.declare(id="bigint", price="double")
    feeding.land("day=01/part_0.parquet", rows(id=[1], price=["12.50"]))
    assert feeding.feed().files == 1
    assert feeding.rows("id, price") == [(1, 12.5)]

The lake is a copy of one that dbt made; the stream is an invented one, ``test.things``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lotus_lake.connection import extension_file
from lotus_lake.feeder import Feeder, Outcome
from lotus_lake.landing import Landing, open_landing
from lotus_lake.streams import Stream
from tests.system.lake import Lake

TABLE = "lakehouse.staging.stg_test__things"
FOLDER = "test/things"
MONTH = f"{FOLDER}/year=2024/month=05"


class Feeding:
    """A stream to feed, and a look at what came of it.

    Args:
        lake: The lake; a copy that nobody else uses.
        connection: A connection that has it attached for writing.
        landing: Where files land; the lake's own folder unless told otherwise.
    """

    def __init__(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, landing: Landing | None = None
    ) -> None:
        self.lake = lake
        self.connection = connection
        self.landing = landing or open_landing(str(lake.landing))
        self.settings: dict[str, Any] = {}
        self.declare(id="bigint")

    def declare(self, **columns: str) -> None:
        """Say which columns the stream has."""
        self.columns = columns

    def set(self, **settings: Any) -> None:
        """Set what a stream's meta.feeder or a feed_* variable sets."""
        self.settings.update(settings)

    @property
    def stream(self) -> Stream:
        """The stream as declared."""
        declaration = {
            "source": "test",
            "stream": "things",
            "table": TABLE,
            "columns": [{"name": name, "type": type_} for name, type_ in self.columns.items()],
            "airbyte": False,
            **self.settings,
        }
        return Stream.from_declaration(json.dumps(declaration))

    def land(self, name: str, content: pa.Table | bytes | str, folder: str = MONTH) -> Path:
        """Let a file land, whole at once, as a new version each time."""
        path = self.lake.landing / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        arriving = path.parent / ".arriving"
        if isinstance(content, pa.Table):
            pq.write_table(content, arriving)
        else:
            arriving.write_bytes(content.encode() if isinstance(content, str) else content)
        if path.exists():  # a clock may be too coarse to tell two versions apart
            later = path.stat().st_mtime_ns + 1_000_000_000
            os.utime(arriving, ns=(later, later))
        arriving.replace(path)
        return path

    def feed(self) -> Outcome:
        """Feed once."""
        return Feeder(self.connection, self.stream, self.landing).feed()

    def rows(self, columns: str = "* exclude (_source_file, _source_row, _cursor_version)") -> Any:
        """Rows of staging in a fixed order."""
        return self.connection.execute(f"select {columns} from {TABLE} order by all").fetchall()

    def types(self) -> dict[str, str]:
        """Columns of staging and their types."""
        found = self.connection.execute(f"select column_name, column_type from (describe {TABLE})")
        return dict(found.fetchall())

    def ledger(self, columns: str = "path, status, reason") -> list[Any]:
        """What the ledger says, oldest delivery first, paths without the stream's folder."""
        return self.connection.execute(
            f"select {columns} from (select * replace (replace(path, '{MONTH}/', '') as path)"
            " from lakehouse.meta.feeder_files where source = 'test')"
            " order by cursor_version, path"
        ).fetchall()

    def reasons(self) -> dict[str, str]:
        """Files in quarantine, and why."""
        return {path: reason for path, status, reason in self.ledger() if status == "quarantined"}

    def cursor(self, columns: str) -> Any:
        """The stream's cursor."""
        return self.connection.execute(
            f"select {columns} from lakehouse.meta.feeder_cursors where source = 'test'"
        ).fetchone()

    def landed(self) -> list[str]:
        """The files that lie in the landing folder."""
        return sorted(
            str(path.relative_to(self.lake.landing))
            for path in self.lake.landing.rglob("*")
            if path.is_file()
        )


@contextmanager
def feeding_of(
    lake: Lake, landing: str | None = None, before: Sequence[str] = ()
) -> Iterator[Feeding]:
    """The feeder on a lake; ``landing`` is a URL, ``before`` SQL that lets DuckDB reach it."""
    connection = duckdb.connect()
    try:
        for name in ("sqlite_scanner", "ducklake", "httpfs"):
            connection.execute(f"load '{extension_file(name)}'")
        for statement in before:
            connection.execute(statement)
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"attach 'ducklake:sqlite:{lake.catalog_file}' as lakehouse (data_inlining_row_limit 0)"
        )
        connection.execute(
            "insert into lakehouse.meta.feeder_cursors"
            " values ('test', 'things', null, 0, 0, 0, 0, 0, 0, null, null, null)"
        )
        yield Feeding(lake, connection, open_landing(landing) if landing else None)
    finally:
        connection.close()


def rows(**columns: Any) -> pa.Table:
    """A Parquet file's content: a list of values, or an Arrow array, for each column."""
    return pa.table(columns)
