"""What the lake remembers of a stream: its cursor, its ledger, and the changes of its schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.escaping import printable
from lotus_lake.landing import LandedFile
from lotus_lake.probe import Probe
from lotus_lake.races import commit
from lotus_lake.schema.types import literal
from lotus_lake.streams import Stream
from lotus_lake.wording import counted

if TYPE_CHECKING:
    from lotus_lake.feeder.batch import Batch
    from lotus_lake.feeder.plan import Plan

_META = f"{ALIAS}.meta"
FILES = f"{_META}.feeder_files"
_CURSORS, _CHANGES = f"{_META}.feeder_cursors", f"{_META}.schema_changes"


@dataclass(frozen=True)
class Cursor:
    """How far a stream is fed: its row of meta.feeder_cursors."""

    path: str | None  # the newest path fed
    version: int  # the number of the last feed that wrote something; 0 before the first
    files: int  # how many were fed
    backlog: int  # how many new files the last run left
    swept_at: datetime | None  # when everything was last listed; None asks for it now


@dataclass(frozen=True)
class Ledger:
    """A stream's rows in meta.feeder_cursors, feeder_files and schema_changes.

    What it writes of a feed goes into the feed's transaction.
    """

    connection: duckdb.DuckDBPyConnection
    stream: Stream

    def cursor(self) -> Cursor:
        row = self.connection.execute(
            "select cursor_path, cursor_version, files_loaded, backlog_files, swept_at"
            f" from {_CURSORS} where {self.stream.condition}"
        ).fetchone()
        if row is None:
            raise LakeError(
                f"Stream {self.stream.label} has no cursor row in meta.feeder_cursors: run dbt "
                "with the project's on-run-start, which creates it."
            )
        return Cursor(*row)

    def quarantined(self) -> list[str]:
        paths = self.connection.execute(
            f"select path from {_META}.quarantine where {self.stream.condition}"
        ).fetchall()
        return [path for (path,) in paths]

    def known(self, files: Sequence[LandedFile]) -> set[tuple[str, str]]:
        """The versions that the ledger has, of these files and of those between them."""
        if not files:
            return set()
        paths = [file.path for file in files]
        return set(
            self.connection.execute(
                f"select path, etag from {FILES}"
                f" where {self.stream.condition} and path between ? and ?"
                # One that was removed while it was in quarantine is looked at again if it returns.
                " and (status <> 'undone' or row_count is not null)",
                [min(paths), max(paths)],
            ).fetchall()
        )

    def move_cursor(self, cursor: Cursor, batch: Batch, loaded: Collection[Probe]) -> None:
        """Move the cursor; TransactionException if another feed has moved it."""
        if self.cursor().version != cursor.version:
            raise duckdb.TransactionException("conflict: the cursor moved")
        self.connection.execute(
            f"update {_CURSORS} set cursor_path = ?, cursor_version = ?,"
            " files_loaded = files_loaded + ?, rows_loaded = rows_loaded + ?,"
            " bytes_loaded = bytes_loaded + ?, backlog_files = ?, backlog_bytes = ?,"
            f" swept_at = {'now()' if batch.swept else 'swept_at'}, updated_at = now()"
            f" where {self.stream.condition}",
            [
                batch.latest,
                cursor.version + 1,
                len(loaded),
                sum(probe.rows for probe in loaded),
                sum(probe.file.size for probe in loaded),
                len(batch.rest),
                sum(file.size for file in batch.rest),
            ],
        )

    def write_files(
        self, batch: Batch, plan: Plan, quarantine: Mapping[str, str], version: int
    ) -> None:
        """Write what became of each file of a feed; ``quarantine`` has reasons by path."""
        loaded = {probe.file: (probe, group) for group in plan.groups for probe in group.probes}
        entries = [
            {
                "path": file.path,
                "etag": file.etag,
                "size_bytes": file.size,
                "last_modified": file.last_modified,
                "row_count": probe.rows if probe else None,
                "status": "loaded" if probe else "quarantined",
                "reason": None if probe else printable(quarantine[file.path]),
                "generation_id": probe.generation if probe else None,
                "feed_mode": None if group is None else "register" if group.register else "copy",
            }
            for file in batch.files
            for probe, group in [loaded.get(file, (None, None))]
        ]
        self._insert(FILES, entries, version, "loaded_at")

    def write_changes(self, changes: Sequence[Mapping[str, str | None]], version: int) -> None:
        """Record what is new of the schema; what was recorded keeps its first file and time."""
        if not changes:
            return
        known = self.connection.execute(
            f"select column_name, change, type_after from {_CHANGES} where {self.stream.condition}"
        ).fetchall()
        new = [
            change
            for change in changes
            if (change["column_name"], change["change"], change["type_after"]) not in known
        ]
        if new:
            self._insert(_CHANGES, new, version, "seen_at")

    def _insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], version: int, moment: str
    ) -> None:
        self.connection.register("new_rows", pa.Table.from_pylist(rows))
        try:
            self.connection.execute(
                f"insert into {table} by name select *, ? as source, ? as stream,"
                f" ? as cursor_version, now() as {moment} from new_rows",
                [self.stream.source, self.stream.name, version],
            )
        finally:
            self.connection.unregister("new_rows")

    def note_idle(self, cursor: Cursor, swept: bool) -> None:
        """Remember that everything was listed, and that nothing waits any more."""
        self._commit(
            f"update {_CURSORS} set backlog_files = 0, backlog_bytes = 0,"
            f" swept_at = {'now()' if swept else 'swept_at'}"
            f" where {self.stream.condition} and cursor_version = {cursor.version}",
            f"nothing waits of {self.stream.label}",
        )

    def undo_removed(self, paths: Collection[str]) -> None:
        """Let files leave the quarantine that are gone from the landing zone."""
        self._commit(
            f"update {FILES} set status = 'undone',"
            " reason = 'removed on ' || now()::varchar || ', in quarantine because ' || reason"
            f" where {self.stream.condition} and status = 'quarantined'"
            f" and path in ({', '.join(map(literal, sorted(paths)))})",
            f"removed from quarantine of {self.stream.label}: {counted(len(paths), 'file')}",
        )

    def _commit(self, sql: str, message: str) -> None:
        if problem := commit(self.connection, sql, message):
            raise LakeError(f"{self.stream.label}: {problem}")
