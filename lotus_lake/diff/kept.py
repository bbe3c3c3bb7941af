"""Keeps rows of both sides in temporary tables, and finds rows by the keys of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import duckdb

from lotus_lake.diff.pair import Pair
from lotus_lake.diff.relations import escape, quote


def keep(pair: Pair, name: str, query: str) -> None:
    """Make a temporary table of what a query gives, ``joining`` while it is made."""
    with joining(pair.connection):
        pair.connection.execute(f"create or replace temp table {name} as {query}")


def joining(connection: duckdb.DuckDBPyConnection) -> AbstractContextManager[None]:
    """Have joins hold their right side in memory for a while.

    DuckLake expects no rows of a table at a version, so DuckDB would look each of a few keys up
    among all rows, and not the other way round, or hold the wider of two sides.
    """
    return setting(connection, "disabled_optimizers", "build_side_probe_side")


def where_keys_of(pair: Pair, rows: str, place: str = "0") -> tuple[str, int]:
    """A condition for the rows of either side that have one of some keys, and how many keys.

    Args:
        pair: The table on both sides.
        rows: A relation with these keys.
        place: SQL that is the same for keys that are likely to lie near each other.
    """
    key = ", ".join(map(pair.read, pair.key))
    first, kind = quote(pair.key[0]), pair.types[pair.key[0]]
    pair.connection.execute(
        f"create or replace temp table diff_keys as select distinct hash({key}) as row_key,"
        f" {first}::{kind} as first_key, {place} as place from {rows}"
    )
    # The ranges let DuckLake leave out files and row groups; the hash decides, nulls and several
    # columns included.
    found = pair.connection.execute(
        "select count(*), min(first_key)::varchar, max(first_key)::varchar,"
        " bool_or(first_key is null) from diff_keys group by place"
    ).fetchall()
    where = f"hash({key}) in (select row_key from diff_keys)"
    if found and not any(nulls for *_, nulls in found):
        ranges = " or ".join(
            f"{first} between '{escape(low)}'::{kind} and '{escape(high)}'::{kind}"
            for _, low, high, _ in found
        )
        where += f" and ({ranges})"
    return where, sum(count for count, *_ in found)


@contextmanager
def setting(connection: duckdb.DuckDBPyConnection, name: str, value: str | int) -> Iterator[None]:
    """Have a setting of DuckDB's for a while."""
    connection.execute(f"set {name} = '{value}'")
    try:
        yield
    finally:
        connection.execute(f"reset {name}")
