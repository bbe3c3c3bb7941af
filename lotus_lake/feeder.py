"""Feeding a stream: landed files into its staging table, each version exactly once.

One feed is one DuckLake transaction: the staging table's new columns, the rows, the ledger
(``meta.feeder_files``) and the cursor (``meta.feeder_cursors``) commit together or not at all.
Whatever interrupts it leaves the lake as it was, and the next run feeds the same files.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import pyarrow as pa

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.landing import LandedFile, Landing, open_landing, order_of
from lotus_lake.listing import plan_listing, window
from lotus_lake.probe import Probe, Prober, Unreadable, is_passing
from lotus_lake.schema import (
    Conflict,
    Type,
    convert,
    differences,
    differs_in_list,
    growth,
    json_texts,
    literal,
    merge,
    part_at,
    quote,
    replace_at,
    values_at,
    words,
)
from lotus_lake.streams import AIRBYTE_COLUMNS, LINEAGE_COLUMNS, Stream

# A feed that lost a race is planned again from what the winner left.
_ATTEMPTS = 6
# A file that a store does not give now is looked at so many times more, beside its client's own
# attempts. More would cost every stream as long again while a store is away.
_LOOKS = 4
# Registering is super-linear in the files of one transaction.
_REGISTER_MAX_FILES = 200
# The path of the row that keeps a column's statistics honest; no file can have it.
_NULLS = "//nulls"
# What a file can cause that can be read; everything else is the lake's fault, or the store's.
_FILES_FAULT = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.NotSupportedError,
    duckdb.ProgrammingError,
)


def feed(
    connection: duckdb.DuckDBPyConnection, declaration: duckdb.DuckDBPyRelation
) -> duckdb.DuckDBPyRelation:
    """Feed what is new of a stream; the whole body of a model in ``models/landing``.

    Args:
        connection: dbt's connection, with the lake attached.
        declaration: The relation of the stream's dbt source: one row, its declaration.

    Returns:
        One row: what stopped the feed, or null. dbt would wrap an exception of a Python model in
        its traceback; the materialization raises this text as it is. Bad files stop nothing: they
        are quarantined.
    """
    problem = None
    try:
        row = declaration.fetchone()
        stream = Stream.from_declaration(row[0] if row else "{}")
        outcome = Feeder(connection, stream, open_landing(LakeConfig.from_env().landing_url)).feed()
        for line in outcome.lines(stream):
            print(line, flush=True)
    except LakeError as error:
        problem = str(error)
    return connection.sql(f"select {'null' if problem is None else literal(problem)} as problem")


@dataclass(frozen=True)
class Outcome:
    """What one feed did.

    Args:
        files: Files fed.
        rows: Rows fed.
        quarantined: Files put into quarantine, with their reasons.
        backlog_files: New files left for the next run.
        backlog_bytes: Their bytes.
    """

    files: int = 0
    rows: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    backlog_files: int = 0
    backlog_bytes: int = 0

    def lines(self, stream: Stream) -> list[str]:
        """What to tell the person who watches the run; nothing when there was nothing."""
        told = [
            f"QUARANTINED {path}: {reason}. Its rows are not in the lake; a repaired file is fed "
            "by the next run (make status)."
            for path, reason in self.quarantined
        ]
        if self.files or self.backlog_files:
            waiting = (
                f"; {self.backlog_files:,} files ({self.backlog_bytes / 1e6:,.1f} MB) wait for the "
                "next run"
                if self.backlog_files
                else ""
            )
            told.append(f"fed {stream.label}: {self.files:,} files, {self.rows:,} rows{waiting}")
        return told


@dataclass(frozen=True)
class _Cursor:
    path: str | None
    version: int
    files: int
    backlog: int
    swept_at: datetime | None
    updated_at: datetime | None


@dataclass
class _Group:
    """Files that one statement reads: same format, same schema."""

    probes: list[Probe]
    schema: dict[str, Type]  # with what texts of JSON hold
    values: dict[str, str] = field(default_factory=dict)  # column -> SQL of its converted value
    exact: dict[str, str] = field(default_factory=dict)  # column -> SQL that is true when lossless
    register: bool = False

    @property
    def paths(self) -> list[str]:
        return [probe.file.path for probe in self.probes]


class _Quarantine(dict[str, str]):
    """Files that are not fed, and why; of some also which column's type it was."""

    def __init__(self, reasons: dict[str, str] | None = None) -> None:
        super().__init__(reasons or {})
        self.columns: dict[str, str] = {}


