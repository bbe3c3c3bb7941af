"""Which files fit into the staging table's columns, and by which conversions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import duckdb

from lotus_lake.escaping import printable
from lotus_lake.probe import Probe, Prober, Unreadable, is_transient
from lotus_lake.schema.conversion import Conflict, carry, convert, from_epoch, json_texts
from lotus_lake.schema.growth import join, merge, redeclared
from lotus_lake.schema.types import JSON_EMPTY, Type, dotted, part_at, quote, replace_at, words
from lotus_lake.streams import AIRBYTE_COLUMNS, EXTRACTED_AT, Stream
from lotus_lake.wording import counted

# These are declared, whatever else a stream declares.
_AIRBYTE = {name: Type.parse(sql) for name, sql in AIRBYTE_COLUMNS.items()}

# Longer values are shown in part.
_SHOWN_CHARACTERS = 40

# A column, and the steps to a part of it.
Part: TypeAlias = tuple[str, tuple[str, ...]]


class Columns:
    """The columns that the staging table is to have; capitals do not tell names apart.

    ``types`` has them by their names in the table; ``names`` has these by names in small letters,
    also of columns that are nothing but nulls yet, and have no type.
    """

    def __init__(self, types: Mapping[str, Type], declared: Mapping[str, Type]) -> None:
        self.types = dict(types)
        self.names = {name.lower(): name for name in types}
        self._declared = {
            name.lower(): type_ for name, type_ in (_AIRBYTE | dict(declared)).items()
        }

    def type_of(self, column: str) -> Type | None:
        """The type of a column of a file; None when the table has no such column."""
        return self.types.get(self.names.get(column.lower(), column))

    def declared(self, column: str) -> Type | None:
        return self._declared.get(column.lower())

    def declare(self, name: str, type_: Type) -> None:
        """Add a column; one of this name that became text gets the declared type."""
        name = self.names.setdefault(name.lower(), name)
        self.types[name] = redeclared(self.types[name], type_) if name in self.types else type_

    def make_text(self, column: str, path: tuple[str, ...]) -> None:
        name = self.names[column.lower()]
        self.types[name] = replace_at(self.types[name], path, Type.scalar("VARCHAR"))

    def grow(self, schema: Mapping[str, Type]) -> None:
        """Add or widen what a file with this schema brings; Conflict if a type can never fit."""
        for column, type_ in schema.items():
            name = self.names.setdefault(column.lower(), column)
            declared = self.declared(column)
            if name in self.types:
                old = self.types[name]
                self.types[name] = merge(old, type_, declared) if declared else join(old, type_)
            elif not type_.unknown:
                self.types[name] = merge(declared, type_) if declared else type_.known()

    def grown(self, schema: Mapping[str, Type]) -> Columns:
        """The columns as they would be with a file of this schema; Conflict as above."""
        columns = Columns(self.types, self._declared)
        columns.names = dict(self.names)
        columns.grow(schema)
        return columns


@dataclass
class Group:
    """Files that one statement reads: same format, same schema."""

    probes: list[Probe]
    schema: dict[str, Type]  # with what texts of JSON hold
    values: dict[str, str] = field(default_factory=dict)  # SQL of each column's converted value
    # SQL that is true when the conversion of a part is lossless; of those that may not be
    exact: dict[Part, str] = field(default_factory=dict)
    # SQL that is true unless a part has to become text
    doubts: dict[Part, str] = field(default_factory=dict)
    # SQL that is true of each row, or stops at one that the stream does not take
    check: str = "true"
    register: bool = False

    @property
    def paths(self) -> list[str]:
        return [probe.file.path for probe in self.probes]

    def write_conversions(self, columns: Columns) -> None:
        """Write the conversions into the staging table's columns; Conflict if one has none."""
        self.values, self.exact, self.doubts = {}, {}, {}
        for column, type_ in self.schema.items():
            target = columns.type_of(column)
            if target is None:
                if type_.unknown:
                    continue
                target = type_.known()
            declared = columns.declared(column)
            try:
                if declared is None:
                    conversion = carry(quote(column), type_, target)
                elif column.lower() == EXTRACTED_AT:
                    conversion = from_epoch(quote(column), type_, target)
                else:
                    conversion = convert(quote(column), type_, target, declared=declared)
            except Conflict as conflict:
                raise Conflict(f"column {column} is {conflict}") from conflict
            self.values[column] = conversion.value
            self.exact |= {(column, path): sure for path, sure in conversion.exact.items()}
            self.doubts |= {(column, path): sure for path, sure in conversion.doubts.items()}


