"""Compares the rows of a condition in two states of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lotus_lake.history.catalog import Row, fetch
from lotus_lake.history.past import History

# As many rows as a person reads.
FEW = 3


@dataclass(frozen=True)
class RowDiff:
    """Rows of a condition in two states.

    Args:
        columns: The columns that both states have.
        key: Places of the columns that name a row; empty when none are known.
        pairs: Rows that differ, before and after; None on the side that does not have it.
        same: Rows that do not differ, when there are few.
        rows_before, rows_after: How many rows match.
        new_columns, lost_columns: Columns that only one state has.
    """

    columns: list[str]
    key: tuple[int, ...]
    pairs: list[tuple[Row | None, Row | None]]
    same: list[Row]
    rows_before: int
    rows_after: int
    new_columns: list[str]
    lost_columns: list[str]


def difference(history: History, before: int, after: int) -> RowDiff:
    """The rows of the history's condition in two snapshots."""
    ours, theirs = history.columns(before), history.columns(after)
    columns = [name for name in theirs if name in ours]
    read = ", ".join(f'"{name}"' for name in columns)
    cast = {name: theirs[name] for name in columns}
    old = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in cast.items())
    was, now = history.matching(old, before), history.matching(read, after)
    key = tuple(columns.index(name) for name in history.key if name in columns)
    left = fetch(history.connection, f"(from ({was})) except all (from ({now}))")
    right = fetch(history.connection, f"(from ({now})) except all (from ({was}))")
    counts = fetch(
        history.connection,
        f"select (select count(*) from ({was})), (select count(*) from ({now}))",
    )[0]
    same: list[Row] = []
    if max(counts) <= FEW:
        same = fetch(history.connection, f"(from ({was})) intersect all (from ({now}))")
    return RowDiff(
        columns,
        key,
        list(_pairs(left, right, key)),
        same,
        rows_before=counts[0],
        rows_after=counts[1],
        new_columns=[name for name in theirs if name not in ours],
        lost_columns=[name for name in ours if name not in theirs],
    )


def _pairs(
    before: list[Row], after: list[Row], key: tuple[int, ...]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows that differ, put together by their key."""
    if not key:
        if len(before) == len(after) == 1:
            yield before[0], after[0]
            return
        yield from ((row, None) for row in before)
        yield from ((None, row) for row in after)
        return

    def of(row: Row) -> Row:
        return tuple(row[place] for place in key)

    later = {of(row): row for row in after}
    for row in sorted(before, key=lambda one: repr(of(one))):
        yield row, later.pop(of(row), None)
    yield from ((None, row) for row in later.values())
