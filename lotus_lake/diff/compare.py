"""Compares the tables of two sides, each a lake or a branch at one snapshot.

Tables that no snapshot in between touches are the same; of all others the rows are compared
(``rows``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from lotus_lake.diff.personal import Shown
from lotus_lake.diff.results import LakeDiff, TableDiff
from lotus_lake.diff.rows import NUMBERS, Rows, new_columns
from lotus_lake.diff.sides import Side

# Columns in which a run writes about itself.
_OF_THE_RUN = {"dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    keys: Mapping[str, Sequence[str]],
    shown: Shown,
    only: Sequence[str] = (),
) -> LakeDiff:
    """Compare the lake with a branch, or with itself at a later snapshot.

    Key columns, those that may be shown, and ``only`` the tables to compare (all if empty) go by
    table names without schema.
    """
    old, new = _tables(connection, before), _tables(connection, after)
    touched = _touched(connection, before, after)
    found = []
    for name in sorted(old | new):
        bare = name.partition(".")[2]
        if only and bare not in only:
            continue
        table = TableDiff(name, key=tuple(keys.get(bare, ())))
        table.rows_before = _count(connection, before, name) if name in old else 0
        table.rows_after = _count(connection, after, name) if name in new else 0
        if name not in old:
            table.status, table.reason = "added", f"there is none in {before.label}"
        elif name not in new:
            table.status, table.reason = "removed", f"there is none in {after.label}"
        elif touched is not None and old[name] == new[name] and new[name] not in touched:
            table.reason = f"no snapshot after {before.snapshot} touches it"
        else:
            _compare_table(connection, before, after, table, shown)
        found.append(table)
    order = ("changed", "added", "removed", "same")
    found.sort(key=lambda table: (order.index(table.status), table.name))
    return LakeDiff(before, after, found)


def _tables(connection: duckdb.DuckDBPyConnection, side: Side) -> dict[str, str]:
    """The tables that analysts see, and DuckLake's number of each."""
    catalog = f"__ducklake_metadata_{side.database}"
    at = f"begin_snapshot <= {side.snapshot} and coalesce(end_snapshot > {side.snapshot}, true)"
    return dict(
        connection.execute(
            f"""
            select schema_name || '.' || table_name, table_id::varchar
            from (from {catalog}.ducklake_table where {at})
            inner join (from {catalog}.ducklake_schema where {at}) using (schema_id)
            where schema_name <> 'meta'
            """
        ).fetchall()
    )


def _touched(connection: duckdb.DuckDBPyConnection, before: Side, after: Side) -> set[str] | None:
    """DuckLake's numbers of the tables that snapshots after the first side's name.

    None where the sides share no history: their snapshots say nothing of each other.
    """
    if before.database != after.database:
        return None
    named = connection.execute(
        f"select distinct unnest(flatten(map_values(changes)))"
        f" from ducklake_snapshots('{after.database}')"
        f" where snapshot_id > {before.snapshot} and snapshot_id <= {after.snapshot}"
    ).fetchall()
    return {name for (name,) in named}


def _compare_table(
    connection: duckdb.DuckDBPyConnection,
    before: Side,
    after: Side,
    table: TableDiff,
    shown: Shown,
) -> None:
    old, new = (_columns(connection, side, table.name) for side in (before, after))
    table.schema = [
        *(f"+{column} {kind}" for column, kind in new.items() if column not in old),
        *(f"-{column}" for column in old if column not in new),
        *(
            f"{column}: {old[column]} → {kind}"
            for column, kind in new.items()
            if old.get(column, kind) != kind
        ),
    ]
    types = {
        column: _common_type(connection, old[column], kind)
        for column, kind in new.items()
        if column in old and column not in _OF_THE_RUN
    }
    may_show = set(shown.get(table.name.partition(".")[2], ()))
    rows = Rows(
        connection,
        before.relation(table.name),
        after.relation(table.name),
        table.key if set(table.key) <= set(types) else (),
        types,
        may_show,
    )
    rows.compare(table)
    came = [column for column in new if column not in old]
    table.new_columns = new_columns(connection, after.relation(table.name), came, may_show)
    if table.added or table.removed or table.changed or table.schema:
        table.status = "changed"


def _columns(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> dict[str, str]:
    described = connection.execute(f"describe from {side.relation(table)}").fetchall()
    return {name: kind for name, kind, *_ in described}


def _count(connection: duckdb.DuckDBPyConnection, side: Side, table: str) -> int:
    row = connection.execute(f"select count(*) from {side.relation(table)}").fetchone()
    assert row
    return int(row[0])


def _common_type(connection: duckdb.DuckDBPyConnection, old: str, new: str) -> str:
    """A type that values of both read as: of numbers one with room for both, or else text."""
    if old == new:
        return new
    if not (old.startswith(NUMBERS) and new.startswith(NUMBERS)):
        return "VARCHAR"
    row = connection.execute(f"select typeof(coalesce(null::{old}, null::{new}))").fetchone()
    assert row
    return str(row[0])
