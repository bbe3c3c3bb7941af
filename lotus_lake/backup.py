"""Copies of the lake's catalog, taken beside running builds, and the way back to one.

A copy holds everything but the data files, which DuckLake never changes and which maintenance
deletes ``cleanup_delay_days`` after their last use: within these days a copy can be restored.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError, is_s3, local_path
from lotus_lake.scheduler.catalog import open_catalog
from lotus_lake.scheduler.exits import Unreachable

if TYPE_CHECKING:
    import duckdb
    from obstore.store import ObjectStore

_NAME = re.compile(r"(\d{8}T\d{6}Z)-snapshot-(\d+)(-replaced)?\.(sqlite\.gz|pgdump)")

# Tables that came after the copy would otherwise stay, and their names come again.
_DROP_LATER_TABLES = """
set search_path = pg_catalog, pg_temp;
do $$
declare later record;
begin
    for later in
        select format('%I.%I', schemaname, tablename) as name from pg_tables
        where tablename like 'ducklake\\_%' and schemaname = 'public'
    loop
        execute 'drop table ' || later.name || ' cascade';
    end loop;
end $$;
"""


# What is in branches' schemas is not the lake's: to restore it would run it with the lake's rights.
_DUMP = ("--table=public.ducklake_*", "--table=public.lotus_lake_*", "--no-owner", "--no-acl")
_RESTORE = ("--schema=public", "--clean", "--if-exists", "--no-owner", "--no-acl")


class Refused(LakeError):
    """A restore that would lose something; ``force`` overrides it."""


@dataclass(frozen=True, order=True)
class Backup:
    """One copy of a catalog.

    Args:
        taken_at: When it was taken, in UTC.
        snapshot: The newest snapshot in it.
        name: Name of its file, which tells all but its size.
        replaced: Whether it is what a restore has replaced.
        size: In bytes.
    """

    taken_at: datetime
    snapshot: int
    name: str
    replaced: bool
    size: int

    @classmethod
    def parse(cls, name: str, size: int) -> Backup | None:
        """The copy that a file's name tells of, or None for another file."""
        found = _NAME.fullmatch(name)
        if not found:
            return None
        taken_at = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return cls(taken_at, int(found[2]), name, found[3] is not None, size)

    def __str__(self) -> str:
        return f"{self.name}  ({self.taken_at:%Y-%m-%d %H:%M} UTC, snapshot {self.snapshot})"


