"""Transactions that other runs can be faster than: how that is noticed, and tried again."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from lotus_lake.connection import ALIAS
from lotus_lake.schema.types import literal

# With the pauses between them about half a minute, which other runs need to commit theirs.
_ATTEMPTS = 6


class LostRace(Exception):
    """Another feed of this stream committed first, or a file is gone: plan again."""


class FileChanged(LostRace):
    """The file of this path was written again since it was listed: plan again."""


def attempts() -> Iterator[None]:
    """Each of the attempts at a transaction, after a pause that grows."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0.1, 0.5) * 2 ** (attempt - 1))
        yield


def is_conflict(error: Exception) -> bool:
    """Whether trying again can help: another run was faster, or the catalog was busy."""
    text = str(error).lower()
    return (isinstance(error, duckdb.TransactionException) and "conflict" in text) or any(
        words in text for words in ("database is locked", "serialize access", "retry count")
    )


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.Error:
        pass  # a failed commit has ended the transaction already


@dataclass(frozen=True)
class Run:
    """What makes a snapshot: a command, such as ``lake undo``, and its id."""

    command: str
    invocation_id: str

    @classmethod
    def of_dbt(cls) -> Run:
        # What only reads the lake starts faster without dbt.
        from dbt.flags import get_flags
        from dbt_common.invocation import get_invocation_id

        command = getattr(get_flags(), "WHICH", None) or "run"  # type: ignore[no-untyped-call]
        return cls(f"dbt {command}", get_invocation_id())


def sign(connection: duckdb.DuckDBPyConnection, message: str = "", run: Run | None = None) -> None:
    """Write into the snapshot of the open transaction which run makes it, and what it does.

    ``ducklake_snapshots('lakehouse')`` shows it, and ``meta.invocations`` has dbt's runs.
    """
    run = run or Run.of_dbt()
    extra = {
        "invocation_id": run.invocation_id,
        "tick_id": os.environ.get("LAKE_TICK_ID") or None,
        "code_version": os.environ.get("LAKE_CODE_VERSION") or None,
    }
    connection.execute(
        f"call {ALIAS}.set_commit_message({literal(run.command)}, {literal(message)},"
        f" extra_info => {literal(json.dumps(extra))})"
    )


def commit(
    connection: duckdb.DuckDBPyConnection, sql: str, message: str = "", run: Run | None = None
) -> str | None:
    """Run statements in one transaction, again from its begin when another run was faster.

    They have to come out right whatever was committed before them; no transaction may be open. What
    went wrong is returned, and nothing was written then.

    Two runs that build different tables meet in the bookkeeping: DuckLake lets only one of two
    transactions commit that change rows of one table that are kept in the catalog.
    """
    problem = None
    for _ in attempts():
        try:
            connection.execute("begin")
            sign(connection, message, run)
            connection.execute(sql)
            connection.execute("commit")
            return None
        except duckdb.Error as error:
            roll_back(connection)
            problem = str(error)
            if not is_conflict(error):
                return problem
    return f"{problem}\nOther runs kept changing the lake meanwhile: let them end, and run again."
