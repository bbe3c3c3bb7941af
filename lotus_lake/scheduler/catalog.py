"""The lake's catalog without DuckDB: the run lock, the newest snapshot, a copy of the memory."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from lotus_lake import postgres
from lotus_lake.config import LakeConfig, foreign_catalog
from lotus_lake.scheduler.exits import Locked, Unreachable

# The newest snapshot, as [id, time]. With its time, because after a restore an id comes again.
Snapshot = list[str]

_NEWEST = "select snapshot_id, snapshot_time from {}ducklake_snapshot order by 1 desc limit 1"


class Catalog(Protocol):
    """A catalog, opened."""

    def lock(self) -> None:
        """Take the run lock, which is held until ``close`` or the end of the process.

        Raises:
            Locked: Another run holds it; the message says who, where that can be known.
        """

    def holds_lock(self) -> bool:
        """Whether the lock is still held, which a lost connection ends; then try to regain it."""

    def snapshot(self) -> Snapshot | None:
        """The newest snapshot, or None while there is no lake.

        Raises:
            Unreachable: The catalog cannot be read.
            LakeError: It is something else.
        """

    def load(self) -> dict[str, Any] | None:
        """The copy of the scheduler's memory that is kept here, if any."""

    def save(self, memory: dict[str, Any]) -> None:
        """Keep a copy of the scheduler's memory here, if this catalog keeps any."""

    def close(self) -> None:
        """Let go of the lock and of the catalog."""


def open_catalog(config: LakeConfig) -> Catalog:
    """The catalog of a configuration.

    Raises:
        Unreachable: It cannot be reached.
        LakeError: Its connection string is wrong.
    """
    path = config.sqlite_path
    return SqliteCatalog(path) if path else PostgresCatalog(config)


class SqliteCatalog:
    """A catalog in a SQLite file; the lock is a file beside it.

    Python and DuckDB each have a SQLite of their own, and one would drop the other's file locks:
    nothing is opened here while DuckDB has the catalog attached in this process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def lock(self) -> None:
        name = f"{self._path}.lock"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unreachable(
                f"The lock {name} cannot be opened: {error.strerror}. Give this user the right to "
                "write the folder of the catalog."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 200, 0).decode(errors="replace").strip()
            os.close(file)
            raise Locked(
                f"Another run holds the lock {name}: {holder or 'it has not said who it is'}. "
                "Nothing was done; wait for its end."
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(
            file,
            f"{postgres.whoami()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode(),
            0,
        )
        self._lock = file

    def holds_lock(self) -> bool:
        return self._lock is not None

    def snapshot(self) -> Snapshot | None:
        import sqlite3

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

    def load(self) -> dict[str, Any] | None:
        return None  # the file beside the data is as near

    def save(self, memory: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class PostgresCatalog:
    """A catalog in PostgreSQL; the lock is an advisory one of this session."""

    def __init__(self, config: LakeConfig) -> None:
        self._config = config
        self._connection: Any = None
        self._connect()

    def lock(self) -> None:
        with self._reading():
            row = self._one("select pg_catalog.pg_try_advisory_lock(%s)", [_lock_key()])
            if row and row[0]:
                return
            holder = self._one(
                "select application_name, backend_start from pg_catalog.pg_locks"
                " join pg_catalog.pg_stat_activity using (pid)"
                " where locktype = 'advisory' and granted"
                " and (classid::bigint << 32) + objid::bigint = %s",
                [_lock_key()],
            )
        who = f"{holder[0]}, connected {holder[1]:%Y-%m-%d %H:%M:%S %Z}" if holder else "unknown"
        raise Locked(
            f"Another run holds the lock of this catalog: {who}. Nothing was done; wait for "
            "its end."
        )

    def holds_lock(self) -> bool:
        try:
            with self._reading():
                self._one("select 1", [])
            return True
        except Unreachable:
            pass
        try:
            self._connect()
            self.lock()
            return True
        except (Locked, Unreachable):
            return False

    def snapshot(self) -> Snapshot | None:
        with self._reading():
            there = self._one("select pg_catalog.to_regclass('public.ducklake_snapshot')", [])
            if not there or there[0] is None:
                return None
            row = self._one(_NEWEST.format("public."), [])
        return [str(value) for value in row] if row else None

    def load(self) -> dict[str, Any] | None:
        with self._reading():
            there = self._one("select pg_catalog.to_regclass('public.lotus_lake_scheduler')", [])
            if not there or there[0] is None:
                return None
            row = self._one("select memory from public.lotus_lake_scheduler", [])
        return json.loads(row[0]) if row else None

    def save(self, memory: dict[str, Any]) -> None:
        with self._reading() as cursor:
            cursor.execute(
                "create table if not exists public.lotus_lake_scheduler"
                " (id integer primary key, memory text not null)"
            )
            cursor.execute(
                "insert into public.lotus_lake_scheduler values (1, %s)"
                " on conflict (id) do update set memory = excluded.memory",
                [json.dumps(memory)],
            )

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception), self._connection.cursor() as cursor:
                # The server would let go of the lock a moment after the session's end.
                cursor.execute("select pg_catalog.pg_advisory_unlock_all()")
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self.close()
        self._connection = postgres.connect(self._config)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Any]:
        """A cursor; what goes wrong with it is said in one line."""
        import psycopg2

        if self._connection is None:
            self._connect()
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise postgres.away(error) from error

    def _one(self, sql: str, values: list[Any]) -> tuple[Any, ...] | None:
        with self._reading() as cursor:
            cursor.execute(sql, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


def _lock_key() -> int:
    """One number for all lakes: an advisory lock belongs to its database, as a catalog does."""
    return int.from_bytes(hashlib.sha256(b"lotus-lake run").digest()[:7])
