"""Reads tables of a lake or branch as they were at one of its snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb


@dataclass(frozen=True)
class Side:
    """A lake or branch at one snapshot.

    Args:
        database: Its name on the connection.
        snapshot: Which of its snapshots.
        label: What to call it.
    """

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
    return int(one(connection, f"select count(*) from {side.relation(table)}"))


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The only value that a query gives."""
    row = connection.execute(sql).fetchone()
    assert row
    return row[0]


def escape(text: str) -> str:
    """A text, as it stands between the quotes of an SQL literal."""
    return text.replace("'", "''")


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
