"""Compares the tables of two sides, each a lake or a branch at one snapshot.

A table whose snapshots or contents prove that it is the same is not looked at further. For the
others, in this order:

1. which keys differ: those in DuckLake's changes since the common snapshot, where the branch
   changed rows of the lake's own table; after a rebuild, those whose rows have other hashes, found
   by a join of keys and hashes;
2. the rows of these keys, side by side: what was added, removed and changed, in which columns, and
   by how much the sums moved.

Where a glance at a large table that was built anew says that many rows differ, all are joined at
once instead: value by value in the columns that were seen to differ, by one hash in the others.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

_EXAMPLES = 5
# Up to so many rows are fetched and looked at one by one;
_FEW = 500_000
# of more, so many are looked through for examples,
_SAMPLE = 2_000
# and so many to guess how many differ.
_GLANCE = 1_000
_CUSTOMERS = 10
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL")
# What a run writes about itself is no difference.
_OF_THE_RUN = {"dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}
_NO_CHANGE = ("compacted_table", "merge_adjacent", "rewrite_delete", "inline_flush")

Number = int | float | Decimal


@dataclass(frozen=True)
class Side:
    """A lake or branch at one snapshot.

    Args:
        database: Its name on the connection.
        snapshot: Which of its snapshots.
        label: What to call it.
    """

    database: str
    snapshot: int
    label: str

    def relation(self, table: str) -> str:
        """SQL for a table, ``schema.name``, as of the snapshot."""
        schema, _, name = table.partition(".")
        return f"{self.database}.{schema}.{_quote(name)} at (version => {self.snapshot})"


@dataclass(frozen=True)
class Example:
    """One value that changed."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ColumnDiff:
    """A column whose values changed.

    Args:
        name: Its name.
        values: In how many rows that both sides have.
        shift: Sum after less sum before, added and removed rows included; None for what has no sum.
        examples: A few of the values.
    """

    name: str
    values: int
    shift: Number | None
    examples: list[Example]


@dataclass(frozen=True)
class Shift:
    """By how much the sums of a group of rows moved.

    Args:
        group: The day, or the customer.
        shifts: Sum after less sum before, by column.
    """

    group: str
    shifts: dict[str, Number]


@dataclass(frozen=True)
class SchemaChange:
    """A column that only one side has, or with another type."""

    column: str
    before: str | None
    after: str | None


@dataclass
class TableDiff:
    """One table.

    Args:
        name: With its schema.
        status: ``same``, ``changed``, ``added`` or ``removed``.
        reason: How that is known.
        key: The columns that name a row; empty if rows are compared as a whole.
        schema: Differences between the columns.
        rows_before, rows_after: How many rows each side has.
        added, removed, changed: How many rows.
        columns: The columns whose values changed.
        by_day, by_customer: Where the sums moved: every day, and the customers that moved most.
        seconds: How long it took.
    """

    name: str
    status: str = "same"
    reason: str = ""
    key: tuple[str, ...] = ()
    schema: list[SchemaChange] = field(default_factory=list)
    rows_before: int = 0
    rows_after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: list[ColumnDiff] = field(default_factory=list)
    by_day: list[Shift] = field(default_factory=list)
    by_customer: list[Shift] = field(default_factory=list)
    seconds: float = 0


@dataclass(frozen=True)
class LakeDiff:
    """Every table.

    Args:
        before: The side that is compared with.
        after: The side that is looked at.
        tables: Their differences, changed ones first.
    """

    before: Side
    after: Side
    tables: list[TableDiff]

    @property
    def changed(self) -> list[TableDiff]:
        """The tables that are not the same."""
        return [table for table in self.tables if table.status != "same"]


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    keys: Mapping[str, Sequence[str]],
    only: Sequence[str] = (),
) -> LakeDiff:
    """Compare two sides.

    Args:
        connection: Has both databases attached; its temporary tables ``diff_*`` are used.
        before: The lake.
        after: The branch, or the same database at a later snapshot.
        keys: Key columns of tables, by table name without schema.
        only: Compare only these tables, by name without schema; all if empty.

    Raises:
        duckdb.Error: A side cannot be read.
    """
    before_tables, after_tables = _tables(connection, before), _tables(connection, after)
    touched = _touched(connection, before, after)
    found = []
    for name in sorted(before_tables | after_tables):
        bare = name.partition(".")[2]
        if only and bare not in only:
            continue
        started = time.monotonic()
        table = TableDiff(name, key=tuple(keys.get(bare, ())))
        if name not in before_tables:
            table.status, table.reason = "added", f"there is none in {before.label}"
            table.rows_after = _count(connection, after, name)
        elif name not in after_tables:
            table.status, table.reason = "removed", f"there is none in {after.label}"
            table.rows_before = _count(connection, before, name)
        else:
            same_table = before_tables[name] == after_tables[name]
            _compare_table(connection, before, after, table, same_table, touched)
        table.seconds = time.monotonic() - started
        found.append(table)
    order = {"changed": 0, "added": 1, "removed": 2, "same": 3}
    return LakeDiff(before, after, sorted(found, key=lambda one: (order[one.status], one.name)))


