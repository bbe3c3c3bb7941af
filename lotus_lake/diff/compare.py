"""Compares the tables of two sides, each a lake or a branch at one snapshot.

A table whose snapshots or contents prove that it is the same is not looked at further. For the
others, in this order:

1. which keys can differ: those in DuckLake's changes since the common snapshot, where the branch
   changed rows of the lake's own table; after a rebuild, those in the buckets of keys whose
   fingerprints differ, found in one pass over each side, or all, if a glance at a few rows says so;
2. the rows of these keys side by side: value by value in the columns that can differ, and where all
   rows are looked at the others by their hash;
3. for what differs, the sums of each side.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
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
        elif candidates := _nearly_all_rows(connection, before, after, table, types):
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
        columns: The columns that may, whose values are compared.
        others: Columns that hardly differ, compared by the hash of them all.
        sampled: One in how many of them may serve as an example; 0 if diff_examples has some.
    """

    where: str
    columns: list[str]
    others: Sequence[str] = ()
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
    return _Candidates(where, columns, sampled=max(1, keys // _SAMPLE))


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


def _nearly_all_rows(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
) -> _Candidates | None:
    """All rows, if a glance at a few of them says that nearly all differ.

    Buckets would leave out no row, and only cost time. The rows of the glance are the examples.
    """
    read = ", ".join(
        f"{_quote(column)}::{types[column]} as {_quote(column)}" for column in table.key
    )
    some = f"(select {read} from {before.relation(table.name)} limit {_GLANCE})"
    values = [column for column in types if column not in table.key]
    sample = _Candidates(_where_keys_of(connection, some, table, types), values)
    connection.execute(
        "create or replace temp table diff_glance as"
        f" select * from ({_joined_sql(before, after, table, types, sample)})"
        " where there_before and there_after"
    )
    differ = [f"b{n} is distinct from a{n}" for n in _n(values)]
    matched, differing, *flags = connection.execute(
        f"select count(*), count(*) filter ({' or '.join(differ) or 'false'})"
        + "".join(f", coalesce(bool_or({one}), false)" for one in differ)
        + " from diff_glance"
    ).fetchone() or (0, 0)
    if not matched or differing < 0.9 * matched:
        return None
    seen = [n for n in _n(values) if flags[n]]
    shown = [f"k{n}" for n in _n(table.key)]
    shown += [f"{one}{n} as {one}{place}" for place, n in enumerate(seen) for one in "ba"]
    connection.execute(
        f"create or replace temp table diff_examples as select {', '.join(shown)} from diff_glance"
    )
    others = [column for column, differs in zip(values, flags, strict=True) if not differs]
    return _Candidates("true", [values[n] for n in seen], others, sampled=0)


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
        sampled=max(1, table.rows_after // _SAMPLE) if buckets == _BUCKETS else 1,
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
    counts = [
        "count(*) filter (there_before is null)",
        "count(*) filter (there_after is null)",
        "count(*) filter (there_before and there_after and others_before <> others_after)",
        *(f"count(*) filter ({one})" for one in (any_differs, *differs)),
    ]
    if candidates.sampled:
        values = [f"k{n}" for n in _n(table.key)]
        values += [f"{one}{n}" for n in _n(compared) for one in "ba"]
        counts.append(
            f"list(struct_pack({', '.join(f'{one} := {one}' for one in values)}))"
            f" filter (row_key % {candidates.sampled} = 0 and ({any_differs})) as examples"
        )
    connection.execute(
        f"create or replace temp table diff_counts as select {', '.join(counts)}"
        f" from ({_joined_sql(before, after, table, types, candidates)})"
    )
    if candidates.sampled:
        connection.execute(
            "create or replace temp table diff_examples as select unnest(one) from"
            f" (select unnest(examples[1:{_SAMPLE}]) as one from diff_counts)"
        )
    row = connection.execute("from diff_counts").fetchone()
    assert row
    table.added, table.removed, others_changed, table.changed, *changed = row[: len(differs) + 4]
    if others_changed:
        # The glance has seen no such row.
        columns = [column for column in types if column not in table.key]
        every = max(1, table.rows_after // _SAMPLE)
        candidates = _Candidates(candidates.where, columns, sampled=every)
        return _compare_rows(connection, before, after, table, types, candidates)
    if not (table.added or table.removed or table.changed):
        return None
    moved = set(compared)
    if table.added or table.removed:
        moved.update(candidates.others)
    if table.name.partition(".")[2].startswith("fct_"):
        totals = _find_shifts(connection, before, after, table, types, candidates.where, moved)
    else:
        totals = _totals(connection, before, after, table, types, candidates.where, moved)
    values_changed = dict(zip(compared, changed, strict=True))
    for column in types:
        count, shift, examples = values_changed.get(column, 0), totals.get(column), []
        if count:
            place = compared.index(column)
            examples = _examples(connection, table, types, column, "diff_examples", place)
        if count and not examples:
            # So few that none was among the sampled ones.
            alone = _Candidates(candidates.where, [column])
            joined = _joined_sql(before, after, table, types, alone)
            matched = f"(from ({joined}) where there_before and there_after)"
            examples = _examples(connection, table, types, column, matched, 0)
        if count or shift:
            table.columns.append(ColumnDiff(column, count, shift, examples))
    return None


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
    hashed = ", ".join(f"{_quote(column)}::{types[column]}" for column in candidates.others)
    others = f"hash({hashed})" if hashed else "null"
    ours, theirs = (
        f"(select {wanted}, {others} as others, true as there from {side.relation(table.name)}"
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
        "ours.others as others_before",
        "theirs.others as others_after",
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
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    where: str,
    moved: Collection[str],
) -> dict[str, Number]:
    """By how much the sum of each figure moved; rows that are the same on both sides cancel out."""
    figures = [column for column in _measures(types) if column in moved]
    if not figures:
        return {}
    rows = connection.execute(
        _sums_sql(before, after, table, types, where, "null", figures)
    ).fetchall()
    return dict(zip(figures, rows[0][1:], strict=True)) if rows else {}


def _find_shifts(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    where: str,
    moved: Collection[str],
) -> dict[str, Number]:
    """Where the sums moved: on which days, and of which customers; and by how much in all."""

    def figures_by(group: str) -> list[str]:
        # A row that moves to another day takes all of its figures along.
        return [column for column in _measures(types) if group in moved or column in moved]

    def sums_by(
        group: str, figures: Sequence[str], where: str, order: str = "1"
    ) -> list[tuple[Any, ...]]:
        sums = _sums_sql(before, after, table, types, where, group, figures)
        return connection.execute(f"{sums} order by {order}").fetchall()

    def shifts(sums: Sequence[tuple[Any, ...]], figures: Sequence[str]) -> list[Shift]:
        kept = [n for n in _n(figures) if any(one[n + 1] for one in sums)]
        return [
            Shift(_text(group) or "", {figures[n]: moved_by[n] for n in kept})
            for group, *moved_by in sums
        ]

    day = _day_of(types)
    if day and (figures := figures_by(day)):
        table.by_day = shifts(sums_by(_day_sql(day, types[day]), figures, where), figures)
        totals = {
            column: sum(one.shifts.get(column, 0) for one in table.by_day)
            for column in figures
            if column in moved
        }
    else:
        totals = _totals(connection, before, after, table, types, where, moved)
    customer = "customer_id"
    if customer in types and (figures := figures_by(customer)):
        # Ranked by one figure; the others are only added up for those who lead.
        ranking = max(
            figures,
            key=lambda column: sum(_size(one.shifts.get(column)) for one in table.by_day),
        )
        name = _quote(customer)
        known = f"{where} and {name} is not null"
        leaders = sums_by(name, [ranking], known, f"abs(shift_0) desc, 1 limit {_CUSTOMERS}")
        if len(figures) > 1:
            those = ", ".join(f"'{_escape(str(one))}'::{types[customer]}" for one, _ in leaders)
            leaders = sums_by(name, figures, f"{known} and {name} in ({those or 'null'})")
        table.by_customer = sorted(
            shifts(leaders, figures), key=lambda one: -max(map(_size, one.shifts.values()))
        )
    return totals


def _sums_sql(
    before: Side,
    after: Side,
    table: TableDiff,
    types: Mapping[str, str],
    where: str,
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
        + f" from {side.relation(table.name)} where {where} group by group_value"
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
