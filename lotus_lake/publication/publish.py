"""Publishes the lake's marts: compares what PostgreSQL has with the lake, and writes what differs.

Rows are deleted and inserted, and columns added and dropped, in the table that is there: readers
wait for none of the former, and rights, policies and views that people have put on it stay.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect, extension_file
from lotus_lake.exits import Locked, Unreachable
from lotus_lake.publication.definitions import Definition, read_definitions
from lotus_lake.schema.types import literal, quote

SCHEMA = "marts"
READER = "bi"

_SERVING = "serving"

# How long to wait for another publication, and for readers of a table whose columns change.
_LOCK_SECONDS = 5

_CREATE = f"""
    create table {SCHEMA}.published (
        table_name text primary key,
        definition jsonb not null,
        published_at timestamptz not null,
        snapshot_id bigint,
        snapshot_time timestamptz,
        code text
    );
    comment on table {SCHEMA}.published is
        'The tables of this schema, each with the snapshot of the lake that its rows come from.';
    comment on column {SCHEMA}.published.snapshot_time is 'The time of that snapshot.';
    comment on column {SCHEMA}.published.code is 'A digest of the project that defined the table.';
"""

# The published tables whose inputs changed, and whether the lake knows how. It does not if the
# snapshot has expired, differs since the catalog was restored, or is older than the input.
_CHANGED = f"""
    with published as (
        select unnest(?::varchar[]) as name, unnest(?::varchar[]) as input,
            unnest(?::bigint[]) as snapshot_id, unnest(?::timestamptz[]) as snapshot_time
    )
    select
        published.name,
        bool_and(
            snapshots.snapshot_time::timestamptz is not distinct from published.snapshot_time
            and coalesce(tables.begin_snapshot <= published.snapshot_id, false)
        ) as is_known
    from published
    left join __ducklake_metadata_{ALIAS}.ducklake_snapshot as snapshots
        on published.snapshot_id = snapshots.snapshot_id
    left join __ducklake_metadata_{ALIAS}.ducklake_schema as schemas
        on split_part(published.input, '.', 1) = schemas.schema_name
            and schemas.end_snapshot is null
    left join __ducklake_metadata_{ALIAS}.ducklake_table as tables
        on split_part(published.input, '.', 2) = tables.table_name
            and tables.schema_id = schemas.schema_id and tables.end_snapshot is null
    group by published.name
    having not is_known or bool_or(exists (
        select 1 from {ALIAS}.meta.table_changes as changes
        where
            changes.table_id = tables.table_id
            and changes.snapshot_id > published.snapshot_id
    ))