def _compare_table(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    same_table: bool,
    touched: set[str] | None,
) -> None:
    if same_table and touched is not None and table.name not in touched:
        table.reason = f"no snapshot after {before.snapshot} touches it"
        table.rows_before = table.rows_after = _count(connection, after, table.name)
        return
    ours, theirs = _columns(connection, before, table.name), _columns(connection, after, table.name)
    table.schema = [
        SchemaChange(column, ours.get(column), theirs.get(column))
        for column in [*ours, *(column for column in theirs if column not in ours)]
        if ours.get(column) != theirs.get(column)
    ]
    common = [column for column in theirs if column in ours and column not in _OF_THE_RUN]
    types = {column: theirs[column] for column in common}
    table.rows_before = _count(connection, before, table.name)
    table.rows_after = _count(connection, after, table.name)
    if not set(table.key) <= set(common):
        table.key = ()
    if table.key:
        by_changes = same_table and touched is not None
        if rows := _rows_that_differ(connection, before, after, table, types, by_changes):
            _compare_rows(connection, before, after, table, types, rows)
        if table.added - table.removed != table.rows_after - table.rows_before:
            table.key = ()
    if not table.key:
        # Where the declared key names several rows, a join has multiplied them.
        table.columns, table.changed, table.by_day, table.by_customer = [], 0, [], []
        _compare_as_bags(connection, before, after, table, types)
        table.reason = "whole rows: no column is declared and found to be its key"
    if table.added or table.removed or table.changed or table.schema:
        table.status = "changed"


# -- which tables ----------------------------------------------------------------------------------


def _tables(connection: duckdb.DuckDBPyConnection, side: Side) -> dict[str, int]:
    """The tables that analysts see, and DuckLake's number of each."""
    catalog = f"__ducklake_metadata_{side.database}"
    at = f"begin_snapshot <= {side.snapshot} and coalesce(end_snapshot > {side.snapshot}, true)"
    return dict(
        connection.execute(
            f"""
            select schema_name || '.' || table_name, table_id
            from (select * from {catalog}.ducklake_table where {at})
            inner join (select * from {catalog}.ducklake_schema where {at}) using (schema_id)
            where schema_name <> 'meta'
            """
        ).fetchall()
    )


def _touched(connection: duckdb.DuckDBPyConnection, before: Side, after: Side) -> set[str] | None:
    """Tables whose rows or columns changed after the first side's snapshot.

    None where the sides share no history: their snapshots say nothing of each other.
    """
    if before.database != after.database:
        return None
    catalog = f"__ducklake_metadata_{after.database}"
    return {
        name
        for (name,) in connection.execute(
            f"""
            with changes as (
                select unnest(string_split(changes_made, ',')) as change
                from {catalog}.ducklake_snapshot_changes
                where snapshot_id > {before.snapshot} and snapshot_id <= {after.snapshot}
            ),
            touched as (
                select distinct split_part(change, ':', 2) as table_id from changes
                where split_part(change, ':', 1) not in {_NO_CHANGE}
            )
            select schema_name || '.' || table_name
            from {catalog}.ducklake_table
            inner join {catalog}.ducklake_schema using (schema_id)
            where table_id::varchar in (from touched)
            """
        ).fetchall()
    }


