"""Compares the tables of two sides, each a lake or a branch at one snapshot.

For each table, in this order, each with a module of its own:

1. may it differ at all (``tables``);
2. which of its rows do (``finding``);
3. what differs in them (``values``), and where the sums moved (``shifts``).

A table without a key is compared as a bag of rows (``bags``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import duckdb

from lotus_lake.diff.bags import compare_as_bags
from lotus_lake.diff.finding import changed_rows, differing_rows
from lotus_lake.diff.pair import Pair
from lotus_lake.diff.personal import Shown, hide
from lotus_lake.diff.relations import Side, columns, count
from lotus_lake.diff.results import LakeDiff, SchemaChange, TableDiff
from lotus_lake.diff.rows import NoKeyError
from lotus_lake.diff.tables import tables, touched
from lotus_lake.diff.values import compare_rows

# What a run writes about itself is no difference.
_OF_THE_RUN = {"dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    keys: Mapping[str, Sequence[str]],
    shown: Shown,
    only: Sequence[str] = (),
) -> LakeDiff:
    """Compare two sides.

    Args:
        connection: Has both databases attached; its temporary tables ``diff_*`` are used.
        before: The lake.
        after: The branch, or the same database at a later snapshot.
        keys: Key columns of tables, by table name without schema.
        shown: The columns whose values may be shown, likewise (``personal.shown``).
        only: Compare only these tables, by name without schema; all if empty.

    Raises:
        duckdb.Error: A side cannot be read.
    """
    before_tables, after_tables = tables(connection, before), tables(connection, after)
    since = touched(connection, before, after)
    found = []
    for name in sorted(before_tables | after_tables):
        bare = name.partition(".")[2]
        if only and bare not in only:
            continue
        started = time.monotonic()
        table = TableDiff(name, key=tuple(keys.get(bare, ())))
        if name not in before_tables:
            table.status, table.reason = "added", f"there is none in {before.label}"
            table.rows_after = count(connection, after, name)
        elif name not in after_tables:
            table.status, table.reason = "removed", f"there is none in {after.label}"
            table.rows_before = count(connection, before, name)
        else:
            same_table = before_tables[name] == after_tables[name]
            if since is None or not same_table:
                _compare_table(connection, before, after, table)
            elif name in since:
                _compare_table(connection, before, after, table, table_id=after_tables[name])
            else:
                table.reason = f"no snapshot after {before.snapshot} touches it"
                table.rows_before = table.rows_after = count(connection, after, name)
        table.seconds = time.monotonic() - started
        found.append(table)
    order = {"changed": 0, "added": 1, "removed": 2, "same": 3}
    found.sort(key=lambda one: (order[one.status], one.name))
    return hide(LakeDiff(before, after, found), shown)


def _compare_table(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    table_id: int | None = None,
) -> None:
    ours, theirs = columns(connection, before, table.name), columns(connection, after, table.name)
    table.schema = [
        SchemaChange(column, ours.get(column), theirs.get(column))
        for column in [*ours, *(column for column in theirs if column not in ours)]
        if ours.get(column) != theirs.get(column)
    ]
    common = [column for column in theirs if column in ours and column not in _OF_THE_RUN]
    table.rows_before = count(connection, before, table.name)
    table.rows_after = count(connection, after, table.name)
    pair = Pair(
        connection,
        before,
        after,
        table.name,
        table.key if set(table.key) <= set(common) else (),
        {column: theirs[column] for column in common},
        table.rows_before,
        table.rows_after,
    )
    if not (pair.key and _compare_by_key(pair, table, table_id)):
        table.key, table.columns, table.changed = (), [], 0
        table.by_day, table.by_customer = [], []
        table.added, table.removed = compare_as_bags(pair)
        table.reason = "whole rows: no column is declared and found to be its key"
    if table.added or table.removed or table.changed or table.schema:
        table.status = "changed"


def _compare_by_key(pair: Pair, table: TableDiff, table_id: int | None) -> bool:
    """Whether that went well, which it does not if the key turns out to name several rows."""
    try:
        if table_id is not None:
            rows, table.reason = changed_rows(pair, table_id)
        else:
            rows, table.reason = differing_rows(pair)
        if rows:
            compare_rows(pair, table, rows)
    except NoKeyError:
        return False
    return table.added - table.removed == table.rows_after - table.rows_before
