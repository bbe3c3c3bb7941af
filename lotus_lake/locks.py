"""Locks that end with their process: on a file, on every system, and on a lake, for one run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lotus_lake import postgres
from lotus_lake.config import LakeConfig
from lotus_lake.exits import Locked, Unreachable

# Windows locks bytes, and keeps others from reading them: one that no file has.
_BYTE = 1 << 30

# One number for all lakes: an advisory lock belongs to its database, as a catalog does.
_RUN = int.from_bytes(hashlib.sha256(b"lotus-lake run").digest()[:7])
_LOCK_SQL = """
    select pg_try_advisory_lock(%(run)s), (
        select application_name || to_char(backend_start, ', "connected" YYYY-MM-DD HH24:MI:SS TZ')
        from pg_locks inner join pg_stat_activity using (pid)
        where
            locktype = 'advisory' and granted and pid <> pg_backend_pid()
            and (classid::bigint << 32) + objid::bigint = %(run)s
        limit 1
    )
"""


def lock(path: str | Path) -> int | None:
    """Lock a file, made if it is not there, until ``os.close``; None if another process has it.

    Raises:
        OSError: It cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def run_lock(config: LakeConfig) -> contextlib.AbstractContextManager[None]:
    """The lock that keeps the scheduler's runs over a lake apart, for ``with``.

    It is a file beside a SQLite catalog, and an advisory lock of a catalog's PostgreSQL database.

    Raises:
        Locked: Another run has it; the message says which.
        Unreachable: It cannot be taken.
        LakeError: The connection string is wrong.
    """
    return _file_lock(config.sqlite_path) if config.sqlite_path else _database_lock(config)


@contextlib.contextmanager
def _file_lock(catalog: Path) -> Iterator[None]:
    name = f"{catalog}.lock"
    try:
        catalog.parent.mkdir(parents=True, exist_ok=True)
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
    with open(file, "w", encoding="utf-8") as text:
        text.seek(0)  # Windows has moved to the byte that is locked
        text.truncate()
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        print(f"{postgres.whoami()}, since {now}", file=text, flush=True)
        yield


@contextlib.contextmanager
def _database_lock(config: LakeConfig) -> Iterator[None]:
    connection = postgres.connect(config)
    import psycopg2

    with contextlib.closing(connection), connection.cursor() as cursor:
        try:
            cursor.execute(_LOCK_SQL, {"run": _RUN})
            is_mine, holder = cursor.fetchone()
        except psycopg2.Error as error:
            raise postgres.away(error) from error
        if not is_mine:
            raise Locked(
                f"Another run holds the lock of this catalog: {holder or 'unknown'}. Nothing was "
                "done; wait for its end."
            )
        try:
            yield
        finally:
            # The server itself releases it a moment after the session's end.
            with contextlib.suppress(psycopg2.Error):
                cursor.execute("select pg_advisory_unlock_all()")