def _columns(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> dict[str, str]:
    described = connection.execute(f"describe from {side.relation(table)}").fetchall()
    return {name: kind for name, kind, *_ in described}


def _count(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> int:
    return int(_one(connection, f"select count(*) from {side.relation(table)}"))


# -- which rows ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The rows that are compared.

    Args:
        joined: A relation with both sides' rows by key, as ``_joined_sql`` has them.
        sides: Relations with the rows of each side, before and after.
        columns: The columns whose values are compared, in the order of ``joined``.
        others: Columns that are compared by the hash of them all.
        examples: A relation with those that may serve as examples.
        sampled: If that has to be made, one in how many; else 0.
    """

    joined: str
    sides: tuple[str, str]
    columns: Sequence[str]
    others: Sequence[str] = ()
    examples: str = "diff_examples"
    sampled: int = 0


def _rows_that_differ(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    by_changes: bool,
) -> _Rows | None:
    """The rows that differ, or more; None if there are none, or if the key turns out to be none.

    Says in the table how that is known.
    """
    values = _values_of(table, types)
    if by_changes:
        table.reason = f"its changes since snapshot {before.snapshot}"
        schema, _, name = table.name.partition(".")
        keys = (
            f"ducklake_table_changes('{after.database}', '{schema}', '{name}',"
            f" {before.snapshot + 1}, {after.snapshot})"
        )
    else:
        if min(table.rows_before, table.rows_after) > _FEW and (
            rows := _rows_if_many_differ(connection, before, after, table, types)
        ):
            table.reason = "all rows, joined by key"
            return rows
        if not table.key:
            return None
        table.reason = "hashes of all rows, joined by key"
        keys = _differing_keys_sql(before, after, table, types)
    where, count = _where_keys_of(connection, keys, table, types)
    if not count:
        return None
    if count > _FEW:
        every = max(1, count // _SAMPLE)
        return _all_rows(before, after, table, types, values, (), sampled=every)
    return _few_rows(connection, before, after, table, types, where)


def _few_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    where: str,
) -> _Rows | None:
    """The rows that meet a condition; None if several have the same key."""
    values = _values_of(table, types)
    # DuckLake expects no rows of a table at a version, so DuckDB would look each of the few keys up
    # among all rows, and not the other way round.
    connection.execute("set disabled_optimizers = 'build_side_probe_side'")
    try:
        for one, side in (("before", before), ("after", after)):
            rows = _side_sql(side, table, types, values, where)
            connection.execute(f"create or replace temp table diff_{one} as {rows}")
    finally:
        connection.execute("reset disabled_optimizers")
    joined = _join_sql(table, ("diff_before", "diff_after"), values)
    connection.execute(f"create or replace temp table diff_rows as {joined}")
    if _one(connection, "select count(*) > count(distinct row_key) from diff_rows"):
        table.key = ()
        return None
    matched = "(from diff_rows where there_before and there_after)"
    return _Rows("diff_rows", ("diff_before", "diff_after"), values, examples=matched)


def _values_of(table: TableDiff, types: Mapping[str, str]) -> list[str]:
    return [column for column in types if column not in table.key]


def _where_keys_of(
    connection: duckdb.DuckDBPyConnection, rows: str, table: TableDiff, types: Mapping[str, str]
) -> tuple[str, int]:
    """A condition for the rows of either side that have one of the keys of ``rows``; how many."""
    key = ", ".join(f"{_quote(column)}::{types[column]}" for column in table.key)
    first, kind = _quote(table.key[0]), types[table.key[0]]
    connection.execute(
        "create or replace temp table diff_keys as"
        f" select distinct hash({key}) as row_key, {first}::{kind} as first_key from {rows}"
    )
    # The range lets DuckLake leave out files; the hash decides, nulls and several columns included.
    count, low, high, nulls = connection.execute(
        "select count(*), min(first_key)::varchar, max(first_key)::varchar,"
        " bool_or(first_key is null) from diff_keys"
    ).fetchone() or (0, None, None, None)
    where = f"hash({key}) in (select row_key from diff_keys)"
    if low is not None and not nulls:
        where += f" and {first} between '{_escape(low)}'::{kind} and '{_escape(high)}'::{kind}"
    return where, count


def _differing_keys_sql(
    before: Side, after: Side, table: TableDiff, types: Mapping[str, str]
) -> str:
    """A relation with the keys whose rows are not the same on both sides, by their hashes."""
    values = _values_of(table, types)
    joined = _joined_sql(before, after, table, types, (), values)
    names = ", ".join(f"k{n} as {_quote(column)}" for n, column in enumerate(table.key))
    # A row that one side lacks has no hash there.
    return f"(select {names} from ({joined}) where others_before is distinct from others_after)"


def _rows_if_many_differ(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> _Rows | None:
    """All rows, if a glance at a few of them says that many differ.

    To find the keys first would cost time, and leave out little. The rows of the glance are the
    examples.
    """
    read = ", ".join(
        f"{_quote(column)}::{types[column]} as {_quote(column)}" for column in table.key
    )
    some = f"(select {read} from {before.relation(table.name)} limit {_GLANCE})"
    values = _values_of(table, types)
    where, _ = _where_keys_of(connection, some, table, types)
    if not (glance := _few_rows(connection, before, after, table, types, where)):
        return None
    differ = [f"b{n} is distinct from a{n}" for n in _n(values)]
    matched, differing, *flags = connection.execute(
        f"select count(*), count(*) filter ({' or '.join(differ) or 'false'})"
        + "".join(f", coalesce(bool_or({one}), false)" for one in differ)
        + f" from {glance.examples}"
    ).fetchone() or (0, 0)
    # In as many rows of the table, more than are looked at one by one.
    if not matched or differing * max(table.rows_before, table.rows_after) <= _FEW * matched:
        return None
    seen = [n for n in _n(values) if flags[n]]
    shown = [f"k{n}" for n in _n(table.key)]
    shown += [f"{one}{n} as {one}{place}" for place, n in enumerate(seen) for one in "ba"]
    connection.execute(
        "create or replace temp table diff_examples as"
        f" select {', '.join(shown)} from {glance.examples}"
    )
    columns = [values[n] for n in seen]
    others = [column for column, differs in zip(values, flags, strict=True) if not differs]
    return _all_rows(before, after, table, types, columns, others)


def _all_rows(
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    columns: Sequence[str],
    others: Sequence[str],
    sampled: int = 0,
) -> _Rows:
    """Every row of both sides; arguments as for ``_Rows``."""
    sides = before.relation(table.name), after.relation(table.name)
    joined = _joined_sql(before, after, table, types, columns, others)
    return _Rows(f"({joined})", sides, columns, others, sampled=sampled)


def _compare_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    rows: _Rows,
) -> None:
    """Count what differs, take examples in the same pass, and add up by how much sums moved."""
    compared = rows.columns
    differs = [f"there_before and there_after and b{n} is distinct from a{n}" for n in _n(compared)]
    any_differs = " or ".join(differs) or "false"
    counts = [
        "count(*) filter (there_before is null)",
        "count(*) filter (there_after is null)",
        "count(*) filter (there_before and there_after and others_before <> others_after)",
        *(f"count(*) filter ({one})" for one in (any_differs, *differs)),
    ]
    select = ", ".join(f"{one} as count_{n}" for n, one in enumerate(counts))
    if rows.sampled:
        values = [f"k{n}" for n in _n(table.key)]
        values += [f"{one}{n}" for n in _n(compared) for one in "ba"]
        select += (
            f", list(struct_pack({', '.join(f'{one} := {one}' for one in values)}))"
            f" filter (row_key % {rows.sampled} = 0 and ({any_differs})) as examples"
        )
    connection.execute(
        f"create or replace temp table diff_counts as select {select} from {rows.joined}"
    )
    if rows.sampled:
        connection.execute(
            "create or replace temp table diff_examples as"
            " select unnest(one) from (select unnest(examples) as one from diff_counts)"
        )
    counted = ", ".join(f"count_{n}" for n in _n(counts))
    row = connection.execute(f"select {counted} from diff_counts").fetchone()
    assert row
    table.added, table.removed, others_changed, table.changed, *changed = row
    if others_changed:
        # The glance has seen no such row.
        every = max(1, table.rows_after // _SAMPLE)
        values = _values_of(table, types)
        rows = _all_rows(before, after, table, types, values, (), sampled=every)
        return _compare_rows(connection, before, after, table, types, rows)
    if not (table.added or table.removed or table.changed):
        return None
    moved = set(compared)
    if table.added or table.removed:
        moved.update(rows.others)
    if table.name.partition(".")[2].startswith("fct_"):
        totals = _find_shifts(connection, table, types, rows, moved)
    else:
        totals = _totals(connection, types, rows, moved)
    values_changed = dict(zip(compared, changed, strict=True))
    for column in types:
        count, shift, examples = values_changed.get(column, 0), totals.get(column), []
        if count:
            place = compared.index(column)
            examples = _examples(connection, table, types, column, rows.examples, place)
        if count and not examples:
            # So few that none was among the sampled ones.
            joined = _joined_sql(before, after, table, types, [column])
            matched = f"(from ({joined}) where there_before and there_after)"
            examples = _examples(connection, table, types, column, matched, 0)
        if count or shift:
            table.columns.append(ColumnDiff(column, count, shift, examples))
    return None


def _side_sql(
    side: Side,
    table: TableDiff,
    types: Mapping[str, str],
    columns: Sequence[str],
    where: str = "true",
    others: Sequence[str] = (),
) -> str:
    """One side's rows: the key, columns, and the hash of others."""
    wanted = ", ".join(
        f"{_quote(column)}::{types[column]} as {_quote(column)}"
        for column in [*table.key, *columns]
    )
    hashed = ", ".join(f"{_quote(column)}::{types[column]}" for column in others) or "0"
    return (
        f"select {wanted}, hash({hashed}) as others, true as there"
        f" from {side.relation(table.name)} where {where}"
    )


def _joined_sql(
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    columns: Sequence[str],
    others: Sequence[str] = (),
) -> str:
    """All rows of both sides, as ``_join_sql`` has them."""
    sides = [
        f"({_side_sql(side, table, types, columns, others=others)})" for side in (before, after)
    ]
    return _join_sql(table, sides, columns)


def _join_sql(table: TableDiff, sides: Sequence[str], columns: Sequence[str]) -> str:
    """Both sides' rows by key: ``b0``, ``a0`` and so on for the columns, before and after.

    Args:
        table: Has the key.
        sides: Two relations, as ``_side_sql`` selects them.
        columns: Their columns.
    """
    both = " and ".join(
        f"ours.{_quote(column)} is not distinct from theirs.{_quote(column)}"
        for column in table.key
    )
    keys = [f"coalesce(ours.{_quote(column)}, theirs.{_quote(column)})" for column in table.key]
    values = [
        "ours.there as there_before",
        "theirs.there as there_after",
        "ours.others as others_before",
        "theirs.others as others_after",
        f"hash({', '.join(keys)}) as row_key",
        *(f"{key} as k{n}" for n, key in enumerate(keys)),
        *(f"ours.{_quote(column)} as b{n}" for n, column in enumerate(columns)),
        *(f"theirs.{_quote(column)} as a{n}" for n, column in enumerate(columns)),
    ]
    ours, theirs = sides
    return f"select {', '.join(values)} from {ours} as ours full join {theirs} as theirs on {both}"


def _examples(
    connection: duckdb.DuckDBPyConnection,
    table: TableDiff,
    types: Mapping[str, str],
    column: str,
    rows: str,
    place: int,
) -> list[Example]:
    """Of joined rows, whose column number ``place`` is this one, those that changed most.

    Of what has no size, the first by key.
    """
    text = " || ', ' || ".join(f"coalesce(k{n}::varchar, 'null')" for n in _n(table.key))
    before, after = f"b{place}", f"a{place}"
    size = f"abs(coalesce({after}, 0) - coalesce({before}, 0)) desc, "
    found = connection.execute(
        f"select {text}, left({before}::varchar, 80), left({after}::varchar, 80) from {rows}"
        f" where {before} is distinct from {after}"
        f" order by {size if column in _measures(types) else ''}{text} limit {_EXAMPLES}"
    ).fetchall()
    return [Example(*row) for row in found]


def _totals(
    connection: duckdb.DuckDBPyConnection,
    types: Mapping[str, str],
    rows: _Rows,
    moved: Collection[str],
) -> dict[str, Number]:
    """By how much the sum of each figure moved; rows that are the same on both sides cancel out."""
    figures = [column for column in _measures(types) if column in moved]
    if not figures:
        return {}
    sums = connection.execute(_sums_sql(rows, types, "null", figures)).fetchall()
    return dict(zip(figures, sums[0][1:], strict=True)) if sums else {}


def _find_shifts(
    connection: duckdb.DuckDBPyConnection,
    table: TableDiff,
    types: Mapping[str, str],
    rows: _Rows,
    moved: Collection[str],
) -> dict[str, Number]:
    """Where the sums moved: on which days, and of which customers; and by how much in all."""

    def figures_by(group: str) -> list[str]:
        # A row that moves to another day takes all of its figures along.
        return [column for column in _measures(types) if group in moved or column in moved]

    def sums_by(
        group: str, figures: Sequence[str], where: str = "true", order: str = "1"
    ) -> list[tuple[Any, ...]]:
        sums = _sums_sql(rows, types, group, figures, where)
        return connection.execute(f"{sums} order by {order}").fetchall()

    def shifts(sums: Sequence[tuple[Any, ...]], figures: Sequence[str]) -> list[Shift]:
        kept = [n for n in _n(figures) if any(one[n + 1] for one in sums)]
        return [
            Shift(_text(group) or "", {figures[n]: moved_by[n] for n in kept})
            for group, *moved_by in sums
        ]

    day = _day_of(types)
    if day and (figures := figures_by(day)):
        table.by_day = shifts(sums_by(_day_sql(day, types[day]), figures), figures)
        totals = {
            column: sum(one.shifts.get(column, 0) for one in table.by_day)
            for column in figures
            if column in moved
        }
    else:
        totals = _totals(connection, types, rows, moved)
    customer = "customer_id"
    if customer in types and (figures := figures_by(customer)):
        # Ranked by one figure; the others are only added up for those who lead.
        ranking = max(
            figures,
            key=lambda column: sum(_size(one.shifts.get(column)) for one in table.by_day),
        )
        name = _quote(customer)
        known = f"{name} is not null"
        leaders = sums_by(name, [ranking], known, f"abs(shift_0) desc, 1 limit {_CUSTOMERS}")
        if len(figures) > 1:
            those = ", ".join(f"'{_escape(str(one))}'::{types[customer]}" for one, _ in leaders)
            leaders = sums_by(name, figures, f"{name} in ({those or 'null'})")
        table.by_customer = sorted(
            shifts(leaders, figures), key=lambda one: -max(map(_size, one.shifts.values()))
        )
    return totals


def _sums_sql(
    rows: _Rows,
    types: Mapping[str, str],
    group: str,
    figures: Sequence[str],
    where: str = "true",
) -> str:
    """Sums by group, after less before, of the groups in which any of them moved."""
    before, after = rows.sides
    sides = " union all ".join(
        f"select {group} as group_value, "
        + ", ".join(
            f"{sign}sum({_quote(column)}::{types[column]}) as moved_{place}"
            for place, column in enumerate(figures)
        )
        + f" from {side} where {where} group by group_value"
        for side, sign in ((after, ""), (before, "-"))
    )
    shifts = ", ".join(f"coalesce(sum(moved_{n}), 0) as shift_{n}" for n in _n(figures))
    some = " or ".join(f"shift_{n} <> 0" for n in _n(figures))
    return f"select group_value, {shifts} from ({sides}) group by group_value having {some}"


def _size(value: Number | None) -> float:
    return abs(float(value or 0))


def _n(columns: Sequence[str]) -> range:
    return range(len(columns))


def _measures(types: Mapping[str, str]) -> list[str]:
    """The columns whose sums mean something: numbers that are no key and no average."""
    return [
        column
        for column, kind in types.items()
        if kind.startswith(_NUMBERS)
        and not kind.endswith("]")
        and not column.endswith("_id")
        and not column.startswith("average_")
    ]


def _compare_as_bags(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> None:
    """Rows without a key: how many of them does the other side not have?"""
    read = ", ".join(f"{_quote(column)}::{kind}" for column, kind in types.items())
    row = connection.execute(
        f"""
        with counted as (
            select row_hash, sum(place) as extra
            from (
                select hash({read}) as row_hash, 1 as place from {after.relation(table.name)}
                union all
                select hash({read}), -1 from {before.relation(table.name)}
            )
            group by row_hash
            having extra <> 0
        )
        select
            coalesce(sum(extra) filter (extra > 0), 0), -coalesce(sum(extra) filter (extra < 0), 0)
        from counted
        """
    ).fetchone()
    assert row
    table.added, table.removed = int(row[0]), int(row[1])


def _day_of(types: Mapping[str, str]) -> str | None:
    """The column that says which day a row belongs to: the first date, or else the first time."""
    for kind in ("DATE", "TIMESTAMP"):
        for column, type_ in types.items():
            if type_.startswith(kind):
                return column
    return None


def _day_sql(column: str, kind: str) -> str:
    """SQL for the day, in UTC, of a date or time."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        # A cast would ask the time zone's rules about each row, which takes longer than the sums.
        return f"make_timestamp(epoch_us({_quote(column)}))::date"
    return f"{_quote(column)}::date"


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)[:80]


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row
    return row[0]


def _escape(text: str) -> str:
    return text.replace("'", "''")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