@dataclass(frozen=True)
class Fitter:
    connection: duckdb.DuckDBPyConnection
    stream: Stream
    prober: Prober

    def fit(self, group: Group, columns: Columns, quarantine: dict[str, str]) -> list[Group]:
        """The part of a group that fits, with what its texts of JSON hold; ``columns`` stay.

        Files that do not fit are added to ``quarantine``, with the reason.
        """
        # Texts where the lake has objects: what do they hold? Files may differ, so one by one.
        texts = [
            (column, path)
            for column, type_ in group.schema.items()
            if (target := columns.type_of(column)) and (declared := columns.declared(column))
            for path in json_texts(type_, target, declared)
        ]
        if texts and len(group.probes) > 1:
            return [
                part
                for probe in group.probes
                for part in self.fit(Group([probe], dict(probe.schema)), columns, quarantine)
            ]
        try:
            self._check_columns(group)
            for column, path in texts:
                inner = self._json_inside(group.probes[0], column, path)
                group.schema[column] = replace_at(group.schema[column], path, inner)
            grown = columns.grown(group.schema)
            group.write_conversions(grown)
        except Conflict as conflict:
            quarantine.update(dict.fromkeys(group.paths, str(conflict)))
            return []
        quarantine.update(self._inexact(group, grown))
        group.probes = [probe for probe in group.probes if probe.file.path not in quarantine]
        return [group] if group.probes else []

    def _check_columns(self, group: Group) -> None:
        """A file without a column of the key is another's; only staging would have its rows."""
        own = {name.lower() for name in self.stream.columns} - set(AIRBYTE_COLUMNS)
        names = {name.lower() for name, type_ in group.schema.items() if not type_.unknown}
        if group.probes[0].format == "csv" and own and own.isdisjoint(names):
            raise Conflict("it has none of the stream's columns; are they separated by commas?")
        missing = [key for key in self.stream.primary_key if key.lower() not in names]
        if not missing:
            return
        if "_airbyte_data" in names:
            raise Conflict(
                "its records lie inside _airbyte_data. Set the flattening of Airbyte's destination "
                "to 'Root level flattening', and have it sent again"
            )
        raise Conflict(
            f"it has no value in {', '.join(missing)}, by which the stream's records are told apart"
        )

    def _json_inside(self, probe: Probe, column: str, path: tuple[str, ...]) -> Type:
        try:
            found = self.prober.json_type(probe, column, path)
        except Unreadable as reason:
            if reason.is_transient:
                raise duckdb.IOException(str(reason)) from reason
            raise Conflict(
                f"column {dotted(column, path)} is text where the lake has an object or a "
                f"list, but {reason}"
            ) from reason
        return found if found.name == "NULL" else Type.json_of(found)

    def misfits(self, group: Group) -> set[Part]:
        if not group.doubts:
            return set()
        try:
            return failing(self.connection, self.prober.relation(group.probes), group.doubts)
        except duckdb.Error as error:
            if is_transient(error) or isinstance(error, duckdb.OutOfMemoryException):
                raise
            # Found out file by file, when the feed itself fails.
            return set()

    def _inexact(self, group: Group, columns: Columns) -> dict[str, str]:
        """Files with values that would not survive their conversion: why, by their paths."""
        if not group.exact:
            return {}
        counts = ", ".join(
            f"count(*) filter (where not coalesce({check}, false))"
            for check in group.exact.values()
        )
        relation = self.prober.relation(group.probes)
        try:
            rows = self.connection.execute(
                f"select __uri, {counts} from {relation} group by all"
            ).fetchall()
        except duckdb.Error as error:
            if is_transient(error) or isinstance(error, duckdb.OutOfMemoryException):
                raise
            # Found out file by file, when the feed itself fails.
            return {}
        found = {}
        probes = {probe.file.path: probe for probe in group.probes}
        for uri, *lossy in rows:
            path = uri.removeprefix(self.prober.landing.root)
            for part, count in zip(group.exact, lossy, strict=True):
                if count:
                    reason = self._loss(probes[path], part, group, columns)
                    more = f" ({counted(count - 1, 'more row')} like it)" if count > 1 else ""
                    found[path] = f"{reason}{more}"
                    break
        return found

    def _loss(self, probe: Probe, part: Part, group: Group, columns: Columns) -> str:
        """The first row of a file in which a part cannot be converted, its value and its type."""
        column, path = part
        name = quote(column)
        landed = group.schema[column]
        text, value = f"cast({name} as varchar)", "null"
        if not landed.nested and self.stream.may_show(column):
            value = f"left({text}, {_SHOWN_CHARACTERS + 1})"
            if landed.name in ("JSON", JSON_EMPTY):
                value = f"if(json_type({name}) not in ('OBJECT', 'ARRAY'), {value}, null)"
        row, shown = self.connection.execute(
            f"select __row, {value} from {self.prober.relation([probe])}"
            f" where not coalesce({group.exact[part]}, false) order by __row limit 1"
        ).fetchall()[0]
        if shown is None:
            shown = "a value"
        else:
            if len(shown) > _SHOWN_CHARACTERS:
                shown = f"{shown[:_SHOWN_CHARACTERS]}…"
            shown = printable(f"'{shown}'" if landed.name == "VARCHAR" else shown)
        whole = columns.type_of(column)
        target = part_at(whole, path) if whole else None
        of_what = words(target) if target else "value of the lake's type"
        return f"row {row:,}, column {dotted(column, path)}: {shown} is no {of_what}"


def failing(
    connection: duckdb.DuckDBPyConnection, relation: str, checks: Mapping[Part, str]
) -> set[Part]:
    """The parts whose checks, in SQL, are not true of each row of a relation."""
    fits = ", ".join(f"bool_and(coalesce({check}, false))" for check in checks.values())
    row = connection.execute(f"select {fits} from {relation}").fetchone()
    return {part for part, fit in zip(checks, row or (), strict=True) if fit is False}
