"""Compares the tables of two sides, each a lake or a branch at one snapshot.

A table whose snapshots or contents prove that it is the same is not looked at further. For the
others, in this order:

1. which keys can differ: those in DuckLake's changes since the common snapshot, where the branch
   changed rows of the lake's own table; after a rebuild, those in the buckets of keys whose
   fingerprints differ, found in one pass over each side;
2. the rows of these keys side by side, with the columns whose fingerprints differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

_BUCKETS = 1024
_EXAMPLES = 5
# About so many rows are looked through for examples,
_SAMPLE = 2_000
# and so many to see whether nearly everything differs.
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
        candidates: _Candidates | None
        if same_table and touched is not None:
            candidates = _changed_keys(connection, before, after, table, types)
            table.reason = f"its changes since snapshot {before.snapshot}"
        elif seen := _columns_of_nearly_all_rows(connection, before, after, table, types):
            candidates = _all_rows(connection, before, after, table, types, seen)
            table.reason = "all rows, joined by key"
        else:
            candidates = _differing_buckets(connection, before, after, table, types)
            table.reason = "fingerprints of all rows"
        if candidates:
            _compare_rows(connection, before, after, table, types, candidates)
        if table.added - table.removed != table.rows_after - table.rows_before:
            # The declared key names several rows, which a join has multiplied.
            table.key, table.columns, table.changed = (), [], 0
            table.by_day, table.by_customer = [], []
    if not table.key:
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
class _Candidates:
    """The rows that may differ.

    Args:
        where: A condition for them.
        columns: The columns that may.
        sampled: One in how many of them may serve as an example.
    """

    where: str
    columns: list[str]
    sampled: int = 1


def _changed_keys(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> _Candidates:
    """The keys of all rows that were inserted or deleted since the common snapshot."""
    schema, _, name = table.name.partition(".")
    changes = (
        f"ducklake_table_changes('{after.database}', '{schema}', '{name}',"
        f" {before.snapshot + 1}, {after.snapshot})"
    )
    where = _where_keys_of(connection, changes, table, types)
    keys = _one(connection, "select count(*) from diff_keys")
    columns = [column for column in types if column not in table.key]
    return _Candidates(where, columns, max(1, keys // _SAMPLE))


def _where_keys_of(
    connection: duckdb.DuckDBPyConnection, rows: str, table: TableDiff, types: Mapping[str, str]
) -> str:
    """A condition for the rows of either side that have one of the keys of ``rows``."""
    key, first = ", ".join(map(_quote, table.key)), _quote(table.key[0])
    kind = types[table.key[0]]
    connection.execute(
        "create or replace temp table diff_keys as"
        f" select distinct hash({key}) as row_key, {first}::{kind} as first_key from {rows}"
    )
    # The range lets DuckLake leave out files; the hash decides, nulls and several columns included.
    low, high, nulls = connection.execute(
        "select min(first_key)::varchar, max(first_key)::varchar, bool_or(first_key is null)"
        " from diff_keys"
    ).fetchone() or (None, None, None)
    where = f"hash({key}) in (select row_key from diff_keys)"
    if low is not None and not nulls:
        where += f" and {first} between '{_escape(low)}'::{kind} and '{_escape(high)}'::{kind}"
    return where


def _columns_of_nearly_all_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> list[str]:
    """The columns in which a few rows differ, if these say that nearly all rows differ."""
    read = ", ".join(
        f"{_quote(column)}::{types[column]} as {_quote(column)}" for column in table.key
    )
    some = f"(select {read} from {before.relation(table.name)} limit {_GLANCE})"
    values = [column for column in types if column not in table.key]
    sample = _Candidates(_where_keys_of(connection, some, table, types), values)
    differ = [f"b{n} is distinct from a{n}" for n in _n(values)]
    matched, differing, *columns = connection.execute(
        f"select count(*), count(*) filter ({' or '.join(differ) or 'false'})"
        + "".join(f", coalesce(bool_or({one}), false)" for one in differ)
        + f" from ({_joined_sql(before, after, table, types, sample)})"
        " where there_before and there_after"
    ).fetchone() or (0, 0)
    if not matched or differing < 0.9 * matched:
        return []
    return [column for column, differs in zip(values, columns, strict=True) if differs]


def _all_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    seen: Sequence[str],
) -> _Candidates:
    """All rows; of the columns those that were seen to differ, and others with other fingerprints.

    Buckets would leave out no row, and only cost time.
    """
    key = ", ".join(f"{_quote(column)}::{types[column]}" for column in table.key)
    values = [column for column in types if column not in table.key]
    others = [column for column in values if column not in seen]
    prints = [f"bit_xor(hash({key}, {_quote(column)}::{types[column]}))" for column in others] or [
        "null"
    ]
    ours, theirs = (
        connection.execute(
            f"select {', '.join(prints)} from {side.relation(table.name)}"
        ).fetchone()
        for side in (before, after)
    )
    assert ours and theirs
    same = {column for column, one, two in zip(others, ours, theirs, strict=False) if one == two}
    columns = [column for column in values if column not in same]
    return _Candidates("true", columns, max(1, table.rows_after // _SAMPLE))


def _differing_buckets(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> _Candidates | None:
    """Compare both sides bucket by bucket and column by column, in one pass over each."""
    key = ", ".join(map(_quote, table.key))
    values = [column for column in types if column not in table.key]
    prints = ["bit_xor(hash(row_key)) as c0", "count(*) as row_count"] + [
        f"bit_xor(hash(row_key, {_quote(column)})) as c{place}"
        for place, column in enumerate(values, 1)
    ]
    for alias, side in (("diff_before", before), ("diff_after", after)):
        read = ", ".join(
            f"{_quote(column)}::{kind} as {_quote(column)}" for column, kind in types.items()
        )
        connection.execute(
            f"""
            create or replace temp table {alias} as
            select row_key % {_BUCKETS} as bucket, {", ".join(prints)}
            from (
                select *, hash({key}) as row_key
                from (select {read} from {side.relation(table.name)})
            )
            group by bucket
            """
        )
    differs = " or ".join(
        f"ours.{name} is distinct from theirs.{name}"
        for name in ("row_count", *(f"c{place}" for place in range(len(values) + 1)))
    )
    connection.execute(
        f"create or replace temp table diff_buckets as"
        f" select coalesce(ours.bucket, theirs.bucket) as bucket, ours, theirs"
        f" from diff_before as ours full join diff_after as theirs using (bucket) where {differs}"
    )
    buckets = _one(connection, "select count(*) from diff_buckets")
    if not buckets:
        return None
    flags = connection.execute(
        "select "
        + ", ".join(
            f"bool_or(ours.c{place} is distinct from theirs.c{place})"
            for place in range(len(values) + 1)
        )
        + " from diff_buckets"
    ).fetchone()
    assert flags
    return _Candidates(
        f"hash({key}) % {_BUCKETS} in (select bucket from diff_buckets)"
        if buckets < _BUCKETS
        else "true",
        [column for column, flag in zip(values, flags[1:], strict=True) if flag],
        max(1, table.rows_after // _SAMPLE) if buckets == _BUCKETS else 1,
    )


def _compare_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    candidates: _Candidates,
) -> None:
    """Join the rows that may differ, and count and take examples in the same pass."""
    compared = candidates.columns
    differs = [f"there_before and there_after and b{n} is distinct from a{n}" for n in _n(compared)]
    any_differs = " or ".join(differs) or "false"
    values = [f"k{n}" for n in _n(table.key)] + [f"{one}{n}" for n in _n(compared) for one in "ba"]
    counts = [
        "count(*) filter (there_before is null)",
        "count(*) filter (there_after is null)",
        *(f"count(*) filter ({one})" for one in (any_differs, *differs)),
        f"list(struct_pack({', '.join(f'{one} := {one}' for one in values)}))"
        f" filter (row_key % {candidates.sampled} = 0 and ({any_differs})) as examples",
    ]
    connection.execute(
        f"create or replace temp table diff_counts as select {', '.join(counts)}"
        f" from ({_joined_sql(before, after, table, types, candidates)})"
    )
    row = connection.execute("select * exclude (examples) from diff_counts").fetchone()
    assert row
    table.added, table.removed, table.changed, *changed = row
    if not (table.added or table.removed or table.changed):
        return
    if table.name.partition(".")[2].startswith("fct_"):
        totals = _find_shifts(connection, before, after, table, types, candidates)
    else:
        totals = _totals(connection, before, after, table, types, candidates)
    examples = _examples(connection, table, types, compared)
    for column, count in zip(compared, changed, strict=True):
        shift = totals.get(column)
        if count or shift:
            table.columns.append(ColumnDiff(column, count, shift, examples[column]))


def _joined_sql(
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    candidates: _Candidates,
) -> str:
    """Both sides' rows by key: ``b0``, ``a0`` and so on for the columns, before and after."""
    wanted = ", ".join(
        f"{_quote(column)}::{types[column]} as {_quote(column)}"
        for column in [*table.key, *candidates.columns]
    )
    ours, theirs = (
        f"(select {wanted}, true as there from {side.relation(table.name)}"
        f" where {candidates.where})"
        for side in (before, after)
    )
    both = " and ".join(
        f"ours.{_quote(column)} is not distinct from theirs.{_quote(column)}"
        for column in table.key
    )
    values = [
        "ours.there as there_before",
        "theirs.there as there_after",
        f"hash({', '.join(f'ours.{_quote(column)}' for column in table.key)}) as row_key",
        *(f"ours.{_quote(column)} as k{n}" for n, column in enumerate(table.key)),
        *(f"ours.{_quote(column)} as b{n}" for n, column in enumerate(candidates.columns)),
        *(f"theirs.{_quote(column)} as a{n}" for n, column in enumerate(candidates.columns)),
    ]
    return f"select {', '.join(values)} from {ours} as ours full join {theirs} as theirs on {both}"


