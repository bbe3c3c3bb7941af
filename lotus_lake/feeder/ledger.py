"""What the lake remembers of a stream: its cursor, its ledger, and the changes of its schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from lotus_lake.config import LakeError
from lotus_lake.escaping import printable
from lotus_lake.feeder.drift import SchemaChange
from lotus_lake.landing import LandedFile
from lotus_lake.probe import Probe
from lotus_lake.races import commit
from lotus_lake.schema import literal
from lotus_lake.streams import Stream
from lotus_lake.wording import counted

_FILES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("stream", pa.string()),
        ("path", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
        ("last_modified", pa.timestamp("us", "UTC")),
        ("row_count", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("cursor_version", pa.int64()),
        ("generation_id", pa.int64()),
        ("feed_mode", pa.string()),
    ]
)

_CHANGE_COLUMNS = (
    "source",
    "stream",
    "column_name",
    "change",
    "type_before",
    "type_after",
    "path",
    "cursor_version",
)


@dataclass(frozen=True)
class Cursor:
    """How far a stream is fed: its row of meta.feeder_cursors.

    Args:
        path: The newest path fed, or None.
        version: The number of the last feed that wrote something; 0 before the first.
        files: How many files were fed.
        backlog: How many new files the last run left.
        swept_at: When everything was last listed; None asks for it now.
        updated_at: When a feed last changed the stream, or None.
    """

    path: str | None
    version: int
    files: int
    backlog: int
    swept_at: datetime | None
    updated_at: datetime | None


class Ledger:
    """The rows of a stream in meta.feeder_cursors, meta.feeder_files and meta.schema_changes.

    Args:
        connection: DuckDB connection with the lake attached.
        stream: The stream.

    Attributes:
        files: The table of files, fully qualified.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        meta = f"{stream.table.split('.')[0]}.meta"
        self._cursors = f"{meta}.feeder_cursors"
        self.files = f"{meta}.feeder_files"
        self._changes = f"{meta}.schema_changes"
        self._quarantine = f"{meta}.quarantine"

    # -- reading -----------------------------------------------------------------------------------

    def cursor(self) -> Cursor:
        """The stream's cursor as it is now.

        Raises:
            LakeError: There is none.
        """
        row = self._connection.execute(
            "select cursor_path, cursor_version, files_loaded, backlog_files, swept_at, updated_at"
            f" from {self._cursors} where source = ? and stream = ?",
            [self._stream.source, self._stream.name],
        ).fetchone()
        if row is None:
            raise LakeError(
                f"Stream {self._stream.label} has no cursor row in meta.feeder_cursors: run dbt "
                "with the project's on-run-start, which creates it."
            )
        return Cursor(*row)

    def quarantined(self) -> list[str]:
        """The paths of the files in quarantine."""
        paths = self._connection.execute(
            f"select path from {self._quarantine} where source = ? and stream = ?",
            [self._stream.source, self._stream.name],
        ).fetchall()
        return [path for (path,) in paths]

    def known(self, files: Sequence[LandedFile]) -> set[tuple[str, str]]:
        """The versions that the ledger has, of these files and of those between them."""
        if not files:
            return set()
        paths = [file.path for file in files]
        return set(
            self._connection.execute(
                f"select path, etag from {self.files}"
                " where source = ? and stream = ? and path between ? and ?"
                # One that was removed while it was in quarantine is looked at again if it returns.
                " and (status <> 'undone' or row_count is not null)",
                [self._stream.source, self._stream.name, min(paths), max(paths)],
            ).fetchall()
        )

    # -- writing, inside the feed's transaction ----------------------------------------------------

    def move_cursor(
        self,
        cursor: Cursor,
        version: int,
        latest: str | None,
        loaded: Collection[Probe],
        rest: Sequence[LandedFile],
        swept: bool,
    ) -> None:
        """Move the cursor, unless another feed has moved it.

        Args:
            cursor: As it was when the feed was planned.
            version: The number of this feed.
            latest: The newest path fed.
            loaded: The files that are fed.
            rest: New files that are left for the next run.
            swept: Whether to remember that everything was listed.

        Raises:
            duckdb.TransactionException: Another feed has moved it.
        """
        if self.cursor().version != cursor.version:
            raise duckdb.TransactionException("conflict: the cursor moved")
        self._connection.execute(
            f"update {self._cursors} set cursor_path = ?, cursor_version = ?,"
            " files_loaded = files_loaded + ?, rows_loaded = rows_loaded + ?,"
            " bytes_loaded = bytes_loaded + ?, backlog_files = ?, backlog_bytes = ?,"
            f" swept_at = {'now()' if swept else 'swept_at'}, updated_at = now()"
            " where source = ? and stream = ?",
            [
                latest,
                version,
                len(loaded),
                sum(probe.rows for probe in loaded),
                sum(probe.file.size for probe in loaded),
                len(rest),
                sum(file.size for file in rest),
                self._stream.source,
                self._stream.name,
            ],
        )

    def write_files(
        self,
        files: Sequence[LandedFile],
        loaded: Mapping[str, Probe],
        registered: Collection[str],
        quarantine: Mapping[str, str],
        version: int,
    ) -> None:
        """Write what became of each file of a feed.

        Args:
            files: All files of the feed.
            loaded: Those that are fed, by their paths.
            registered: The paths of those of them that were registered.
            quarantine: The reasons why the others are not, by their paths.
            version: The number of this feed.
        """
        entries = pa.Table.from_pylist(
            [
                {
                    "source": self._stream.source,
                    "stream": self._stream.name,
                    "path": file.path,
                    "etag": file.etag,
                    "size_bytes": file.size,
                    "last_modified": file.last_modified,
                    "row_count": loaded[file.path].rows if file.path in loaded else None,
                    "status": "loaded" if file.path in loaded else "quarantined",
                    "reason": (
                        printable(quarantine[file.path]) if file.path in quarantine else None
                    ),
                    "cursor_version": version,
                    "generation_id": loaded[file.path].generation if file.path in loaded else None,
                    "feed_mode": (
                        None
                        if file.path not in loaded
                        else "register"
                        if file.path in registered
                        else "copy"
                    ),
                }
                for file in files
            ],
            schema=_FILES_SCHEMA,
        )
        self._connection.register("fed_files", entries)
        try:
            self._connection.execute(
                f"insert into {self.files} by name select *, now() as loaded_at from fed_files"
            )
        finally:
            self._connection.unregister("fed_files")

    def write_changes(self, changes: Sequence[SchemaChange], version: int) -> None:
        """Record what is new of the schema; what was recorded keeps its first file and time."""
        for change in changes:
            self._connection.execute(
                f"insert into {self._changes} select *, now()"
                " from (values (?, ?, ?, ?, ?, ?, ?, ?))"
                f" as found ({', '.join(_CHANGE_COLUMNS)}) anti join {self._changes} as known"
                " using (source, stream, column_name, change, type_after)",
                [
                    self._stream.source,
                    self._stream.name,
                    change.column_name,
                    change.change,
                    change.type_before,
                    change.type_after,
                    change.path,
                    version,
                ],
            )

    # -- writing, when there is nothing to feed ----------------------------------------------------

    def note_idle(self, cursor: Cursor, swept: bool) -> None:
        """Remember that everything was listed, and that nothing waits any more."""
        self._commit(
            f"update {self._cursors} set backlog_files = 0, backlog_bytes = 0,"
            f" swept_at = {'now()' if swept else 'swept_at'}"
            f" where {self._stream.condition} and cursor_version = {cursor.version}",
            f"nothing waits of {self._stream.label}",
        )

    def undo_removed(self, paths: Collection[str]) -> None:
        """Let files leave the quarantine that are gone from the landing zone."""
        self._commit(
            f"update {self.files} set status = 'undone',"
            " reason = 'removed on ' || now()::varchar || ', in quarantine because ' || reason"
            f" where {self._stream.condition} and status = 'quarantined'"
            f" and path in ({', '.join(map(literal, sorted(paths)))})",
            f"removed from quarantine of {self._stream.label}: {counted(len(paths), 'file')}",
        )

    def _commit(self, sql: str, message: str) -> None:
        if problem := commit(self._connection, sql, message):
            raise LakeError(f"{self._stream.label}: {problem}")
