"""The lake's states and tables, as DuckLake's own catalog remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from lotus_lake.connection import ALIAS

_CATALOG = f"__ducklake_metadata_{ALIAS}"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """A state of the lake."""

    number: int
    at: datetime

    def __str__(self) -> str:
        return f"snapshot {self.number} of {in_utc(self.at)}"


class Catalog:
    """What DuckLake's catalog has of the past.

    Args:
        connection: Connection with the lake attached as ``lakehouse``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.oldest, self.newest = self._outermost("min"), self._outermost("max")

    def numbered(self, number: int) -> Snapshot | None:
        """A snapshot; None if the lake does not have it."""
        found = fetch(
            self._connection,
            f"select snapshot_id, snapshot_time::timestamptz from {_CATALOG}.ducklake_snapshot"
            f" where snapshot_id = {number}",
        )
        return Snapshot(*found[0]) if found else None

    def time_of(self, number: int) -> datetime:
        """When a snapshot that the lake has was made."""
        found = fetch(
            self._connection,
            "select snapshot_time::timestamptz from"
            f" {_CATALOG}.ducklake_snapshot where snapshot_id = {number}",
        )
        at: datetime = found[0][0]
        return at

    def newest_until(self, moment: datetime) -> Snapshot | None:
        """The state that the lake was in at a moment; None if it is too long ago."""
        found = fetch(
            self._connection,
            f"select snapshot_id, snapshot_time::timestamptz from {_CATALOG}.ducklake_snapshot"
            f" where snapshot_time::timestamptz <= ? order by snapshot_id desc limit 1",
            [moment],
        )
        return Snapshot(*found[0]) if found else None

    def tables(self) -> list[str]:
        """The tables that there are now, ``schema.name``, without the bookkeeping."""
        return [
            name
            for (name,) in fetch(
                self._connection,
                f"select schema_name || '.' || table_name from {_CATALOG}.ducklake_table as tables"
                f" inner join {_CATALOG}.ducklake_schema as schemas using (schema_id)"
                " where tables.end_snapshot is null and schema_name <> 'meta' order by all",
            )
        ]

    def lives(self, schema: str, table: str) -> list[tuple[int, float]]:
        """From and to which snapshot a table of this name was there: a rebuild is another table."""
        return fetch(
            self._connection,
            f"select tables.begin_snapshot, coalesce(tables.end_snapshot, 'infinity'::double)"
            f" from {_CATALOG}.ducklake_table as tables"
            f" inner join {_CATALOG}.ducklake_schema as schemas using (schema_id)"
            " where schema_name = ? and table_name = ? order by 1",
            [schema, table],
        )

    def was_written(self, table: str, after: int, until: int) -> bool:
        """Whether a table of this name got rows after one snapshot and up to another."""
        return bool(
            fetch(
                self._connection,
                f"select 1 from (select unnest(string_split(changes_made, ',')) as change from"
                f" {_CATALOG}.ducklake_snapshot_changes where snapshot_id > {after} and snapshot_id"
                f" <= {until}) inner join {_CATALOG}.ducklake_table as tables on"
                " split_part(change, ':', 2) = table_id::varchar where table_name = ? and"
                " split_part(change, ':', 1) like '%insert%' limit 1",
                [table],
            )
        )

    def _outermost(self, which: str) -> Snapshot:
        return Snapshot(
            *fetch(
                self._connection,
                f"select {which}(snapshot_id), {which}_by(snapshot_time, snapshot_id)::timestamptz"
                f" from {_CATALOG}.ducklake_snapshot",
            )[0]
        )


def fetch(
    connection: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None
) -> list[Row]:
    """The rows of a query."""
    return connection.execute(sql, values or []).fetchall()


def in_utc(moment: datetime) -> str:
    """A moment as it is shown."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