"""

_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "SMALLINT": "smallint",
    "USMALLINT": "integer",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "BIGINT": "bigint",
    "UBIGINT": "numeric(20)",
    "HUGEINT": "numeric(38)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "UUID": "uuid",
}
# How DuckDB converts what PostgreSQL has another type for.
_CASTS = {
    "numeric(20)": "cast({} as decimal(20, 0))",
    "numeric(38)": "cast({} as decimal(38, 0))",
    "jsonb": "cast(to_json({}) as varchar)",
}


# How PostgreSQL's client says that it has no connection.
_LOST = re.compile(r"connection (to|not open)|the connection|terminating connection")


@dataclass(frozen=True)
class Published:
    """A row of ``marts.published``."""

    definition: Definition
    snapshot_id: int
    snapshot_time: Any
    code: str
    exists: bool  # unless somebody has dropped the table


@dataclass(frozen=True)
class Written:
    """What a publication did to a table: how many rows it wrote, of how many."""

    table: str
    how: str
    written: int
    rows: int


def publish(
    config: LakeConfig,
    connection: duckdb.DuckDBPyConnection,
    url: str,
    code: str,
    manifest: Callable[[], Path],
    *,
    full: bool = False,
    dry_run: bool = False,
) -> list[Written]:
    """Bring the published tables to the newest snapshot; what it wrote, or would write.

    Args:
        config: The lake.
        connection: A connection to it (``connect``).
        url: The database, as libpq takes it: ``postgresql://…`` or ``host=… dbname=…``. User and
            password are in LAKE_SERVING_USER and LAKE_SERVING_PASSWORD, or in it.
        code: A digest of the project; another one than last time means other definitions.
        manifest: Gives dbt's ``manifest.json`` of that project; called only if it is needed.
        full: Whether to write every table whole.
        dry_run: Whether to take everything back at the end.

    Raises:
        LakeError: Something declared cannot be published, or a view depends on a dropped column.
        Locked: Another publication runs, or a reader holds a table whose columns change.
        Unreachable: The lake or the database cannot be used.
    """
    if config.branch:
        raise LakeError("A branch is never published: unset LAKE_BRANCH, and DBT_TARGET=pr.")
    marts = Marts(connection, url)
    with marts.transaction(keep=not dry_run):
        published = marts.published()
        existing = {name: row for name, row in published.items() if row.exists}
        changed = dict.fromkeys(existing, False) if full else marts.changed(existing)
        is_same_code = all(row.code == code for row in published.values())
        if published and existing == published and is_same_code and not changed:
            return []
        definitions = [marts.with_types(table) for table in read_definitions(manifest())]
        steps = []
        for definition in definitions:
            name, old = definition.name, existing.get(definition.name)
            if not old or old.definition != definition or name in changed:
                steps.append(marts.write(definition, old, changed.get(name)))
        removed = set(published) - {definition.name for definition in definitions}
        steps += [marts.drop(name) for name in sorted(removed)]
        marts.remember(code)
        return steps


def compare(config: LakeConfig, url: str) -> Iterator[tuple[str, list[str]]]:
    """Of each published table, what differs from the lake at the snapshot that it is of.

    Row counts, and the sum of each column of whole or decimal numbers. Nothing is written. A table
    whose snapshot has expired is compared with the lake as it is.

    Raises:
        Locked: A publication runs.
        Unreachable: The lake or the database cannot be used.
    """
    with connect(config) as connection:
        marts = Marts(connection, url)
        with marts.transaction(keep=False):
            for name, row in sorted(marts.published().items()):
                yield f"{SCHEMA}.{name}", marts.differences(row)


class Marts:
    """A connection to the lake and to the database, for one transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, url: str) -> None:
        self._connection = connection
        self._attach(url)

    def _attach(self, url: str) -> None:
        try:
            from psycopg2 import ProgrammingError
            from psycopg2.extensions import make_dsn, parse_dsn
        except ImportError:
            raise LakeError(
                "PostgreSQL needs more packages: pip install 'lotus-lake[prod]'."
            ) from None
        try:
            parts = {"connect_timeout": "10", "application_name": "lotus-lake", **parse_dsn(url)}
        except ProgrammingError:  # its text may show a part of the password
            raise LakeError(
                "LAKE_SERVING_URL is no connection string that libpq knows: write "
                "postgresql://host/database, or host=… dbname=…, and the user and password into "
                "LAKE_SERVING_USER and LAKE_SERVING_PASSWORD."
            ) from None
        for part in ("user", "password"):
            if given := os.environ.get(f"LAKE_SERVING_{part.upper()}"):
                parts[part] = given
        # Apart from the rest, it is in no message.
        password = parts.pop("password", None)
        secret = f", password {literal(password)}" if password else ""
        self._connection.execute(f"load {literal(extension_file('postgres_scanner'))}")
        # PostgreSQL's texts have no such character.
        self._connection.execute("set pg_null_byte_replacement = ''")
        self._connection.execute(f"create secret serving (type postgres{secret})")
        try:
            attached = f"as {_SERVING} (type postgres, secret serving)"
            self._connection.execute(f"attach {literal(make_dsn(**parts))} {attached}")
        except duckdb.Error as error:
            raise _error(error) from error

    @contextlib.contextmanager
    def transaction(self, *, keep: bool) -> Iterator[None]:
        """One transaction, over one snapshot of the lake: all or nothing."""
        try:
            self._begin()
            yield
            self._connection.execute("commit" if keep else "rollback")
        except duckdb.Error as error:
            raise _error(error) from error
        finally:
            with contextlib.suppress(duckdb.Error):  # after an error
                self._connection.execute("rollback")

    def _begin(self) -> None:
        settings = (
            f"set local lock_timeout = '{_LOCK_SECONDS}s';"
            # So that no name means what somebody has put into another schema.
            " set local search_path = pg_catalog, pg_temp"
        )
        self._connection.execute("begin")
        self._run(settings)
        try:
            # Readers do not wait for it. It comes first, so that what is read next is what another
            # publication has left.
            self._run(f"lock table {SCHEMA}.published in exclusive mode")
        except duckdb.Error as error:
            if "does not exist" not in str(error):
                raise
            self._connection.execute("rollback; begin")
            self._run(settings)
            self._create()
        ((self._snapshot_id, self._snapshot_time),) = self._connection.execute(
            "select snapshot_id, snapshot_time::timestamptz"
            f" from __ducklake_metadata_{ALIAS}.ducklake_snapshot"
            f" where snapshot_id = (select id from {ALIAS}.current_snapshot())"
        ).fetchall()

    def _create(self) -> None:
        if not self._rows(f"select 1 from pg_namespace where nspname = '{SCHEMA}'"):
            self._run(f"create schema {SCHEMA}")
        self._run(_CREATE)
        self._grant(f"usage on schema {SCHEMA}")
        self._grant(f"select on {SCHEMA}.published")

    def _grant(self, right: str) -> None:
        if self._rows(f"select 1 from pg_roles where rolname = '{READER}'"):
            self._run(f"grant {right} to {READER}")

    # -- what is there -----------------------------------------------------------------------------

    def published(self) -> dict[str, Published]:
        """What was published, by table."""
        rows = self._rows(
            "select table_name, definition::text, snapshot_id, snapshot_time, code,"
            " exists (select from pg_class where relname = table_name and relkind = 'r'"
            f" and relnamespace = '{SCHEMA}'::regnamespace) from {SCHEMA}.published"
        )
        return {
            name: Published(Definition.from_json(definition), *rest)
            for name, definition, *rest in rows
        }

    def changed(self, published: dict[str, Published]) -> dict[str, bool]:
        """The tables that differ from the lake, and whether the lake knows what changed."""
        inputs = [
            (name, table, row.snapshot_id, row.snapshot_time)
            for name, row in published.items()
            for table in row.definition.inputs
        ]
        columns = [list(column) for column in zip(*inputs, strict=True)] or [[], [], [], []]
        return dict(self._connection.execute(_CHANGED, columns).fetchall())

    def differences(self, row: Published) -> list[str]:
        """What differs between a published table and the lake: row count, sums of numbers."""
        if not row.exists:
            return ["the table is gone"]
        definition = row.definition
        numbers = [
            name
            for name, kind in definition.types.items()
            if re.match(r"numeric|bigint|integer|smallint", kind) and not kind.endswith("]")
        ]
        # As text, so that both write a number in one way.
        sums = ['cast(count(*) as varchar) as "rows"']
        sums += [
            f"cast(sum(cast({quote(name)} as decimal(38, 8))) as varchar) as {quote(name)}"
            for name in numbers
        ]
        is_kept = self._connection.execute(
            f"from __ducklake_metadata_{ALIAS}.ducklake_snapshot where snapshot_id = ?",
            [row.snapshot_id],
        ).fetchone()
        version = row.snapshot_id if is_kept else self._snapshot_id
        (published,) = self._rows(f"select {', '.join(sums)} from {_table(definition.name)}")
        (lake,) = self._connection.execute(
            f"select {', '.join(sums)} from ({self._select(definition, version)})"
        ).fetchall()
        return [
            f"{name}: {here} published, {there} in the lake"
            for name, here, there in zip(["rows", *numbers], published, lake, strict=True)
            if here != there
        ]

    def with_types(self, definition: Definition) -> Definition:
        """A definition with the types that its columns have now."""
        described = self._connection.execute(f"describe {self._select(definition)}").fetchall()
        return replace(
            definition, types={name: _postgres_type(kind) for name, kind, *_ in described}
        )

    # -- what is written ---------------------------------------------------------------------------

    def write(
        self, definition: Definition, old: Published | None, is_known: bool | None
    ) -> Written:
        """Make a table what its definition and the lake say.

        Args:
            definition: What it has to be.
            old: What it is; None if it does not exist.
            is_known: Whether the lake knows what changed since; None if nothing did.
        """
        table, types = _table(definition.name), definition.types
        before = old.definition if old else Definition("", "", (), "", {})
        if not old:
            columns = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
            self._run(f"create table {table} ({columns})")
            self._grant(f"select on {table}")
        elif before.types != types:
            self._alter(table, before.types, types)
        # DuckDB remembers the tables that it has seen.
        self._connection.execute("call pg_clear_cache()")
        is_same = (before.types, before.query) == (types, definition.query)
        written = rows = -1
        if old and is_same and is_known is None:
            written, rows = 0, self._count(table)
        elif old and is_same and is_known and definition.block:
            written, rows = self._write_changes(definition, old), self._count(table)
            # A null key equals no other: the rows of its block would be there twice.
            if rows != self._count_in_lake(definition):
                written = -1
        if written < 0:
            self._run(f"delete from {table}")
            written = rows = self._insert(definition)
        shape = (types, definition.key, definition.is_complete, definition.indexes)
        if shape != (before.types, before.key, before.is_complete, before.indexes):
            self._index(before, definition)
        if (before.comment, before.comments) != (definition.comment, definition.comments):
            self._describe(definition)
        self._run(
            f"insert into {SCHEMA}.published (table_name, definition, published_at)"
            f" values ({literal(definition.name)}, {literal(definition.to_json())}, now())"
            " on conflict (table_name) do update"
            " set definition = excluded.definition, published_at = excluded.published_at"
        )
        return Written(definition.name, "changed" if old else "created", written, rows)

    def drop(self, name: str) -> Written:
        """Drop a table that is no longer to be published."""
        self._run(f"drop table if exists {_table(name)}")
        self._run(f"delete from {SCHEMA}.published where table_name = {literal(name)}")
        return Written(name, "dropped", 0, 0)

    def remember(self, code: str) -> None:
        """Note that everything is as of this snapshot and this project."""
        self._run(
            f"update {SCHEMA}.published set snapshot_id = {self._snapshot_id},"
            f" snapshot_time = '{self._snapshot_time}', code = {literal(code)}"
        )

    def _alter(self, table: str, old: dict[str, str], new: dict[str, str]) -> None:
        """Change columns in place, so that views, rights and policies stay."""
        steps = [f"drop column {quote(name)}" for name in old if new.get(name) != old[name]]
        steps += [
            f"add column {quote(name)} {kind}"
            for name, kind in new.items()
            if old.get(name) != kind
        ]
        self._run(f"alter table {table} {', '.join(steps)}")

    def _write_changes(self, definition: Definition, old: Published) -> int:
        """Replace the rows of the blocks that changed; how many it wrote."""
        table, changes = _table(definition.name), f'{SCHEMA}."changes of {definition.name}"'
        block = ", ".join(map(quote, definition.block))
        columns = ", ".join(f"{quote(name)} {definition.types[name]}" for name in definition.block)
        self._run(f"create table {changes} ({columns})")
        schema, _, name = definition.inputs[0].partition(".")
        # Computed once, and of a size that DuckDB knows: the join below reads few other rows.
        self._connection.execute(
            f"create or replace temp table changes as select distinct {block}"
            f" from ducklake_table_changes('{ALIAS}', {literal(schema)}, {literal(name)},"
            f" {old.snapshot_id + 1}, {self._snapshot_id})"
        )
        self._connection.execute("call pg_clear_cache()")
        self._connection.execute(f"insert into {_SERVING}.{changes} from changes")
        same = " and ".join(f"rows.{name} = changes.{name}" for name in block.split(", "))
        self._run(f"delete from {table} as rows using {changes} as changes where {same}")
        self._run(f"drop table {changes}")
        return self._insert(definition, f"semi join changes using ({block})")

    def _insert(self, definition: Definition, condition: str = "") -> int:
        values = ", ".join(
            f"{_CASTS.get(kind, '{}').format(quote(name))} as {quote(name)}"
            for name, kind in definition.types.items()
        )
        names = ", ".join(map(quote, definition.types))
        inserted = self._connection.execute(
            f"insert into {_SERVING}.{_table(definition.name)} ({names})"
            f" select {values} from ({self._select(definition)}) as published {condition}"
        ).fetchone()
        assert inserted
        return int(inserted[0])

    def _index(self, before: Definition, definition: Definition) -> None:
        """Make the key and the indexes, in place of those that were there."""
        table, name = _table(definition.name), definition.name
        key = quote(f"{name}_key")
        self._run(f"alter table {table} drop constraint if exists {key}")
        for column in before.indexes:
            self._run(f"drop index if exists {SCHEMA}.{quote(f'{name}_{column}_index')}")
        if definition.key:
            kind = "primary key" if definition.is_complete else "unique"
            columns = ", ".join(map(quote, definition.key))
            self._run(f"alter table {table} add constraint {key} {kind} ({columns})")
        for column in definition.indexes:
            index = quote(f"{name}_{column}_index")
            self._run(f"create index {index} on {table} ({quote(column)})")

    def _describe(self, definition: Definition) -> None:
        table = _table(definition.name)
        comments = [f"table {table} is {literal(definition.comment)}"]
        comments += [
            f"column {table}.{quote(name)} is {literal(comment)}"
            for name, comment in definition.comments.items()
        ]
        self._run("; ".join(f"comment on {comment}" for comment in comments))

    def _select(self, definition: Definition, version: int | None = None) -> str:
        """SQL that has a table's rows as of a snapshot, in DuckDB's types."""
        if definition.query:
            return definition.query
        columns = ", ".join(map(quote, definition.comments))
        schema, _, name = definition.inputs[0].partition(".")
        return (
            f"select {columns} from {ALIAS}.{quote(schema)}.{quote(name)}"
            f" at (version => {version or self._snapshot_id})"
        )

    # -- statements --------------------------------------------------------------------------------

    def _run(self, sql: str) -> None:
        self._connection.execute(f"call postgres_execute('{_SERVING}', ?)", [sql])

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(f"from postgres_query('{_SERVING}', ?)", [sql]).fetchall()

    def _count(self, table: str) -> int:
        return int(self._rows(f"select count(*) from {table}")[0][0])

    def _count_in_lake(self, definition: Definition) -> int:
        counted = f"select count(*) from ({self._select(definition)})"
        return int(self._connection.execute(counted).fetchall()[0][0])


