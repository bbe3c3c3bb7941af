"""Which tables may differ: those that a side has, and those that snapshots say were touched."""

from __future__ import annotations

import duckdb

from lotus_lake.diff.relations import Side

# What a snapshot may do to a table without changing a row of it.
_NO_CHANGE = ("compacted_table", "merge_adjacent", "rewrite_delete", "inline_flush")


def tables(connection: duckdb.DuckDBPyConnection, side: Side) -> dict[str, int]:
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


def touched(connection: duckdb.DuckDBPyConnection, before: Side, after: Side) -> set[str] | None:
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
