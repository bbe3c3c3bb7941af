"""How a feed knows that another run was faster, and how it leaves nothing behind."""

from __future__ import annotations

import duckdb


class LostRace(Exception):
    """Another feed of this stream committed first, or a file was replaced: plan again."""


def is_conflict(error: duckdb.Error) -> bool:
    """Whether trying again can help: another run was faster, or the catalog was busy."""
    text = str(error).lower()
    return (isinstance(error, duckdb.TransactionException) and "conflict" in text) or any(
        words in text for words in ("database is locked", "serialize access", "retry count")
    )


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """End the transaction, if one is open."""
    try:
        connection.execute("rollback")
    except duckdb.Error:
        pass  # a failed commit has ended the transaction already