def _table(name: str) -> str:
    return f"{SCHEMA}.{quote(name)}"


def _postgres_type(kind: str) -> str:
    """PostgreSQL's type for one of DuckDB's; JSON for what it has none for."""
    if decimal := re.fullmatch(r"DECIMAL(\(\d+,\d+\))", kind):
        return f"numeric{decimal[1]}"
    if kind.endswith("[]"):
        element = _postgres_type(kind.removesuffix("[]"))
        return f"{element}[]" if element not in _CASTS and element[-1] != "]" else "jsonb"
    return _TYPES.get(kind, "jsonb")


def _error(error: duckdb.Error) -> LakeError:
    """What PostgreSQL or the lake said, and what to do, in one line."""
    # Before it is the statement, which may be long.
    _, refused, said = str(error).rpartition("ERROR:")
    said = re.sub(r'.* Unable to connect to Postgres at ".*?": ', "", said)
    said = " ".join(re.split(r"\bHINT:|\bLINE \d+:", said)[0].split()).rstrip(".")
    stays = "Nothing was written; what was published before stays."
    if "lock timeout" in said:
        return Locked(
            "The published tables are in use: another publication runs, or a reader holds a table "
            f"whose columns change (pg_stat_activity shows who). {stays}"
        )
    if "depend on it" in said:
        return LakeError(
            f"Drop what is named here, or change it, and publish again: {said}. {stays}"
        )
    if refused:
        return LakeError(f"PostgreSQL refuses the publication: {said}. {stays}")
    if _LOST.search(str(error)):
        return Unreachable(
            f"The database of LAKE_SERVING_URL cannot be used: {said}. {stays} Check the URL, the "
            "password, and that the server runs."
        )
    return Unreachable(f"The lake cannot be read: {said}. {stays} Run `dbt build` first.")
