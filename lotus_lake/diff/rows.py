"""Which rows of a table differ, and what differs in them.

One full outer join by key keeps the rows that differ in a temporary table; counts, examples and
aggregate deltas are queries of that table. DuckDB spills both to disk where memory is short.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from lotus_lake.diff.personal import HIDDEN
from lotus_lake.diff.results import ColumnDiff, Delta, NewColumn, TableDiff
from lotus_lake.schema.types import quote

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL")

_ON_BOTH = "in_before and in_after"
_GROUPS = 10
_EXAMPLES = 5


@dataclass(frozen=True)
class Rows:
    """The rows of a table on both sides: of these columns, read as these types, some shown."""

    connection: duckdb.DuckDBPyConnection
    before: str
    after: str
    key: Sequence[str]
    types: Mapping[str, str]
    shown: Collection[str]

    @property
    def payload(self) -> list[str]:
        """The columns that are no key."""
        return [column for column in self.types if column not in self.key]

    @property
    def measures(self) -> list[str]:
        """Payload columns that may be shown and whose sums mean something."""
        return [
            column
            for column in self.payload
            if column in self.shown
            and self.types[column].startswith(NUMBERS)
            and not self.types[column].endswith("]")
            and not column.endswith("_id")
            and not column.startswith("average_")
        ]

    def compare(self, table: TableDiff) -> None:
        """Set what differs: by key, or as a multiset where none is known or it repeats itself."""
        if not (self.key and self._key_is_unique()):
            table.key = ()
            table.reason = "whole rows: no column is declared and found to be its key"
            table.added, table.removed = self._multiset_counts()
            return
        table.reason = "all rows, joined by key"
        self._keep_differing()
        values, sums = self._count(table)
        moved = bool(table.added or table.removed)
        changed = {column for column in self.payload if moved or values[column]}
        for column in self.payload:
            delta = sums.get(column) if column in changed else None
            if values[column] or delta:
                examples = self._examples(column) if values[column] else []
                table.columns.append(ColumnDiff(column, values[column], delta, examples))
        if table.name.partition(".")[2].startswith("fct_"):
            table.by_day = self._by_day(changed)
            table.group = next((name for name in self.payload if name.endswith("_id")), "")
            table.by_group = self._by_group(table.group, changed)

    def _key_is_unique(self) -> bool:
        """Whether it names one row on each side: a join multiplies the rows of another."""
        key = ", ".join(map(quote, self.key))
        return not any(
            self._fetch(f"select 1 from {side} group by {key} having count(*) > 1 limit 1")
            for side in (self.before, self.after)
        )

    def _multiset_counts(self) -> tuple[int, int]:
        """How many whole rows were added and removed, repeated ones included."""
        read = ", ".join(f"{quote(column)}::{kind}" for column, kind in self.types.items())
        ((added, removed),) = self._fetch(
            f"""
            with extra as (
                select sum(copies)::bigint as copies from (
                    select hash({read}) as row_hash, 1 as copies from {self.after}
                    union all
                    select hash({read}), -1 from {self.before}
                )
                group by row_hash
            )
            select
                coalesce(sum(copies) filter (copies > 0), 0),
                coalesce(-sum(copies) filter (copies < 0), 0)
            from extra
            """
        )
        return added, removed

    def _keep_differing(self) -> None:
        """Keep the rows that differ in ``diff_rows``, with the values of both sides."""
        before, after = self._side("before", self.before), self._side("after", self.after)
        same_key = " and ".join(
            f"{_at('before', column)} is not distinct from {_at('after', column)}"
            for column in self.key
        )
        differ = ["in_before is null", "in_after is null", *map(_differs, self.payload)]
        self.connection.execute(
            f"create or replace temp table diff_rows as from {before} full join {after}"
            f" on {same_key} where {' or '.join(differ)}"
        )

    def _side(self, side: str, relation: str) -> str:
        columns = (
            f"{quote(name)}::{kind} as {_at(side, name)}" for name, kind in self.types.items()
        )
        return f"(select {', '.join(columns)}, true as in_{side} from {relation})"

    def _count(self, table: TableDiff) -> tuple[dict[str, int], dict[str, Any]]:
        """Set how many rows differ; by column how many values do, and each measure's delta."""
        rows = ["in_before is null", "in_after is null", _ON_BOTH]
        rows += [f"{_ON_BOTH} and {_differs(column)}" for column in self.payload]
        counts = [f"count(*) filter ({condition})" for condition in rows]
        sums = [
            f"coalesce(sum({_at('after', column)}), 0) - coalesce(sum({_at('before', column)}), 0)"
            for column in self.measures
        ]
        ((table.added, table.removed, table.changed, *found),) = self._fetch(
            f"select {', '.join([*counts, *sums])} from diff_rows"
        )
        values, deltas = found[: len(self.payload)], found[len(self.payload) :]
        return (
            dict(zip(self.payload, values, strict=True)),
            dict(zip(self.measures, deltas, strict=True)),
        )

    def _examples(self, column: str) -> list[str]:
        """Of a measure the values that changed most, else the first by key."""
        before, after = _at("before", column), _at("after", column)
        keys = [_at("after", part) for part in self.key]
        order = ", ".join(keys)
        if column in self.measures:
            # As doubles: a difference may have no room in the type.
            size = f"coalesce({after}, 0)::double - coalesce({before}, 0)::double"
            order = f"abs({size}) desc, {order}"
        shown = {True: "{}::varchar", False: f"if({{}} is not null, '{HIDDEN}', null)"}
        key = shown[set(self.key) <= set(self.shown)]
        value = shown[column in self.shown]
        cells = [*(key.format(part) for part in keys), value.format(before), value.format(after)]
        texts = [f"coalesce(left({cell}, 80), 'null')" for cell in cells]
        found = self._fetch(
            f"select {', '.join(texts)} from diff_rows where {_ON_BOTH} and {_differs(column)}"
            f" order by {order} limit {_EXAMPLES}"
        )
        return [f"{', '.join(row[:-2])}: {row[-2]} → {row[-1]}" for row in found]

    def _by_day(self, changed: Collection[str]) -> list[Delta]:
        """Aggregate deltas by the first date that may be shown, or else by the first time."""
        for kind in ("DATE", "TIMESTAMP"):
            for column, its_kind in self.types.items():
                if its_kind.startswith(kind) and column in self.shown:
                    # In UTC, whatever the session's time zone.
                    in_utc = its_kind == "TIMESTAMP WITH TIME ZONE"
                    day = "make_timestamp(epoch_us({}))::date" if in_utc else "{}::date"
                    return self._deltas(column, changed, "order by 1", day)
        return []

    def _by_group(self, group: str, changed: Collection[str]) -> list[Delta]:
        """Aggregate deltas of the groups of which a sum changed most."""
        if not group:
            return []
        largest = f"and group_value is not null order by size desc, 1 limit {_GROUPS}"
        found = self._deltas(group, changed, largest)
        return [delta if group in self.shown else replace(delta, group=HIDDEN) for delta in found]

    def _deltas(
        self, column: str, changed: Collection[str], tail: str, group: str = "{}"
    ) -> list[Delta]:
        """Aggregate deltas by what ``group`` makes of a column, where any is not zero."""
        # A row that moves to another group takes all of its measures along.
        measures = [name for name in self.measures if column in changed or name in changed]
        if not measures:
            return []
        sides = " union all ".join(
            f"select {group.format(_at(side, column))} as group_value, {side == 'after'} as is_new"
            + "".join(f", {_at(side, name)} as m{n}" for n, name in enumerate(measures))
            + f" from diff_rows where in_{side}"
            for side in ("before", "after")
        )
        deltas = [
            f"coalesce(sum(m{n}) filter (is_new), 0) - coalesce(sum(m{n}) filter (not is_new), 0)"
            for n in range(len(measures))
        ]
        size = f"greatest({', '.join(f'abs({delta})::double' for delta in deltas)})"
        found = self._fetch(
            f"select group_value, {size} as size, {', '.join(deltas)} from ({sides})"
            f" group by group_value having size <> 0 {tail}"
        )
        moved = [n for n in range(len(measures)) if any(row[n + 2] for row in found)]
        return [
            Delta("null" if value is None else str(value), {measures[n]: sums[n] for n in moved})
            for value, _, *sums in found
        ]

    def _fetch(self, sql: str) -> list[Any]:
        return self.connection.execute(sql).fetchall()


