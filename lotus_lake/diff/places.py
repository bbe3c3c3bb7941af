"""Do both sides keep a table's rows in the same order, so that no join has to match them?

So it is where one thread wrote both. It is only guessed here, from the least key of each row group:
whoever puts rows side by side compares the keys of each two (``Pair.in_step_sql``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from lotus_lake.diff.pair import Pair, Stretches
from lotus_lake.diff.relations import Side, escape, one


def stretches_in_step(pair: Pair) -> Stretches:
    """Both sides cut into a stretch for each thread, if it looks as if they keep the same order."""
    rows = pair.rows_before
    if rows != pair.rows_after:
        return ()
    row_groups = _row_groups(pair, pair.before)
    if not row_groups or row_groups != _row_groups(pair, pair.after):
        return ()
    starts = []
    for relation in pair.relations:
        low, high = pair.connection.execute(
            f"select min(rowid), max(rowid) from {relation}"
        ).fetchone() or (None, None)
        if low is None or high - low + 1 != rows:
            # Rows were written again since.
            return ()
        starts.append(low)
    threads = one(pair.connection, "select current_setting('threads')")
    bounds = [rows * n // threads for n in range(threads + 1)]

    def stretch(first: int, end: int) -> tuple[str, str]:
        before, after = (f"rowid between {start + first} and {start + end - 1}" for start in starts)
        return before, after

    return [stretch(*ends) for ends in pairwise(bounds)]


def _row_groups(pair: Pair, side: Side) -> list[tuple[Any, ...]]:
    """How many rows each row group of a side has, and the least of the first column of its key.

    There are none if rows were deleted since.
    """
    schema, _, name = pair.name.partition(".")
    files = pair.connection.execute(
        "select data_file, delete_file"
        f" from ducklake_list_files('{side.database}', '{escape(name)}',"
        f" schema => '{escape(schema)}', snapshot_version => {side.snapshot})"
    ).fetchall()
    paths = [path for path, _ in files]
    if not paths or any(deleted for _, deleted in files):
        return []
    return pair.connection.execute(
        "select row_group_num_rows, stats_min_value from parquet_metadata(?)"
        " where path_in_schema = ? order by list_position(?, file_name), row_group_id",
        [paths, pair.key[0], paths],
    ).fetchall()