@dataclass(frozen=True)
class SchemaChange:
    """What a file brought that the staging table did not have: one row of meta.schema_changes.

    Args:
        column_name: The column, with the fields that lead to the part: ``line_items[].price``.
        change: ``added``, ``widened``, or ``refused`` when its file is in quarantine for it.
        type_before: The lake's type; None for what was added.
        type_after: The file's.
        path: The first file of it.
    """

    column_name: str
    change: str
    type_before: str | None
    type_after: str
    path: str


class _LostRace(Exception):
    """Another feed of this stream committed first."""


class Feeder:
    """Feeds one stream.

    Args:
        connection: DuckDB connection with the lake attached; no transaction open.
        stream: The stream.
        landing: Where its files land.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, stream: Stream, landing: Landing
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._landing = landing
        self._prober = Prober(connection, landing)
        self._lake = stream.table.split(".")[0]

    def feed(self) -> Outcome:
        """Feed one bounded batch of new files, oldest first.

        Raises:
            LakeError: The lake or the landing zone cannot be used.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._feed_once()
            except _LostRace:
                time.sleep(random.uniform(0.1, 0.5) * 2**attempt)
            except duckdb.Error as error:
                self._roll_back()
                if not _is_conflict(error):
                    raise LakeError(
                        f"Stream {self._stream.label}: the lake cannot be used: "
                        f"{str(error).splitlines()[0]}. Nothing of this feed was written."
                    ) from error
                time.sleep(random.uniform(0.1, 0.5) * 2**attempt)
        raise LakeError(
            f"Stream {self._stream.label}: other runs kept changing it while it was fed. Nothing "
            "of this feed was written; let the other runs finish and run again."
        )

    # -- what is new -------------------------------------------------------------------------------

    def _feed_once(self) -> Outcome:
        cursor = self._read_cursor()
        if cursor.version == 0:
            self._create_table()
        files, swept = self._list(cursor)
        known = self._known(files)
        new = [file for file in files if (file.path, file.etag) not in known]
        batch = self._bounded(new)
        if not batch:
            swept = swept and len(files) > self._stream.feed_list_free_files
            if swept or cursor.backlog:
                self._note_idle(cursor, swept)
            return Outcome()
        rest = new[len(batch) :]
        latest = max([*(file.path for file in batch), *filter(None, [cursor.path])], key=order_of)
        # Not all of it is fed: the next listing has to show what is left.
        since = window(latest, self._stream.feed_lookback_days)
        swept = swept and all(since and file.day and file.day >= since for file in rest)

        quarantine, probes = self._probe(batch)
        landed = {probe.file.path: probe for probe in probes}
        before = self._columns()
        while True:
            groups, columns, ddl = self._plan(probes, quarantine)
            rows = sum(probe.rows or 0 for group in groups for probe in group.probes)
            changes = []
            # What the first delivery brings is how the stream is.
            if cursor.files:
                changes = self._changes(before, columns, groups)
                changes += _refusals(columns, quarantine, landed)
            try:
                self._commit(cursor, latest, batch, groups, ddl, quarantine, rest, swept, changes)
                break
            except BaseException as error:
                self._roll_back()
                if not isinstance(error, duckdb.Error):
                    raise
                if _is_conflict(error):
                    raise _LostRace from error
                self._check_still_there(batch)
                bad = {}
                if not is_passing(error):
                    bad = self._unreadable(groups) or self._unfit(groups)
                if not bad:
                    raise LakeError(
                        f"Stream {self._stream.label}: the feed failed and nothing of it was "
                        f"written: {str(error).splitlines()[0]}"
                    ) from error
                quarantine.update(bad)
                probes = [probe for probe in probes if probe.file.path not in quarantine]
        return Outcome(
            files=sum(len(group.probes) for group in groups),
            rows=rows,
            quarantined=sorted(quarantine.items()),
            backlog_files=len(rest),
            backlog_bytes=sum(file.size for file in rest),
        )

    def _probe(self, batch: Sequence[LandedFile]) -> tuple[_Quarantine, list[Probe]]:
        """What cannot be fed, with the reasons, and what can.

        Raises:
            LakeError: A file cannot be read now, but may be a good one.
        """
        found = dict(self._prober.probe(batch))
        suspects = [file for file, look in found.items() if isinstance(look, Unreadable)]
        for attempt in range(_LOOKS):
            if not suspects:
                break
            # A store that stumbled, or a file that was replaced, is no bad file: look again.
            self._check_still_there(suspects)
            looks = dict(self._prober.probe(suspects))
            found.update(looks)
            suspects = [file for file, look in looks.items() if _may_be_good(look)]
            if suspects:
                time.sleep(0.1 * 2**attempt)
        if suspects:
            raise LakeError(
                f"Stream {self._stream.label}: {self._landing.root}{suspects[0].path} may be good, "
                f"but {found[suspects[0]]}. Nothing of this feed was written; the next run tries "
                "again"
            )
        return (
            _Quarantine(
                {
                    file.path: str(look)
                    for file, look in found.items()
                    if isinstance(look, Unreadable)
                }
            ),
            [look for look in found.values() if isinstance(look, Probe)],
        )

    def _create_table(self) -> None:
        """The staging table exists from the first run on, with every declared column."""
        if self._connection.execute(
            "select 1 from duckdb_tables() where database_name = ? and schema_name = ? and"
            " table_name = ?",
            self._stream.table.split("."),
        ).fetchone():
            return
        columns = {name: type_.sql() for name, type_ in self._stream.columns.items()}
        definition = ", ".join(
            f"{quote(name)} {type_}" for name, type_ in {**columns, **LINEAGE_COLUMNS}.items()
        )
        self._connection.execute(f"create table if not exists {self._stream.table} ({definition})")

    def _read_cursor(self) -> _Cursor:
        row = self._connection.execute(
            "select cursor_path, cursor_version, files_loaded, backlog_files, swept_at, updated_at"
            f" from {self._lake}.meta.feeder_cursors where source = ? and stream = ?",
            [self._stream.source, self._stream.name],
        ).fetchone()
        if row is None:
            raise LakeError(
                f"Stream {self._stream.label} has no cursor row in meta.feeder_cursors: run dbt "
                "with the project's on-run-start, which creates it."
            )
        return _Cursor(*row)

    def _list(self, cursor: _Cursor) -> tuple[list[LandedFile], bool]:
        """The files to look at, and whether that is all of them."""
        stream = self._stream
        listing = plan_listing(
            cursor_path=cursor.path,
            files=cursor.files,
            swept_at=cursor.swept_at,
            updated_at=cursor.updated_at,
            lookback_days=stream.feed_lookback_days,
            sweep_hours=stream.feed_sweep_hours,
            list_free_files=stream.feed_list_free_files,
        )
        files = self._landing.files(stream.folder, listing.since, listing.changed_since)
        if listing.whole:
            return files, True
        others = set(self._quarantined()).difference(files)
        if others:
            files = sorted([*files, *others], key=lambda file: file.order)
        return files, False

    def _quarantined(self) -> list[LandedFile]:
        """The files in quarantine: a repaired one is fed by the next run, however old its day."""
        paths = self._connection.execute(
            f"select path from {self._lake}.meta.feeder_files where source = ? and stream = ?"
            " group by path having arg_max(status, cursor_version) = 'quarantined'"
            " and arg_max(reason, cursor_version) not like 'undone%'",
            [self._stream.source, self._stream.name],
        ).fetchall()
        return [file for (path,) in paths for file in self._landing.again([path])]

    def _known(self, files: Sequence[LandedFile]) -> set[tuple[str, str]]:
        """The versions that the ledger has, of these files and of those between them."""
        if not files:
            return set()
        paths = [file.path for file in files]
        return set(
            self._connection.execute(
                f"select path, etag from {self._lake}.meta.feeder_files"
                " where source = ? and stream = ? and path between ? and ?",
                [self._stream.source, self._stream.name, min(paths), max(paths)],
            ).fetchall()
        )

    def _bounded(self, files: Sequence[LandedFile]) -> list[LandedFile]:
        """As much as one run takes, oldest first, and never nothing."""
        limit = self._stream.feed_max_files
        if self._stream.feed_mode == "register":
            limit = min(limit, _REGISTER_MAX_FILES)
        batch: list[LandedFile] = []
        size = 0
        for file in files[:limit]:
            if batch and size + file.size > self._stream.feed_max_bytes:
                break
            batch.append(file)
            size += file.size
        return batch

    # -- how it fits -------------------------------------------------------------------------------

    def _columns(self) -> dict[str, Type]:
        staging = self._connection.table(self._stream.table)
        return {
            name: Type.of(type_) for name, type_ in zip(staging.columns, staging.types, strict=True)
        }

    def _plan(
        self, probes: Sequence[Probe], quarantine: _Quarantine
    ) -> tuple[list[_Group], dict[str, Type], list[str]]:
        """Group the files, grow the columns, and write the conversions.

        Files that do not fit are added to ``quarantine``, and leave no column behind.
        """
        before = self._columns()
        columns = dict(before)
        names = {name.lower(): name for name in before}
        # Columns declared since the table was made.
        for name, type_ in self._stream.columns.items():
            if name.lower() not in names:
                columns[name] = type_
                names[name.lower()] = name

        by_group: dict[object, list[Probe]] = {}
        for probe in probes:
            by_group.setdefault(probe.group, []).append(probe)
        fitting: dict[object, list[_Group]] = {}
        for members in by_group.values():
            for group in self._fit(
                _Group(members, dict(members[0].schema)), columns, names, quarantine
            ):
                # Files of which each was looked into may still be alike.
                key = (group.probes[0].format, group.probes[0].gzip, tuple(group.schema.items()))
                fitting.setdefault(key, []).append(group)
                for column, type_ in group.schema.items():
                    name = names.setdefault(column.lower(), column)
                    if name in columns:
                        columns[name] = merge(columns[name], type_)
                    elif not type_.unknown:
                        columns[name] = type_.known()
        groups = [
            _Group([probe for part in parts for probe in part.probes], parts[0].schema)
            for parts in fitting.values()
        ]
        for group in groups:
            self._write_conversions(group, columns, names)
        if any(differs_in_list(type_, columns[name]) for name, type_ in before.items()):
            # DuckLake registers nothing in a table that was made in the same transaction.
            return groups, columns, self._write_anew(before, columns)
        if self._stream.feed_mode == "register":
            self._choose_registered(groups, columns, names)
        ddl = [
            statement
            for name, type_ in columns.items()
            for statement in growth(self._stream.table, name, before.get(name), type_)
        ]
        return groups, columns, ddl

    def _write_anew(self, before: dict[str, Type], columns: dict[str, Type]) -> list[str]:
        """The statements that put a table with all the rows and these columns in place of staging.

        So no file is left whose lists have fewer fields than the table's: see differs_in_list().
        Registered rows become the lake's own, and get the lineage that they lacked. Their table
        stays, under another name: with a dropped table, DuckLake's clean-up would delete the landed
        files.
        """
        table, before_it = self._stream.table, f"{self._stream.table}__before"
        definition = ", ".join(f"{quote(name)} {type_.sql()}" for name, type_ in columns.items())
        values = {
            name: f"staging.{quote(name)}::{columns[name].sql()} as {quote(name)}"
            for name in before
        }
        ledger = f"{self._lake}.meta.feeder_files"
        joined, end = "", f"drop table {before_it}"
        registered = (
            f"source = {literal(self._stream.source)} and stream = {literal(self._stream.name)}"
            " and feed_mode = 'register'"
        )
        if self._connection.execute(f"select 1 from {ledger} where {registered}").fetchone():
            before_it = f"{table}__registered_{self._read_cursor().version}"
            end = f"update {ledger} set feed_mode = 'copy' where {registered}"
            folder = re.escape(f"{self._stream.source}/{self._stream.name}/")
            path = f"regexp_extract(staging.filename, {literal(f'.*({folder}.*)')}, 1)"
            joined = (
                f" left join (from {ledger} where {registered} and status = 'loaded') as fed"
                f" on staging._source_file is null and fed.path = {path}"
            )
            lineage = {
                "_source_file": "fed.path",
                "_source_row": "file_row_number",
                "_cursor_version": "fed.cursor_version",
            }
            values |= {
                name: f"coalesce(staging.{name}, {value}) as {name}"
                for name, value in lineage.items()
            }
        return [
            f"alter table {table} rename to {before_it.split('.')[-1]}",
            f"create table {table} ({definition})",
            f"insert into {table} by name select {', '.join(values.values())}"
            f" from {before_it} as staging{joined}",
            end,
        ]

    def _choose_registered(
        self, groups: Sequence[_Group], columns: dict[str, Type], names: dict[str, str]
    ) -> None:
        """Which groups need no conversion, and lack nothing that DuckLake believes to be there."""
        whole = {
            id(group): {
                names[column.lower()]
                for column, type_ in group.schema.items()
                if column.lower() in names and columns[names[column.lower()]].sql() == type_.sql()
            }
            for group in groups
        }
        never_null = self._never_null()
        for group in groups:
            never_null_elsewhere = never_null.union(
                *(whole[id(other)] for other in groups if other is not group)
            )
            group.register = (
                all(probe.format == "parquet" for probe in group.probes)
                and all(value == quote(column) for column, value in group.values.items())
                and all(
                    names[column.lower()] in whole[id(group)]
                    or (type_.nested and not differs_in_list(type_, columns[names[column.lower()]]))
                    for column, type_ in group.schema.items()
                    if column.lower() in names
                )
                and never_null_elsewhere <= whole[id(group)]
            )

    def _never_null(self) -> set[str]:
        """Columns of the staging table that have no null, nor has any field in them.

        So DuckLake's statistics say, and DuckDB answers ``x is null`` from them. This version does
        not correct them when a file is registered that lacks the column.
        """
        catalog = f"__ducklake_metadata_{self._lake}"
        _, schema, table = self._stream.table.split(".")
        return {
            name
            for (name,) in self._connection.execute(
                f"""
                with recursive fields as (
                    select columns.table_id, column_id, column_name as name
                    from {catalog}.ducklake_column as columns
                    inner join {catalog}.ducklake_table as tables using (table_id)
                    inner join {catalog}.ducklake_schema as schemas using (schema_id)
                    where
                        schema_name = ? and table_name = ? and parent_column is null
                        and schemas.end_snapshot is null and tables.end_snapshot is null
                        and columns.end_snapshot is null
                    union all
                    select table_id, inner_columns.column_id, fields.name
                    from {catalog}.ducklake_column as inner_columns
                    inner join fields using (table_id)
                    where
                        inner_columns.parent_column = fields.column_id
                        and inner_columns.end_snapshot is null
                )

                select distinct name from fields
                inner join {catalog}.ducklake_table_column_stats using (table_id, column_id)
                where not contains_null::boolean
                """,
                [schema, table],
            ).fetchall()
        }

    def _fit(
        self,
        group: _Group,
        columns: dict[str, Type],
        names: dict[str, str],
        quarantine: _Quarantine,
    ) -> list[_Group]:
        """The part of a group that fits, with what its texts of JSON hold."""
        # Texts where the lake has objects: what do they hold? Files may differ, so one by one.
        texts = [
            (column, path)
            for column, type_ in group.schema.items()
            if column.lower() in names and names[column.lower()] in columns
            for path in json_texts(type_, columns[names[column.lower()]])
        ]
        if texts and len(group.probes) > 1:
            return [
                part
                for probe in group.probes
                for part in self._fit(
                    _Group([probe], dict(probe.schema)), columns, names, quarantine
                )
            ]
        own = {name.lower() for name in self._stream.columns} - set(AIRBYTE_COLUMNS)
        try:
            if (
                own
                and group.probes[0].format == "csv"
                and own.isdisjoint(map(str.lower, group.schema))
            ):
                raise Conflict("it has none of the stream's columns; are they separated by commas?")
            for column, path in texts:
                inner = self._json_inside(group.probes[0], column, path)
                group.schema[column] = replace_at(group.schema[column], path, inner)
            grown = {
                names[column.lower()]: merge(columns[names[column.lower()]], type_)
                for column, type_ in group.schema.items()
                if names.get(column.lower()) in columns
            }
            self._write_conversions(group, {**columns, **grown}, names)
        except Conflict as conflict:
            for refused in group.paths:
                quarantine[refused] = str(conflict)
                if conflict.column:
                    quarantine.columns[refused] = conflict.column
            return []
        inexact = self._inexact(group)
        if inexact:
            quarantine.update({path: reason for path, (_, reason) in inexact.items()})
            quarantine.columns.update({path: column for path, (column, _) in inexact.items()})
            group.probes = [probe for probe in group.probes if probe.file.path not in inexact]
        return [group] if group.probes else []

    def _write_conversions(
        self, group: _Group, columns: dict[str, Type], names: dict[str, str]
    ) -> None:
        group.values, group.exact = {}, {}
        for column, type_ in group.schema.items():
            target = columns.get(names.get(column.lower(), column))
            if target is None:
                if type_.unknown:
                    continue
                target = type_.known()
            try:
                conversion = convert(quote(column), type_, target)
            except Conflict as conflict:
                raise Conflict(f"column {column} is {conflict}", column) from conflict
            group.values[column] = conversion.value
            if conversion.exact:
                group.exact[column] = conversion.exact

    def _json_inside(self, probe: Probe, column: str, path: tuple[str, ...]) -> Type:
        values = values_at(column, path, self._prober.relation(probe))
        try:
            found = self._connection.execute(
                f"select json_group_structure(value::json)::varchar from ({values})"
                " where value is not null and value <> ''"
            ).fetchone()
        except duckdb.Error as error:
            if is_passing(error):
                raise
            raise Conflict(
                f"column {'.'.join((column, *path))} is text that is no JSON where the lake has an "
                "object or a list",
                column,
            ) from error
        if not found or found[0] is None:
            return Type.scalar("NULL")
        return Type.json_of(Type.of_json(json.loads(found[0])))

    def _inexact(self, group: _Group) -> dict[str, tuple[str, str]]:
        """Files with values that would not survive their conversion: the first column, and why."""
        if not group.exact:
            return {}
        counts = ", ".join(
            f"count(*) filter (where not coalesce({check}, false))"
            for check in group.exact.values()
        )
        relation = self._prober.relation(group.probes[0], group.paths)
        try:
            rows = self._connection.execute(
                f"select __uri, {counts} from {relation} group by all"
            ).fetchall()
        except duckdb.Error as error:
            if is_passing(error):
                raise
            # Found out file by file, when the feed itself fails.
            return {}
        found = {}
        for uri, *lossy in rows:
            column, count = next(
                ((name, count) for name, count in zip(group.exact, lossy, strict=True) if count),
                (None, 0),
            )
            if column:
                found[uri.removeprefix(self._landing.root)] = (
                    column,
                    f"column {column} has {count:,} values that cannot become the lake's type "
                    "without loss",
                )
        return found

    def _unreadable(self, groups: Sequence[_Group]) -> dict[str, str]:
        """After a feed failed: which files cannot be read to their end?"""
        bad = {}
        for group in groups:
            for probe in group.probes:
                try:
                    self._read_through(group, [probe.file.path])
                except duckdb.Error as error:
                    if is_passing(error):
                        continue
                    bad[probe.file.path] = f"it cannot be read: {str(error).splitlines()[0]}"
        return bad

    def _read_through(self, group: _Group, paths: list[str]) -> None:
        relation = self._prober.relation(group.probes[0], paths)
        values = ", ".join(["__row", *group.values.values()])
        self._connection.execute(f"select count(hash({values})) from {relation}").fetchall()

    def _unfit(self, groups: Sequence[_Group]) -> dict[str, str]:
        """After a feed failed though every file can be read: which of them fail alone?"""
        bad = {}
        for probe in [probe for group in groups for probe in group.probes]:
            alone, _, ddl = self._plan([probe], _Quarantine())
            try:
                self._connection.execute("begin")
                self._write_rows(alone, ddl, version=0)
            except _FILES_FAULT as error:
                bad[probe.file.path] = f"it cannot be fed: {str(error).splitlines()[0]}"
            except duckdb.Error:
                pass  # the lake's fault, or the store's
            finally:
                self._roll_back()
        return bad

    def _changes(
        self, before: dict[str, Type], columns: dict[str, Type], groups: Sequence[_Group]
    ) -> list[SchemaChange]:
        """How the staging table grows, and the first file of each part that it grows by."""
        found = []
        for name, type_ in columns.items():
            for path, old, new in differences(before.get(name), type_):
                bringers = [
                    probe.file
                    for group in groups
                    if (part := _part(group, name, path)) is not None
                    and (old is None or part.sql() == new.sql())
                    for probe in group.probes
                ]
                # A column that was declared since then may be in no file.
                if bringers:
                    first = min(bringers, key=lambda file: file.order)
                    found.append(
                        SchemaChange(
                            column_name=_dotted(name, path),
                            change="widened" if old else "added",
                            type_before=old.sql() if old else None,
                            type_after=new.sql(),
                            path=first.path,
                        )
                    )
        return found

    # -- one transaction ---------------------------------------------------------------------------

    def _commit(
        self,
        cursor: _Cursor,
        latest: str,
        batch: Sequence[LandedFile],
        groups: Sequence[_Group],
        ddl: Sequence[str],
        quarantine: dict[str, str],
        rest: Sequence[LandedFile],
        swept: bool,
        changes: Sequence[SchemaChange],
    ) -> None:
        """Write everything of this feed in one transaction.

        Raises:
            duckdb.Error: It failed or lost a race; the caller rolls back.
        """
        execute = self._connection.execute
        version = cursor.version + 1
        loaded = {probe.file.path: probe for group in groups for probe in group.probes}
        execute("begin")
        # First of all the cursor: of two feeds that change its row only one can commit.
        if self._read_cursor().version != cursor.version:
            raise duckdb.TransactionException("conflict: the cursor moved")
        execute(
            f"update {self._lake}.meta.feeder_cursors set cursor_path = ?, cursor_version = ?,"
            " files_loaded = files_loaded + ?, rows_loaded = rows_loaded + ?,"
            " bytes_loaded = bytes_loaded + ?, backlog_files = ?, backlog_bytes = ?,"
            f" swept_at = {'now()' if swept else 'swept_at'}, updated_at = now()"
            " where source = ? and stream = ?",
            [
                latest,
                version,
                len(loaded),
                sum(probe.rows or 0 for probe in loaded.values()),
                sum(probe.file.size for probe in loaded.values()),
                len(rest),
                sum(file.size for file in rest),
                self._stream.source,
                self._stream.name,
            ],
        )
        self._write_rows(groups, ddl, version)
        self._write_ledger(batch, loaded, quarantine, groups, version)
        self._write_changes(changes, version)
        self._check_unchanged(batch)
        execute("commit")

    def _write_rows(self, groups: Sequence[_Group], ddl: Sequence[str], version: int) -> None:
        for statement in ddl:
            self._connection.execute(statement)
        for group in groups:
            if group.register:
                self._register(group)
            else:
                self._insert(group, version)

    def _insert(self, group: _Group, version: int) -> None:
        relation = self._prober.relation(group.probes[0], group.paths)
        columns = [f"{value} as {quote(column)}" for column, value in group.values.items()]
        # The path as the ledger has it: what follows the landing zone's own.
        start = len(self._landing.root) + 1
        columns += [
            f"substr(__uri, {start}) as _source_file",
            "__row as _source_row",
            f"{version} as _cursor_version",
        ]
        rows = f"select {', '.join(columns)} from {relation}"
        expected = sum(probe.rows or 0 for probe in group.probes)
        if self._stream.feed_mode == "register":
            # Registered rows have no lineage. Rows in which everything is null, gone again before
            # they are committed, keep DuckLake from believing that no column ever is.
            rows += (
                f" union all by name select '{_NULLS}' as _source_file"
                " union all by name select -1 as _source_row"
            )
            expected += 2
        inserted = self._connection.execute(
            f"insert into {self._stream.table} by name {rows}"
        ).fetchone()
        if inserted is None or inserted[0] != expected:
            raise duckdb.TransactionException(
                f"conflict: {expected} rows were to be fed, {inserted and inserted[0]} were read"
            )
        if self._stream.feed_mode == "register":
            self._connection.execute(
                f"delete from {self._stream.table}"
                f" where _source_file = '{_NULLS}' or _source_row = -1"
            )

    def _register(self, group: _Group) -> None:
        # What is not read now would break every reader later.
        self._read_through(group, group.paths)
        _, schema, table = self._stream.table.split(".")
        # Compaction would move registered rows out of landed files, and own those files.
        self._connection.execute(
            f"call {self._lake}.set_option('auto_compact', false, schema => {literal(schema)},"
            f" table_name => {literal(table)})"
        )
        for path in group.paths:
            self._connection.execute(
                f"call ducklake_add_data_files({literal(self._lake)}, {literal(table)},"
                f" {literal(self._landing.uri(path))}, schema => {literal(schema)},"
                " allow_missing => true)"
            )

    def _write_ledger(
        self,
        batch: Sequence[LandedFile],
        loaded: dict[str, Probe],
        quarantine: dict[str, str],
        groups: Sequence[_Group],
        version: int,
    ) -> None:
        registered = {path for group in groups if group.register for path in group.paths}
        entries = pa.Table.from_pylist(
            [
                {
                    "source": self._stream.source,
                    "stream": self._stream.name,
                    "path": file.path,
                    "etag": file.etag,
                    "size_bytes": file.size,
                    "last_modified": file.last_modified,
                    "row_count": loaded[file.path].rows if file.path in loaded else None,
                    "status": "loaded" if file.path in loaded else "quarantined",
                    "reason": quarantine.get(file.path),
                    "cursor_version": version,
                    "generation_id": loaded[file.path].generation if file.path in loaded else None,
                    "feed_mode": (
                        None
                        if file.path not in loaded
                        else "register"
                        if file.path in registered
                        else "copy"
                    ),
                }
                for file in batch
            ],
            schema=_LEDGER,
        )
        self._connection.register("fed_files", entries)
        try:
            self._connection.execute(
                f"insert into {self._lake}.meta.feeder_files by name"
                " select *, now() as loaded_at from fed_files"
            )
        finally:
            self._connection.unregister("fed_files")

    def _write_changes(self, changes: Sequence[SchemaChange], version: int) -> None:
        """Record what is new of the schema; what was recorded keeps its first file and time."""
        stream, table = self._stream, f"{self._lake}.meta.schema_changes"
        for change in changes:
            self._connection.execute(
                f"insert into {table} select *, now() from (values (?, ?, ?, ?, ?, ?, ?, ?))"
                f" as found ({', '.join(_CHANGE_COLUMNS)}) anti join {table} as known"
                " using (source, stream, column_name, change, type_after)",
                [
                    stream.source,
                    stream.name,
                    change.column_name,
                    change.change,
                    change.type_before,
                    change.type_after,
                    change.path,
                    version,
                ],
            )

    def _check_unchanged(self, batch: Sequence[LandedFile]) -> None:
        """Files that were replaced while they were read would be in the ledger as what they were.

        Raises:
            duckdb.TransactionException: One was; the feed is planned again.
        """
        now = {file.path: file.etag for file in self._again(batch)}
        changed = next(
            (file.path for file in batch if now.get(file.path, file.etag) != file.etag), None
        )
        if changed:
            raise duckdb.TransactionException(f"conflict: {changed} changed while it was read")

    def _check_still_there(self, files: Sequence[LandedFile]) -> None:
        """A file that was replaced or deleted since it was listed is not a bad one.

        Raises:
            _LostRace: One was; the feed is planned again.
            LakeError: The landing zone cannot be read any more.
        """
        now = {(file.path, file.etag) for file in self._again(files)}
        if any((file.path, file.etag) not in now for file in files):
            raise _LostRace

    def _again(self, files: Sequence[LandedFile]) -> list[LandedFile]:
        return self._landing.again([file.path for file in files])

    def _note_idle(self, cursor: _Cursor, swept: bool) -> None:
        """Remember that everything was listed, and that nothing waits any more."""
        try:
            self._connection.execute(
                f"update {self._lake}.meta.feeder_cursors set backlog_files = 0, backlog_bytes = 0,"
                f" swept_at = {'now()' if swept else 'swept_at'}"
                " where source = ? and stream = ? and cursor_version = ?",
                [self._stream.source, self._stream.name, cursor.version],
            )
        except duckdb.Error as error:
            if not _is_conflict(error):
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.execute("rollback")
        except duckdb.Error:
            pass  # a failed commit has ended the transaction already