def _examples(
    connection: duckdb.DuckDBPyConnection,
    table: TableDiff,
    types: Mapping[str, str],
    columns: Sequence[str],
) -> dict[str, list[Example]]:
    """Of the rows in diff_counts, by column: those that changed most, or the first of them."""
    connection.execute(
        "create or replace temp table diff_examples as select unnest(one) from"
        f" (select unnest(examples[1:{_SAMPLE}]) as one from diff_counts)"
    )
    text = " || ', ' || ".join(f"coalesce(k{n}::varchar, 'null')" for n in _n(table.key))
    figures = _measures(types)
    found = {}
    for n, column in enumerate(columns):
        size = f"abs(coalesce(a{n}, 0) - coalesce(b{n}, 0)) desc, " if column in figures else ""
        rows = connection.execute(
            f"select {text}, left(b{n}::varchar, 80), left(a{n}::varchar, 80)"
            f" from diff_examples where b{n} is distinct from a{n}"
            f" order by {size}{text} limit {_EXAMPLES}"
        ).fetchall()
        found[column] = [Example(*row) for row in rows]
    return found


def _totals(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    candidates: _Candidates,
) -> dict[str, Number]:
    """By how much the sum of each figure moved; rows that are the same on both sides cancel out."""
    figures = [column for column in _measures(types) if column in candidates.columns]
    if not figures:
        return {}
    rows = connection.execute(
        _sums_sql(before, after, table, types, candidates, "null", figures)
    ).fetchall()
    return dict(zip(figures, rows[0][1:], strict=True)) if rows else {}


