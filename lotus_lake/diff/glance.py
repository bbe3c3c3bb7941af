"""A glance at some rows of a large table, from which is guessed how the others differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lotus_lake.diff.kept import keep, where_keys_of
from lotus_lake.diff.pair import Pair

# So many rows are looked at,
_ROWS = 1_000
# at so many places of the table: what changed may be what is old, or what is new.
_PLACES = 4


@dataclass(frozen=True)
class Seen:
    """What a glance lets expect.

    Args:
        columns: Those that differ in any of the rows.
        rows: How many rows of the whole table differ, those that came or went included.
        by_size: The figures, those first that moved most.
        came_or_went: Whether there are rows that one side only has.
    """

    columns: Sequence[str]
    rows: int
    by_size: Sequence[str]
    came_or_went: bool


def glance(pair: Pair, written: int | None = None) -> Seen:
    """Look at rows of the later side, and at those of the earlier one with the same keys.

    They are kept in ``diff_glance``, as ``Pair.join_sql`` has them.

    Args:
        pair: The table on both sides.
        written: How many rows were written since, if that is known: then these are looked at.
    """
    low, high = pair.connection.execute(
        f"select min(rowid), max(rowid) from {pair.relations[1]}"
    ).fetchone() or (0, 0)
    places = 1 if written else _PLACES
    each = _ROWS // places
    last = max(high - each + 1, low)
    starts = [last - (last - low) * n // _PLACES for n in range(places)]
    some = (
        f"(select *, {n} as place from ({pair.side_sql(pair.after, [], where=f'rowid >= {start}')})"
        f" limit {each})"
        for n, start in enumerate(starts)
    )
    where, _ = where_keys_of(pair, f"({' union all '.join(some)})", place="place")
    keep(pair, "diff_before", pair.side_sql(pair.before, pair.values, where=where))
    keep(pair, "diff_after", pair.side_sql(pair.after, pair.values, where=where))
    keep(pair, "diff_glance", pair.join_sql("diff_before", "diff_after", pair.values))
    differs = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    figures = [column for column in pair.values if column in pair.measures]
    moved = [
        f"sum(abs(coalesce(a{n}, 0)::double - coalesce(b{n}, 0)::double))"
        for n in map(pair.values.index, figures)
    ]
    looked_at, matched, differing, flags, sizes = pair.connection.execute(
        f"""
        select
            (select count(*) from diff_glance), count(*),
            count(*) filter ({" or ".join(differs) or "false"}),
            [{", ".join(f"coalesce(bool_or({one}), false)" for one in differs)}],
            [{", ".join(f"coalesce({one}, 0)" for one in moved)}]
        from diff_glance where there_before and there_after
        """
    ).fetchone() or (0, 0, 0, [], [])
    came = pair.rows_after * (looked_at - matched) // max(looked_at, 1)
    went = max(0, pair.rows_before - (pair.rows_after - came))
    changed = (pair.rows_after - came) * differing // max(matched, 1)
    size = dict(zip(figures, sizes, strict=True))
    return Seen(
        columns=[column for column, seen in zip(pair.values, flags, strict=True) if seen],
        rows=written or came + went + changed,
        by_size=sorted(figures, key=lambda figure: -size[figure]),
        came_or_went=bool(came or went),
    )
