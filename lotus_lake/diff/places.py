"""Do both sides keep a table's rows in the same order, so that no join has to match them?

So it is where one thread wrote both, or ``preserve_insertion_order`` was on. It is only guessed
here, from the first rows. Whoever puts rows side by side compares the keys of each pair.
"""

from __future__ import annotations

from itertools import pairwise

from lotus_lake.diff.pair import Pair, Stretches
from lotus_lake.diff.relations import one, quote

# So many rows are looked at.
_LOOK = 100


def stretches_in_step(pair: Pair) -> Stretches:
    """Both sides cut into a stretch for each thread, if it looks as if they keep the same order."""
    rows = pair.rows_before
    if rows != pair.rows_after:
        return ()
    starts = []
    for relation in pair.relations:
        low, high = pair.connection.execute(
            f"select min(rowid), max(rowid) from {relation}"
        ).fetchone() or (None, None)
        if low is None or high - low + 1 != rows:
            # Rows were deleted, or written again, since.
            return ()
        starts.append(low)
    threads = one(pair.connection, "select current_setting('threads')")
    bounds = [rows * n // threads for n in range(threads + 1)]

    def stretch(first: int, end: int) -> tuple[str, str]:
        before, after = (f"rowid between {start + first} and {start + end - 1}" for start in starts)
        return before, after

    if _begin_in_step(pair):
        return [stretch(*ends) for ends in pairwise(bounds)]
    return ()


def _begin_in_step(pair: Pair) -> bool:
    key = ", ".join(map(quote, pair.key))
    ours, theirs = (f"(select {key} from {side} limit {_LOOK})" for side in pair.relations)
    return not one(
        pair.connection,
        f"select count(*) from {ours} as ours positional join {theirs} as theirs"
        f" where not ({pair.same_key})",
    )