class Backups:
    """The folder of copies.

    Args:
        config: The lake.
        url: The folder, local or ``s3://``; by default ``backups/`` beside the lake's data.

    Raises:
        LakeError: The environment does not describe the object store.
    """

    def __init__(self, config: LakeConfig, url: str | None = None) -> None:
        self._config = config
        self.url = f"{(url or config.beside_data('backups')).rstrip('/')}/"
        self._prefix = ""
        self._store = self._open()

    def _open(self) -> ObjectStore:
        from obstore.store import LocalStore

        if is_s3(self.url):
            bucket, self._prefix = s3.split_url(self.url)
            return s3.open_bucket(bucket)
        folder = local_path(self.url)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"{self.url} cannot be made: {error.strerror}.") from error
        return LocalStore(folder)

    # -- what is there ---------------------------------------------------------------------------

    def list(self) -> Sequence[Backup]:
        """The copies, oldest first.

        Raises:
            Unreachable: The folder cannot be read.
        """
        import obstore

        with self._reaching():
            items = obstore.list(self._store, self._prefix or None).collect()
        found = [Backup.parse(item["path"].rsplit("/", 1)[-1], item["size"]) for item in items]
        return sorted(backup for backup in found if backup)

    def find(self, name: str | None) -> Backup:
        """A copy by its name, or by the beginning of it; for None the newest that was asked for.

        Raises:
            LakeError: There is none.
        """
        matching = [
            backup
            for backup in self.list()
            if (backup.name.startswith(name) if name else not backup.replaced)
        ]
        if not matching:
            raise LakeError(
                f"There is no backup {name or ''} in {self.url}: `backup.py list` shows them."
            )
        return matching[-1]

    # -- there and back --------------------------------------------------------------------------

    def take(self, keep: int | None = None, *, replaced: bool = False) -> Backup:
        """Copy the catalog as it is at one moment; builds may run.

        Args:
            keep: Delete all but this many of the newest copies; None keeps all.
            replaced: Say in its name that a restore is about to replace it.

        Raises:
            LakeError: There is no lake, or it or the folder cannot be reached.
        """
        import obstore

        suffix = "sqlite.gz" if self._config.sqlite_path else "pgdump"
        with tempfile.TemporaryDirectory(prefix="lotus-backup-") as folder:
            copy = Path(folder, "copy")
            # Looked at first: what the copy has is this snapshot, or a newer one.
            snapshot = self._newest_snapshot()
            if self._config.sqlite_path:
                _copy_sqlite(self._config.sqlite_path, copy)
            else:
                self._postgres("pg_dump", "--format=custom", *_DUMP, "-f", copy)
            name = (
                f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-snapshot-{snapshot}"
                f"{'-replaced' if replaced else ''}.{suffix}"
            )
            with self._reaching():
                obstore.put(self._store, self._prefix + name, copy)
            backup = Backup.parse(name, copy.stat().st_size)
        assert backup
        if keep is not None:
            with self._reaching():
                for old in self.list()[: -max(keep, 1)]:
                    obstore.delete(self._store, self._prefix + old.name)
        return backup

    def restore(self, backup: Backup, *, force: bool = False) -> Backup | None:
        """Make the catalog what it was, while no scheduler run has it.

        Args:
            backup: The copy.
            force: Also when the catalog is newer, or cannot be read.

        Returns:
            A copy of what the catalog was before, or None when there was nothing to read.

        Raises:
            Refused: The catalog is newer, or cannot be read; the message says what would be lost.
            LakeError: The catalog or the folder cannot be reached, or another run has the lock.
        """
        wanted = "sqlite.gz" if self._config.sqlite_path else "pgdump"
        if not backup.name.endswith(wanted):
            raise LakeError(
                f"{backup.name} is no copy of {self._config.catalog_name}: its name has to end "
                f"with {wanted}. Set LAKE_CATALOG to the kind of catalog that it was taken from."
            )
        lock = open_catalog(self._config)
        try:
            lock.lock()
            before = self._before(backup, force)
            with tempfile.TemporaryDirectory(prefix="lotus-restore-") as folder:
                copy = Path(folder, "copy")
                self._fetch(backup, copy)
                if self._config.sqlite_path:
                    _restore_sqlite(copy, self._config.sqlite_path)
                else:
                    self._restore_postgres(copy, Path(folder, "restore.sql"))
        finally:
            lock.close()
        return before

    def missing(self) -> Sequence[str]:
        """Data files that the catalog's newest snapshot needs and that are not there any more.

        Raises:
            LakeError: The lake cannot be read.
        """
        from lotus_lake.connection import connect

        with connect(self._config) as connection:
            return _missing_files(connection, self._config.data_url)

    # -- inside ----------------------------------------------------------------------------------

    def _newest_snapshot(self) -> int:
        catalog = open_catalog(self._config)
        try:
            newest = catalog.snapshot()
        finally:
            catalog.close()
        if newest is None:
            raise LakeError(
                f"There is no lake at {self._config.catalog_name} yet: run `dbt build`."
            )
        return int(newest[0])

    def _before(self, backup: Backup, force: bool) -> Backup | None:
        """What is to be overwritten, kept; refuse when it has more than the copy, unless forced."""
        try:
            snapshot = self._newest_snapshot()
        except Unreachable as error:
            if force:
                return None
            raise Refused(
                f"{error} What it holds beyond {backup.name} cannot be told. Nothing was changed; "
                "add --force to replace it all the same."
            ) from error
        except LakeError:
            return None  # an empty place
        if snapshot > backup.snapshot and not force:
            raise Refused(
                f"The lake is {snapshot - backup.snapshot} snapshots newer than {backup.name}: "
                f"{self._lost(backup)} Nothing was changed; add --force to go back all the same."
            )
        return self.take(replaced=True)

    def _lost(self, backup: Backup) -> str:
        """What a restore would take away, in words."""
        from lotus_lake.connection import connect
        from lotus_lake.landing import open_landing

        with connect(self._config) as connection:
            fed = connection.execute(
                "select path, etag from lakehouse.meta.feeder_files"
                " where status = 'loaded' and loaded_at > ? order by path",
                [backup.taken_at],
            ).fetchall()
        there = {
            (file.path, file.etag)
            for file in open_landing(self._config.landing_url).again([path for path, _ in fed])
        }
        gone = [path for path, etag in fed if (path, etag) not in there]
        kept = len(fed) - len(gone)
        again = f"{len(fed)} files were fed since, and {kept} of them would be fed again."
        if not gone:
            return again
        return (
            f"{again} {len(gone)} have left the landing zone and would be lost, such as {gone[0]}."
        )

    def _fetch(self, backup: Backup, to: Path) -> None:
        import obstore

        with self._reaching(), open(to, "wb") as file:
            for chunk in obstore.get(self._store, self._prefix + backup.name).stream():
                file.write(chunk)

    def _restore_postgres(self, copy: Path, script: Path) -> None:
        """In one transaction: readers see the old catalog, or the new one."""
        self._postgres("pg_restore", *_RESTORE, "-f", script, copy)
        self._postgres(
            *("psql", "--no-psqlrc", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1"),
            *("-o", os.devnull, "-c", _DROP_LATER_TABLES, "-f", script),
        )

    def _postgres(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's own programs on the catalog's database."""
        path = shutil.which(program, path=os.environ.get("PG_BIN")) or shutil.which(program)
        if not path:
            raise LakeError(
                f"{program} is not there: install PostgreSQL's client programs (Debian: "
                "postgresql-client), at least as new as the server, or set PG_BIN to their folder."
            )
        done = subprocess.run(
            [path, *map(str, arguments)],
            env={**os.environ, **_libpq(self._config.catalog.removeprefix("postgres:"))},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise Unreachable(f"{program} failed: {lines[-1]}. Check the PG* variables.")

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise Unreachable(
                f"The backups in {self.url} cannot be reached: {s3.reason(error)}. Check that the "
                "place is there, AWS_ENDPOINT_URL_S3 and the AWS_* keys."
            ) from error


def _copy_sqlite(catalog: Path, copy: Path) -> None:
    """The catalog at one moment, packed; SQLite's online backup waits for no writer for long."""
    plain = copy.with_suffix(".sqlite")
    try:
        with (
            contextlib.closing(sqlite3.connect(catalog, timeout=30)) as source,
            contextlib.closing(sqlite3.connect(plain)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise Unreachable(f"The catalog {catalog} cannot be copied: {error}.") from error
    with open(plain, "rb") as unpacked, gzip.open(copy, "wb") as packed:
        shutil.copyfileobj(unpacked, packed)


def _restore_sqlite(copy: Path, catalog: Path) -> None:
    plain = copy.with_suffix(".sqlite")
    with gzip.open(copy) as packed, open(plain, "wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    catalog.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(plain)) as source:
        (problem,) = source.execute("pragma integrity_check").fetchone()
        if problem != "ok":
            raise LakeError(f"The backup is damaged: {problem}. Nothing was changed; take another.")
        try:
            # One transaction of the catalog: a reader sees the old one, or the new one.
            with contextlib.closing(sqlite3.connect(catalog, timeout=30)) as target:
                source.backup(target)
            return
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise Unreachable(f"The catalog {catalog} cannot be written: {error}.") from error
    # What is there is no database any more, so nobody reads it.
    for leftover in (catalog, Path(f"{catalog}-wal"), Path(f"{catalog}-shm")):
        leftover.unlink(missing_ok=True)
    shutil.copyfile(plain, catalog)


def _libpq(text: str) -> dict[str, str]:
    """A connection string as libpq's variables: arguments are there for every user to read.

    Raises:
        LakeError: It is no connection string.
    """
    import psycopg2.extensions

    try:
        parts = psycopg2.extensions.parse_dsn(f"postgres:{text}" if text[:2] == "//" else text)
    except psycopg2.ProgrammingError as error:
        raise LakeError("LAKE_CATALOG: what follows postgres: is no connection string.") from error
    names = {"dbname": "PGDATABASE", "options": "PGOPTIONS"}
    return {
        names.get(key, f"PG{key.replace('_', '').upper()}"): value for key, value in parts.items()
    }


def _missing_files(connection: duckdb.DuckDBPyConnection, data_url: str) -> Sequence[str]:
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'lakehouse'"
    ).fetchall()
    listed = " union all ".join(
        "select unnest([data_file, delete_file]) as path"
        f" from ducklake_list_files('lakehouse', '{table}', schema => '{schema}')"
        for schema, table in tables
    )
    # Landed files that are registered lie elsewhere: reconcile looks after those.
    found = connection.execute(
        f"select path from ({listed}) where starts_with(path, $1) and path not in"
        " (select file from glob($1 || '**')) order by path",
        [data_url],
    )
    return [path for (path,) in found.fetchall()]
