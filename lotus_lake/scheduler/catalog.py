"""The lake's catalog without DuckDB: the run lock and the newest snapshot."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lotus_lake import postgres
from lotus_lake.config import LakeConfig, foreign_catalog
from lotus_lake.exits import Locked, Unreachable
from lotus_lake.locks import lock

# The newest snapshot, as [id, time].
Snapshot = list[str]

_NEWEST = "select snapshot_id, snapshot_time from {}ducklake_snapshot order by 1 desc limit 1"

# One number for all lakes: an advisory lock belongs to its database, as a catalog does.
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"lotus-lake run").digest()[:7])


class SqliteCatalog:
    """A catalog in a SQLite file; the lock is a file beside it.

    Python and DuckDB each have a SQLite of their own, and one would drop the other's file locks:
    nothing is opened here while DuckDB has the catalog attached in this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def lock(self) -> None:
        """Take the run lock until ``close`` or the end of the process; Locked says who has."""
        name = f"{self._path}.lock"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = lock(name)
        except OSError as error:
            raise Unreachable(
                f"The lock {name} cannot be opened: {error.strerror}. Give this user the right to "
                "write the folder of the catalog."
            ) from error
        if file is None:
            holder = Path(name).read_text(encoding="utf-8", errors="replace").strip()[:200]
            raise Locked(
                f"Another run holds the lock {name}: {holder or 'it has not said who it is'}. "
                "Nothing was done; wait for its end."
            )
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{postgres.whoami()}, since {now}\n".encode())
        self._lock = file

    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None while there is no lake."""
        if not self._path.exists():
            return None
        try:
            uri = f"{self._path.resolve().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as database:
                found = database.execute("select name from sqlite_master where type = 'table'")
                tables = {name for (name,) in found}
                if tables and "ducklake_metadata" not in tables:
                    raise foreign_catalog(f"sqlite:{self._path}")
                if "ducklake_snapshot" not in tables:
                    return None
                row = database.execute(_NEWEST.format("")).fetchone()
                return [str(value) for value in row] if row else None
        except sqlite3.Error as error:
            raise Unreachable(
                f"The catalog sqlite:{self._path} cannot be read: {error}. Check that it is the "
                "lake's SQLite catalog and that this user may read and write it."
            ) from error

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class PostgresCatalog:
    """A catalog in PostgreSQL; the lock is an advisory one of this session."""

    def __init__(self, config: LakeConfig) -> None:
        self._connection: Any = postgres.connect(config)

    def lock(self) -> None:
        """Take the run lock until ``close`` or the end of the session; Locked says who has."""
        (is_mine,) = self._row("select pg_catalog.pg_try_advisory_lock(%s)", _LOCK_KEY) or [False]
        if is_mine:
            return
        holder = self._row(
            "select application_name, backend_start from pg_catalog.pg_locks"
            " join pg_catalog.pg_stat_activity using (pid)"
            " where locktype = 'advisory' and granted"
            " and (classid::bigint << 32) + objid::bigint = %s",
            _LOCK_KEY,
        )
        who = f"{holder[0]}, connected {holder[1]:%Y-%m-%d %H:%M:%S %Z}" if holder else "unknown"
        raise Locked(
            f"Another run holds the lock of this catalog: {who}. Nothing was done; wait for "
            "its end."
        )

    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None while there is no lake."""
        there = self._row("select pg_catalog.to_regclass('public.ducklake_snapshot')")
        if not there or there[0] is None:
            return None
        row = self._row(_NEWEST.format("public."))
        return [str(value) for value in row] if row else None

    def close(self) -> None:
        """Release the lock and disconnect."""
        # The server itself releases the lock a moment after the session's end.
        with contextlib.suppress(Exception):
            self._row("select pg_catalog.pg_advisory_unlock_all()")
        with contextlib.suppress(Exception):
            self._connection.close()

    def _row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        import psycopg2

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
        except psycopg2.Error as error:
            raise postgres.away(error) from error


Catalog = SqliteCatalog | PostgresCatalog


def open_catalog(config: LakeConfig) -> Catalog:
    """The catalog of a configuration; Unreachable says why it cannot be opened."""
    path = config.sqlite_path
    return SqliteCatalog(path) if path else PostgresCatalog(config)