def _find_shifts(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    candidates: _Candidates,
) -> dict[str, Number]:
    """Where the sums moved: on which days, and of which customers; and by how much in all."""

    def figures_by(group: str) -> list[str]:
        # A row that moves to another day takes all of its figures along.
        return [
            column
            for column in _measures(types)
            if group in candidates.columns or column in candidates.columns
        ]

    def sums_by(value: str, figures: Sequence[str], rows: _Candidates) -> list[Shift]:
        sums = connection.execute(
            _sums_sql(before, after, table, types, rows, value, figures) + " order by 1"
        ).fetchall()
        kept = [n for n in _n(figures) if any(one[n + 1] for one in sums)]
        return [
            Shift(_text(value) or "", {figures[n]: shifts[n] for n in kept})
            for value, *shifts in sums
        ]

    day = _day_of(types)
    if day and figures_by(day):
        table.by_day = sums_by(f"{_quote(day)}::date", figures_by(day), candidates)
        totals = {
            column: sum(one.shifts.get(column, 0) for one in table.by_day)
            for column in figures_by(day)
            if column in candidates.columns
        }
    else:
        totals = _totals(connection, before, after, table, types, candidates)
    customer = "customer_id"
    if customer in types and (figures := figures_by(customer)):
        # Ranked by one figure; the others are only added up for those who lead.
        leading = max(
            figures,
            key=lambda column: sum(_size(one.shifts.get(column)) for one in table.by_day),
        )
        ranked = connection.execute(
            f"select group_value::varchar from"
            f" ({_sums_sql(before, after, table, types, candidates, _quote(customer), [leading])})"
            f" where group_value is not null"
            f" order by abs(shift_0) desc, group_value limit {_CUSTOMERS}"
        ).fetchall()
        leaders = ", ".join(f"'{_escape(one)}'::{types[customer]}" for (one,) in ranked)
        where = f"{candidates.where} and {_quote(customer)} in ({leaders or 'null'})"
        table.by_customer = sorted(
            sums_by(_quote(customer), figures, _Candidates(where, candidates.columns)),
            key=lambda one: -max(map(_size, one.shifts.values())),
        )
    return totals


def _sums_sql(
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    candidates: _Candidates,
    group: str,
    figures: Sequence[str],
) -> str:
    """Sums by group, after less before, of the groups in which any of them moved."""
    sides = " union all ".join(
        f"select {group} as group_value, "
        + ", ".join(
            f"{sign}sum({_quote(column)}::{types[column]}) as moved_{place}"
            for place, column in enumerate(figures)
        )
        + f" from {side.relation(table.name)} where {candidates.where} group by group_value"
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
