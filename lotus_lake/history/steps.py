"""The snapshots that changed a table's rows, each with the files behind it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import duckdb

from lotus_lake.connection import ALIAS
from lotus_lake.history.past import Past, Snapshot, in_utc
from lotus_lake.wording import counted

# Of files, as many as a person reads.
_FILE_LIMIT = 6

Range = tuple[int, int]


def steps_between(past: Past, then: int, now: int) -> Iterator[tuple[Snapshot, list[str]]]:
    """The snapshots after ``then`` and up to ``now`` that changed rows of the condition.

    Each with what changed, and with the files behind it, in words.
    """
    for number in _changed(past, then + 1, now):
        changes = past.differences(number - 1, number)
        if changes:
            files = list(_files_behind(past, number))
            more = len(files) - _FILE_LIMIT
            rest = [f"and {counted(more, 'more file')}"] if more > 0 else []
            yield past.snapshots[number], [*changes, *files[:_FILE_LIMIT], *rest]


def _changed(past: Past, first: int, last: int) -> list[int]:
    """Snapshots that wrote or took out rows of the condition, or made the table again."""
    # A table that was made again is another one for DuckLake: only between two of these snapshots
    # can it be asked for changes.
    made = [
        number
        for (number,) in past.rows(
            f"select snapshot_id from ducklake_snapshots('{ALIAS}') where snapshot_id between"
            " $1 and $2 and list_contains(changes['tables_created'], $3) order by 1",
            [first, last, past.name],
        )
    ]
    found = set(made)
    for before, until in pairwise([first - 1, *made, last + 1]):
        if until - before > 1:
            changes = past.rows(
                f"select distinct snapshot_id from ducklake_table_changes('{ALIAS}',"
                f" '{past.schema}', '{past.table}', {before + 1}, {until - 1}) {past.condition}"
            )
            # A file that was merged later brings rows of its older snapshots along.
            found.update(number for (number,) in changes if number > before)
    return sorted(found)


def _files_behind(past: Past, number: int) -> Iterator[str]:
    """What came into streams, or left them, between what the table's model had read before a
    snapshot, and in it."""
    before, after = _read(past, past.table, number - 1), _read(past, past.table, number)
    streams = past.rows(f"select source, stream from {ALIAS}.meta.feeder_cursors order by all")
    for source, stream in streams:
        table = f"stg_{source}__{stream}"
        oldest, newest = before.get(table, (0, 0))[0], after.get(table, (0, 0))[1]
        # What went into quarantine brought no rows; what was undone took some away. Entries are
        # unique, but the past of a table whose rows were inlined may be read twice (decision 0010).
        ledger = (
            "select path, status = 'undone', row_count, loaded_at, cursor_version"
            f" from {ALIAS}.meta.feeder_files at (version => {{}}) where source = ? and stream = ?"
            " and status in ('loaded', 'undone') and row_count is not null"
        )
        if newest > oldest:
            for path, undone, rows, loaded_at, _ in _tolerant(
                past,
                f"{ledger.format(newest)} except {ledger.format(max(oldest, past.oldest))}"
                " order by path",
                [source, stream] * 2,
            ):
                brought = "undone" if undone else counted(rows, "row")
                yield f"{path} ({brought}, fed at {in_utc(loaded_at)})"


def _read(past: Past, model: str, snapshot: int) -> dict[str, Range]:
    """The tables that no model writes behind a model's state: the oldest and the newest of their
    snapshots that it has read, over all ways that lead there."""
    found: dict[str, Range] = {}
    for name, position in _tolerant(
        past,
        # The past of bookkeeping that was flushed may have earlier positions, too (decision 0010).
        "select upstream, max(snapshot_id)"
        f" from {ALIAS}.meta.model_cursors at (version => {snapshot})"
        " where model = ? and upstream <> model group by upstream",
        [model],
    ):
        for table, (low, high) in _read(past, name, position).items():
            lowest, highest = found.get(table, (low, high))
            found[table] = (min(lowest, low), max(highest, high))
    return found or {model: (snapshot, snapshot)}


def _tolerant(past: Past, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Rows of the bookkeeping; none where the lake had none yet, or that has expired."""
    try:
        return past.rows(sql, values)
    except (duckdb.CatalogException, duckdb.InvalidInputException):
        return []