def new_columns(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[str],
    shown: Collection[str],
) -> list[NewColumn]:
    """What is in columns that a table did not have before, by one query."""
    if not columns:
        return []
    # Grouped, not count(distinct …): DuckDB spills groups where memory is short.
    profile = (
        "select {n}, coalesce(sum(copies) filter (value is null), 0)::bigint, count(value),"
        " {range}, {examples}"
        " from (select {column} as value, count(*) as copies from {relation} group by value)"
    )
    text = "left({}::varchar, 80)"
    ends = " || ' … ' || ".join(text.format(f"{end}(value)") for end in ("min", "max"))
    most = f"arg_min({text.format('value')}, (-copies, value), {_EXAMPLES})"
    values = {
        True: {"range": ends, "examples": f"{most} filter (value is not null)"},
        False: {"range": f"if(count(value) > 0, '{HIDDEN}', null)", "examples": "null"},
    }
    found = connection.execute(
        " union all ".join(
            profile.format(n=n, column=quote(name), relation=relation, **values[name in shown])
            for n, name in enumerate(columns)
        )
        + " order by 1"
    ).fetchall()
    return [
        NewColumn(columns[n], nulls, distinct, between or "", examples or [])
        for n, nulls, distinct, between, examples in found
    ]


def _at(side: str, column: str) -> str:
    return quote(f"{side} {column}")


def _differs(column: str) -> str:
    return f"{_at('before', column)} is distinct from {_at('after', column)}"