_LEDGER = pa.schema(
    [
        ("source", pa.string()),
        ("stream", pa.string()),
        ("path", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
        ("last_modified", pa.timestamp("us", "UTC")),
        ("row_count", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("cursor_version", pa.int64()),
        ("generation_id", pa.int64()),
        ("feed_mode", pa.string()),
    ]
)


_CHANGE_COLUMNS = (
    "source",
    "stream",
    "column_name",
    "change",
    "type_before",
    "type_after",
    "path",
    "cursor_version",
)


def _refusals(
    columns: dict[str, Type], quarantine: _Quarantine, landed: dict[str, Probe]
) -> list[SchemaChange]:
    """The columns for whose types files are in quarantine, and the first file of each."""
    found: dict[tuple[str, str], SchemaChange] = {}
    names = {name.lower(): name for name in columns}
    for path in sorted(quarantine.columns, key=order_of):
        column = quarantine.columns[path]
        name = names.get(column.lower(), column)
        refused = words(landed[path].schema[column])
        found.setdefault(
            (name, refused),
            SchemaChange(
                column_name=name,
                change="refused",
                type_before=words(columns[name]) if name in columns else None,
                type_after=refused,
                path=path,
            ),
        )
    return list(found.values())


def _part(group: _Group, column: str, path: tuple[str, ...]) -> Type | None:
    """What files of a group have at a place of a column; None when it is nothing but nulls."""
    whole = next(
        (type_ for name, type_ in group.schema.items() if name.lower() == column.lower()), None
    )
    part = part_at(whole, path) if whole else None
    return None if part is None or part.unknown else part


def _dotted(column: str, path: tuple[str, ...]) -> str:
    """A part's place as people write it: ``line_items[].price``."""
    return column + "".join(step if step == "[]" else f".{step}" for step in path)


def _may_be_good(look: Probe | Unreadable) -> bool:
    return isinstance(look, Unreadable) and look.passing


def _is_conflict(error: duckdb.Error) -> bool:
    """Whether trying again can help: another run was faster, or the catalog was busy."""
    text = str(error).lower()
    return (isinstance(error, duckdb.TransactionException) and "conflict" in text) or any(
        words in text for words in ("database is locked", "serialize access", "retry count")
    )
