"""Which files go into the staging table together, and how the table grows for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lotus_lake.feeder.checks import check_sql
from lotus_lake.feeder.fitting import Columns, Fitter, Group
from lotus_lake.feeder.staging import Staging
from lotus_lake.probe import Probe
from lotus_lake.schema.growth import differs_in_list, growth, needs_writing
from lotus_lake.schema.types import Type, quote
from lotus_lake.streams import Stream


@dataclass(frozen=True)
class Plan:
    """What a feed writes into the staging table."""

    groups: list[Group]
    columns: dict[str, Type]  # of the table, after it
    ddl: list[str]  # the statements that make them

    @property
    def loaded(self) -> list[Probe]:
        return [probe for group in self.groups for probe in group.probes]


@dataclass(frozen=True)
class Planner:
    stream: Stream
    staging: Staging
    fitter: Fitter

    def plan(self, probes: Sequence[Probe], quarantine: dict[str, str]) -> Plan:
        """Group the files, grow the columns, and write the conversions.

        Files that do not fit are added to ``quarantine``, and leave no column behind.
        """
        before = self.staging.columns()
        columns = Columns(before, self.stream.columns)
        # Columns declared since the table was made.
        for name, type_ in self.stream.columns.items():
            columns.declare(name, type_)
        groups = self._grouped(probes, columns, quarantine)
        kept = self._conversions(groups, before, columns)
        for group in groups:
            group.check = check_sql(self.stream, group)
        if any(needs_writing(type_, columns.types[name]) for name, type_ in before.items()):
            # DuckLake registers nothing in a table that was made in the same transaction.
            ddl = self.staging.write_anew(kept, columns.types)
            return Plan(groups, columns.types, ddl)
        if self.stream.feed_mode == "register":
            self._choose_registered(groups, columns)
        ddl = [
            statement
            for name, type_ in columns.types.items()
            for statement in growth(self.stream.table, name, before.get(name), type_)
        ]
        return Plan(groups, columns.types, ddl)

    def _grouped(
        self, probes: Sequence[Probe], columns: Columns, quarantine: dict[str, str]
    ) -> list[Group]:
        """The files that fit, those together that one statement reads; ``columns`` grow by them."""
        by_group: dict[object, list[Probe]] = {}
        for probe in probes:
            by_group.setdefault(probe.group, []).append(probe)
        fitting: dict[object, list[Group]] = {}
        for members in by_group.values():
            whole = Group(members, dict(members[0].schema))
            for group in self.fitter.fit(whole, columns, quarantine):
                # Files that were fitted one by one may still be alike.
                key = (group.probes[0].format, tuple(group.schema.items()))
                fitting.setdefault(key, []).append(group)
                columns.grow(group.schema)
        return [
            Group([probe for part in parts for probe in part.probes], parts[0].schema)
            for parts in fitting.values()
        ]

    def _conversions(
        self, groups: Sequence[Group], before: Mapping[str, Type], columns: Columns
    ) -> Mapping[str, str]:
        """Write the conversions of the files, and return those of the columns in staging.

        What files, or the rows in staging, show not to fit the join of its types becomes text.
        """
        for group in groups:
            group.write_conversions(columns)
        kept = self.staging.conversions(before, columns)
        misfits = self.staging.misfits(kept).union(*map(self.fitter.misfits, groups))
        if not misfits:
            return {name: conversion.value for name, conversion in kept.items()}
        for column, path in misfits:
            columns.make_text(column, path)
        return self._conversions(groups, before, columns)

    def _choose_registered(self, groups: Sequence[Group], columns: Columns) -> None:
        """Which groups need no conversion, and lack nothing that DuckLake believes to be there."""
        names = columns.names
        whole = [
            {
                names[column.lower()]
                for column, type_ in group.schema.items()
                if (target := columns.type_of(column)) and target.sql() == type_.sql()
            }
            for group in groups
        ]
        never_null = self.staging.never_null()
        for number, group in enumerate(groups):
            elsewhere = never_null.union(*whole[:number], *whole[number + 1 :])
            group.register = (
                group.probes[0].format == "parquet"
                and elsewhere <= whole[number]
                and all(value == quote(column) for column, value in group.values.items())
                # A new column of nothing but nulls is in the file, but not in the table.
                and all(
                    (target := columns.type_of(column)) is not None
                    and (
                        names[column.lower()] in whole[number]
                        or (type_.nested and not differs_in_list(type_, target))
                    )
                    for column, type_ in group.schema.items()
                )
            )
