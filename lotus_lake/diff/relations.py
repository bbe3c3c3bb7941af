"""Reads tables of a lake or branch as they were at one of its snapshots."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from lotus_lake.schema.types import quote


@dataclass(frozen=True)
class Side:
    """A database of the connection at one of its snapshots, and what to call it."""

    database: str
    snapshot: int
    label: str

    def relation(self, table: str) -> str:
        """SQL for a table, ``schema.name``, as of the snapshot."""
        schema, _, name = table.partition(".")
        return f"{self.database}.{schema}.{quote(name)} at (version => {self.snapshot})"


def columns(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> dict[str, str]:
    """The columns of a side's table, with their types."""
    described = connection.execute(f"describe from {side.relation(table)}").fetchall()
    return {name: kind for name, kind, *_ in described}


def count(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> int:
    """How many rows a side's table has."""
    row = connection.execute(f"select count(*) from {side.relation(table)}").fetchone()
    assert row
    return int(row[0])
