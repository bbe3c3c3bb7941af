"""Copies of an embedded lake's catalog, taken beside running builds, and the way back to one.

A copy holds everything but the data files, which DuckLake never changes and which maintenance
deletes ``cleanup_delay_days`` after their last use: within these days a copy can be restored.
A catalog in PostgreSQL is backed up with its own tools (docs/runbooks/disaster-recovery.md).
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect, read_sqlite, with_copied_catalog
from lotus_lake.exits import Unreachable
from lotus_lake.locks import run_lock
from lotus_lake.wording import counted

_NAME = re.compile(r"\d{8}T\d{6}Z-snapshot-(\d+)(-replaced)?\.sqlite\.gz")
_RUNBOOK = "docs/runbooks/disaster-recovery.md"


@dataclass(frozen=True, order=True)
class Backup:
    """One copy of a catalog; its name tells when it was taken and the newest snapshot in it."""

    name: str
    size: int

    @property
    def snapshot(self) -> int:
        found = _NAME.fullmatch(self.name)
        assert found
        return int(found[1])


class Backups:
    """The folder of copies, local or ``s3://``; by default ``backups/`` beside the lake's data.

    Raises:
        LakeError: The catalog is not embedded, or the folder cannot be used.
    """

    def __init__(self, config: LakeConfig, url: str | None = None) -> None:
        if not config.sqlite_path:
            raise LakeError(
                f"A catalog in PostgreSQL is backed up with pg_dump and restored with pg_restore: "
                f"{_RUNBOOK} says how. `lake backup --check` works with both."
            )
        self._config = config
        self._catalog = config.sqlite_path
        self.url = f"{(url or config.beside_data('backups')).rstrip('/')}/"
        with self._reaching():
            self._store = s3.open_folder(self.url)

    def list(self) -> list[Backup]:
        """The copies, oldest first.

        Raises:
            Unreachable: The folder cannot be read.
        """
        with self._reaching():
            items = self._store.list().collect()
        found = [Backup(item["path"], item["size"]) for item in items]
        return sorted(backup for backup in found if _NAME.fullmatch(backup.name))

    def find(self, name: str | None) -> Backup:
        """A copy by its name, or by the beginning of it; for None the newest that was asked for.

        Raises:
            LakeError: There is none.
        """
        matching = [
            backup
            for backup in self.list()
            if (backup.name.startswith(name) if name else "-replaced" not in backup.name)
        ]
        if not matching:
            raise LakeError(
                f"There is no backup {name or ''} in {self.url}: `lake backup --list` shows them."
            )
        return matching[-1]

    def take(self, keep: int | None = None, *, replaced: bool = False) -> Backup:
        """Copy the catalog as it is at one moment, and delete all but ``keep`` of the copies.

        Raises:
            LakeError: There is no lake, or it or the folder cannot be reached.
        """
        if not self._catalog.exists():
            raise LakeError(
                f"There is no lake at {self._config.catalog_name} yet: run `dbt build`."
            )
        with tempfile.TemporaryDirectory(prefix="lotus-backup-") as folder:
            copy = Path(folder, "catalog.sqlite")
            with_copied_catalog(self._config, copy)
            name = (
                f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-snapshot-{_newest_snapshot(copy)}"
                f"{'-replaced' if replaced else ''}.sqlite.gz"
            )
            packed = gzip.compress(copy.read_bytes())
        with self._reaching():
            self._store.put(name, packed)
            if keep is not None:
                for old in self.list()[:-keep]:
                    self._store.delete(old.name)
        return Backup(name, len(packed))

    def restore(self, backup: Backup, *, force: bool = False) -> Backup | None:
        """Make the catalog what it was, while no scheduler run has it; the copy of what it is.

        ``force`` does it also when the catalog is newer, or cannot be read and copied.

        Raises:
            LakeError: It was refused, the catalog or the folder cannot be reached, or another run
                has the lock.
        """
        with run_lock(self._config), tempfile.TemporaryDirectory() as folder:
            before = self._keep_current(backup, force)
            copy = Path(folder, "catalog.sqlite")
            with self._reaching():
                packed = self._store.get(backup.name).bytes()
            copy.write_bytes(gzip.decompress(bytes(packed)))
            _replace(self._catalog, copy)
        return before

    def _keep_current(self, backup: Backup, force: bool) -> Backup | None:
        """Copy what is to be overwritten; refuse if it has more than the backup, unless forced."""
        if not self._catalog.exists():
            return None
        try:
            snapshot = _newest_snapshot(self._catalog)
        except LakeError as error:
            if force:
                return None
            raise LakeError(
                f"{error} What it holds beyond {backup.name} cannot be told. Nothing was changed; "
                "add --force to replace it all the same."
            ) from error
        if snapshot > backup.snapshot and not force:
            raise LakeError(
                f"The lake is {counted(snapshot - backup.snapshot, 'snapshot')} newer than "
                f"{backup.name}. What was fed since is fed again only if it is still in the "
                "landing zone. Nothing was changed; add --force to go back all the same: the lake "
                "as it is now is kept as a backup."
            )
        return self.take(replaced=True)

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


def advice(config: LakeConfig) -> str:
    """How to get a lost catalog back, in words."""
    if not config.sqlite_path:
        return f"To restore your own backup of its database, see {_RUNBOOK}."
    try:
        backups = Backups(config)
        names = [backup.name for backup in backups.list()]
    except LakeError as error:
        return f"Its backups cannot be listed: {error}"
    found = f"{len(names):,}, the newest {names[-1]}" if names else "none"
    return (
        f"Backups in {backups.url}: {found}. To restore: `lake restore` "
        "(--at names another folder)."
    )


def missing_files(config: LakeConfig) -> list[str]:
    """Data files that the catalog's newest snapshot needs and that are not there any more.

    Raises:
        LakeError: The lake cannot be read.
    """
    with connect(config) as connection:
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
            [config.data_url],
        ).fetchall()
    return [path for (path,) in found]


def _newest_snapshot(catalog: Path) -> int:
    try:
        with read_sqlite(catalog) as database:
            row = database.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()
    except sqlite3.Error as error:
        raise LakeError(f"The catalog {catalog} cannot be read: {error}.") from error
    return int(row[0])


def _replace(catalog: Path, copy: Path) -> None:
    """Make the catalog what the copy is, in one transaction of SQLite's."""
    catalog.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(copy)) as source:
        (problem,) = source.execute("pragma integrity_check").fetchone()
        if problem != "ok":
            raise LakeError(f"The backup is damaged: {problem}. Nothing was changed; take another.")
        try:
            with contextlib.closing(sqlite3.connect(catalog, timeout=30)) as target:
                source.backup(target)
            return
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise Unreachable(f"The catalog {catalog} cannot be written: {error}.") from error
    # What is there is no database any more, so nobody reads it.
    for leftover in (catalog, Path(f"{catalog}-wal"), Path(f"{catalog}-shm")):
        leftover.unlink(missing_ok=True)
    shutil.copyfile(copy, catalog)
