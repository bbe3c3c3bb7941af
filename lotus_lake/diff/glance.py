"""A glance at some rows of a large table, from which is guessed how the others differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lotus_lake.diff.kept import keep, where_keys_of
from lotus_lake.diff.pair import Pair
from lotus_lake.diff.relations import quote

# So many rows are looked at,
_ROWS = 1_000
# at so many places of the table: what changed may be what is old, or what is new.
_PLACES = 4
# Of rows that came, a glance tells the number to so large a part of all rows.
_CERTAINTY = 0.05


@dataclass(frozen=True)
class Seen:
    """What a glance lets expect of the whole table.

    Args:
        columns: Those that differ in any of the rows that both sides have.
        by_size: The figures, those first that moved most.
        came: How many rows the later side only has.
        went: How many rows the earlier side only has.
        changed: How many rows differ that both sides have.
    """

    columns: Sequence[str]
    by_size: Sequence[str]
    came: int
    went: int
    changed: int

    @property
    def rows(self) -> int:
        """How many rows differ, those that came or went included."""
        return self.came + self.went + self.changed


def glance(pair: Pair, written: int | None = None) -> Seen:
    """Look at rows of the later side, and at those of the earlier one with the same keys.

    They are kept in ``diff_glance``, as ``Pair.join_sql`` has them.

    Args:
        pair: The table on both sides.
        written: How many rows were written since, if that is known: then these are looked at.
    """
    _keep_some(pair, 1 if written else _PLACES)
    where, _ = where_keys_of(pair, "diff_after", place="diff_place")
    keep(pair, "diff_before", pair.side_sql(pair.before, pair.values, where=where))
    keep(pair, "diff_glance", pair.join_sql("diff_before", "diff_after", pair.values))
    differs = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    figures = [column for column in pair.values if column in pair.measures]
    # Rows that went are not seen; their figures may be as large as those of others.
    share = max(0, pair.rows_before - pair.rows_after) / max(pair.rows_after, 1)
    moved = [
        f"sum(abs(coalesce(a{n}, 0)::double - coalesce(b{n}, 0)::double)"
        f" + {share} * abs(coalesce(a{n}, 0)::double))"
        for n in map(pair.values.index, figures)
    ]
    looked_at, matched, differing, flags, sizes = pair.connection.execute(
        f"""
        select
            count(*), count_if(there_before and there_after),
            count_if(there_before and there_after and ({" or ".join(differs) or "false"})),
            [{
            ", ".join(
                f"coalesce(bool_or(there_before and there_after and {one}), false)"
                for one in differs
            )
        }],
            [{", ".join(f"coalesce({one}, 0)" for one in moved)}]
        from diff_glance
        """
    ).fetchone() or (0, 0, 0, [], [])
    rows = written or pair.rows_after
    came, went = _came_and_went(pair, rows * (looked_at - matched) // max(looked_at, 1))
    size = dict(zip(figures, sizes, strict=True))
    return Seen(
        columns=[column for column, seen in zip(pair.values, flags, strict=True) if seen],
        by_size=sorted(figures, key=lambda figure: -size[figure]),
        came=came,
        went=went,
        changed=max(0, rows - came) * differing // max(matched, 1),
    )


def _keep_some(pair: Pair, places: int) -> None:
    """Keep some rows of the later side in ``diff_after``, with the place they were found at.

    That is at its end, and at places before it.
    """
    low, high = pair.connection.execute(
        f"select min(rowid), max(rowid) from {pair.relations[1]}"
    ).fetchone() or (0, 0)
    each = _ROWS // places
    last = max(high - each + 1, low)
    starts = [last - (last - low) * place // _PLACES for place in range(places)]
    some = " or ".join(f"rowid between {start} and {start + each - 1}" for start in starts)
    found = " ".join(f"when rowid >= {start} then {start}" for start in starts)
    wanted = ", ".join(f"{pair.read(one)} as {quote(one)}" for one in [*pair.key, *pair.values])
    pair.connection.execute(
        "create or replace temp table diff_after as"
        f" select {wanted}, 0 as row_hash, case {found} end as diff_place"
        f" from {pair.relations[1]} where {some}"
    )


def _came_and_went(pair: Pair, came: int) -> tuple[int, int]:
    """How many rows came and went, where about so many seem to have come."""
    more = pair.rows_after - pair.rows_before
    went = came - more
    if not came or (more > 0 and went < _CERTAINTY * pair.rows_after):
        return max(0, more), max(0, -more)
    return came, max(0, went)
