"""Branches: writable copies of a lake's catalog, over the same data files.

A branch is everything that the lake is, its incremental state included, at the moment of copying.
No data is copied: the branch's catalog names the lake's files by their full paths, and what it
writes itself lies in a data path of its own. It can never delete one of the lake's files, because
its list of files to delete takes no path from elsewhere.

With PostgreSQL a branch is another schema of the catalog's database, made in one transaction; with
SQLite another file. What a branch is called and when it was made stands in that schema's comment,
or in a file beside the catalog, so the lake itself is not changed by being branched.

For a role that may not make schemas, functions of role.sql make and drop them; the schema and its
comment are then beyond its reach. Nothing that the lake does looks into a branch's schema: views
and triggers there would run with the lake's rights.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lotus_lake import postgres, s3
from lotus_lake.config import LakeConfig, LakeError, is_s3, local_path
from lotus_lake.connection import with_copied_catalog
from lotus_lake.escaping import printable
from lotus_lake.exits import Unreachable

_NAME = re.compile(r"[a-z0-9_]{1,40}")

# More of a record is not read; one of ours has about 200 characters.
_RECORD_SIZE = 4000


@dataclass(frozen=True)
class Branch:
    name: str
    base_snapshot: int  # the lake's newest one at the moment of copying: what both share
    created_at: datetime
    created_by: str

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.created_at

    @classmethod
    def from_json(cls, text: str) -> Branch:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: It is something else; in words.
        """
        try:
            values = json.loads(text)
            made = cls(
                name=values["name"],
                base_snapshot=values["base_snapshot"],
                created_at=datetime.fromisoformat(values["created_at"]).astimezone(UTC),
                created_by=printable(values["created_by"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise ValueError("says neither when it was made nor by whom") from None
        if type(made.base_snapshot) is not int or not 0 <= made.base_snapshot < 2**63:
            raise ValueError("names no snapshot of the lake")
        # A day, since two machines' clocks differ.
        if made.age < timedelta(days=-1):
            raise ValueError("says that it was made in the future")
        return made

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "created_at": self.created_at.isoformat()})


def create(lake: LakeConfig, name: str) -> Branch:
    """Make a branch of a lake.

    Raises:
        LakeError: There is such a branch, there is no lake, or the name cannot be used.
        Unreachable: The catalog or the data's place does not answer.
    """
    config = _branch_config(lake, name)
    if config.branch in _records(lake):
        raise LakeError(
            f"There is a branch {config.branch} already: build on it, or drop it first with "
            f"`lake branch drop {config.branch}`."
        )
    if lake.sqlite_path and not lake.sqlite_path.exists():
        raise LakeError(f"There is no lake at {lake.catalog_name} to branch: run `make build`.")
    _delete_data(config)  # what a branch of this name left that was not dropped to the end
    return _create_in_sqlite(config) if config.sqlite_path else _create_in_postgres(config)


def drop(lake: LakeConfig, name: str) -> None:
    """Drop a branch, and delete the files that it wrote.

    Killed in between, it leaves files that nothing knows; dropping again deletes them.

    Raises:
        LakeError: There is no such branch, and nothing is left of one.
        Unreachable: The catalog or the data's place does not answer.
    """
    config = _branch_config(lake, name)
    known = config.branch in _records(lake)
    path = config.sqlite_path
    if path:
        _record(path).unlink(missing_ok=True)
        _delete_catalog(path)
    elif known:
        with _transaction(config) as cursor:
            if _may_make_schemas(cursor):
                cursor.execute(f'drop schema "{config.metadata_schema}" cascade')
            else:
                cursor.execute("select lotus_lake_branches.drop_branch(%s)", [config.branch])
    if not _delete_data(config) and not known:
        raise LakeError(f"There is no branch {config.branch}. `lake branch list` shows what is.")


def branches(lake: LakeConfig) -> tuple[list[Branch], list[str]]:
    """The branches of a lake, or of the lake that a branch is of, oldest first; and a line about
    each thing in their place that is none: whoever can put it there must not hold maintenance.

    Raises:
        Unreachable: The catalog does not answer.
    """
    lake = lake.branch_of or lake
    found, odd = [], []
    for name, text in sorted(_records(lake).items()):
        try:
            if text is None:
                raise ValueError("is missing or cannot be read")
            branch = Branch.from_json(text)
            if branch.name != name or not _NAME.fullmatch(name):
                raise ValueError("is that of a branch of another name")
            found.append(branch)
        except ValueError as error:
            what = f"File branches/{name}.json" if lake.sqlite_path else f"Schema branch_{name}"
            record = "it" if lake.sqlite_path else "its comment"
            odd.append(
                f"{printable(what)} is passed over: {record} {error}. No clean-up waits for it. "
                "Drop the branch if it is one; if it is something else, take it out of there."
            )
    return sorted(found, key=lambda branch: (branch.created_at, branch.name)), odd


def find(config: LakeConfig) -> Branch | None:
    """The branch that a configuration is of, or None when it is not there."""
    return next((one for one in branches(config)[0] if one.name == config.branch), None)


def require(config: LakeConfig) -> Branch:
    """The branch that a configuration is of.

    Raises:
        LakeError: It is not there; attaching it would make an empty lake.
    """
    found = find(config)
    if found is None:
        raise LakeError(
            f"There is no branch {config.branch} of this lake. Make it with `lake branch "
            f"create {config.branch}`; `lake branch list` shows what is there."
        )
    return found


def _branch_config(lake: LakeConfig, name: str) -> LakeConfig:
    if lake.branch:
        raise LakeError(
            f"DBT_TARGET is pr, branch {lake.branch}: branches are made of the lake itself, and "
            "dropped from there. Set DBT_TARGET to local or prod."
        )
    return lake.of_branch(name)


def _records(lake: LakeConfig) -> dict[str, str | None]:
    """What lies where a lake's branches are: what each says of itself, by its name."""
    if lake.sqlite_path:
        folder = lake.sqlite_path.parent / "branches"
        return {path.stem: _read(path) for path in folder.glob("*.json")}
    with _transaction(lake) as cursor:
        cursor.execute(
            "select pg_catalog.substr(nspname, 8),"
            " pg_catalog.left(pg_catalog.obj_description(oid, 'pg_namespace'), %s)"
            " from pg_catalog.pg_namespace where nspname like 'branch\\_%%'",
            [_RECORD_SIZE],
        )
        return dict(cursor.fetchall())


def _new(config: LakeConfig, base_snapshot: int) -> Branch:
    return Branch(config.branch, base_snapshot, datetime.now(UTC).replace(microsecond=0), _by())


def _by() -> str:
    return os.environ.get("LAKE_BRANCH_BY") or user()


def user() -> str:
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user without a name
        if sys.platform == "win32":
            return "unknown"
        return str(os.getuid())


def _own_files_sql(config: LakeConfig, kind: str, schema: str = "") -> str:
    """What makes a copied catalog one of a branch."""
    folder = Path(__file__).parent
    sql = "".join((folder / f"{name}.sql").read_text() for name in ("branches", f"branches_{kind}"))
    url = config.data_url.replace("'", "''")
    return sql.format(schema=schema, branch_url=url, length=len(config.data_url))


# -- SQLite ----------------------------------------------------------------------------------------


def _record(catalog: Path) -> Path:
    return catalog.with_suffix(".json")


def _read(record: Path) -> str | None:
    try:
        if record.is_file():  # a pipe would be waited for
            with record.open(errors="replace") as file:
                return file.read(_RECORD_SIZE)
    except OSError:
        pass
    return None


def _create_in_sqlite(config: LakeConfig) -> Branch:
    assert config.branch_of and config.sqlite_path
    path = config.sqlite_path
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_catalog(path)
    with_copied_catalog(config.branch_of, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as catalog:
        script = _own_files_sql(config, "sqlite")
        catalog.executescript(f"pragma synchronous = off; begin; {script} commit;")
        catalog.execute("pragma journal_mode = wal")
        (newest,) = catalog.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()
    branch = _new(config, newest)
    writing = path.with_suffix(".writing")
    writing.write_text(branch.to_json())
    writing.replace(_record(path))  # from now on it is there
    return branch


def _delete_catalog(path: Path) -> None:
    for leftover in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        leftover.unlink(missing_ok=True)


# -- PostgreSQL ------------------------------------------------------------------------------------


def _create_in_postgres(config: LakeConfig) -> Branch:
    lake, branch = '"public".', f'"{config.metadata_schema}".'
    with _transaction(config) as cursor:
        # Everything as of one moment, whatever is committed meanwhile.
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute(
            "select tablename from pg_catalog.pg_tables"
            " where schemaname = 'public' and tablename like 'ducklake\\_%' order by 1"
        )
        tables = [name for (name,) in cursor.fetchall()]
        if "ducklake_metadata" not in tables:
            raise LakeError("There is no lake in this database to branch: run `dbt build` first.")
        cursor.execute(f"select pg_catalog.max(snapshot_id) from {lake}ducklake_snapshot")
        made = _make_schema(cursor, config, cursor.fetchone()[0])
        for table in tables:
            cursor.execute(f'create table {branch}"{table}" (like {lake}"{table}" including all)')
            cursor.execute(f'insert into {branch}"{table}" select * from {lake}"{table}"')
        cursor.execute(_own_files_sql(config, "postgres", branch))
    return made


def _make_schema(cursor: Any, config: LakeConfig, base_snapshot: int) -> Branch:
    if _may_make_schemas(cursor):
        made = _new(config, base_snapshot)
        cursor.execute(f'create schema "{config.metadata_schema}"')
        cursor.execute(f'comment on schema "{config.metadata_schema}" is %s', [made.to_json()])
        return made
    cursor.execute(
        "select lotus_lake_branches.create_branch(%s, %s, %s)",
        [config.branch, base_snapshot, _by()],
    )
    return Branch.from_json(cursor.fetchone()[0])


def _may_make_schemas(cursor: Any) -> bool:
    """Whether no function of role.sql's has to do it."""
    cursor.execute(
        "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')"
    )
    return bool(cursor.fetchone()[0])


@contextlib.contextmanager
def _transaction(config: LakeConfig) -> Iterator[Any]:
    """A cursor in a transaction of its own, committed unless something fails."""
    import psycopg2

    with contextlib.closing(postgres.connect(config)) as connection:
        connection.autocommit = False
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.InvalidSchemaName) as error:
            raise LakeError(
                f"This role may neither make nor drop a branch: {str(error).splitlines()[0]}. Set "
                "PGUSER to the one for branches, lotus_lake_pr, and run deploy/postgres/role.sql "
                "again after an update."
            ) from error
        except psycopg2.Error as error:
            raise postgres.away(error) from error


# -- data ------------------------------------------------------------------------------------------


def _delete_data(config: LakeConfig) -> int:
    """Delete everything in the branch's data path; return how many files that were."""
    if not is_s3(config.data_url):
        folder = local_path(config.data_url)
        files = sum(not path.is_dir() for path in folder.rglob("*"))
        if folder.is_dir():
            shutil.rmtree(folder)
        return files
    from obstore.exceptions import BaseError

    try:
        store = s3.open_folder(config.data_url)
        keys = [item["path"] for item in store.list().collect()]
        for first in range(0, len(keys), 1000):
            store.delete(keys[first : first + 1000])
    except BaseError as error:
        raise Unreachable(
            f"{config.data_url} cannot be emptied: {s3.reason(error)}. Check AWS_ENDPOINT_URL_S3 "
            "and the AWS_* keys (they need ListBucket and DeleteObject there)."
        ) from error
    return len(keys)
