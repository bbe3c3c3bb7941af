"""Where sums moved: in all, by day, and of which customers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from lotus_lake.diff.one_pass import AddedUp
from lotus_lake.diff.pair import Pair
from lotus_lake.diff.relations import escape, quote
from lotus_lake.diff.results import Number, Shift, TableDiff
from lotus_lake.diff.rows import Rows

# So many customers are shown.
CUSTOMERS = 10


def find_shifts(
    pair: Pair,
    table: TableDiff,
    rows: Rows,
    moved: Collection[str],
    added_up: AddedUp | None = None,
) -> dict[str, Number]:
    """By how much the sum of each figure moved; of a fact also where.

    Args:
        pair: The table on both sides.
        table: Is told on which days, and of which customers.
        rows: The rows that differ. Others may be among them: rows that are the same on both sides
            cancel out.
        moved: Columns whose values may differ.
        added_up: What was added up already, if anything.
    """
    if added_up:
        table.by_day = _shifts(added_up.by_day, added_up.figures)
        table.by_customer = _most_first(_shifts(added_up.by_customer, added_up.figures))
        return dict(zip(added_up.figures, added_up.totals, strict=True))
    by_group = _Sums(pair, rows, moved)
    if not pair.is_fact:
        return by_group.totals()
    day = pair.day
    if day and (figures := by_group.figures(day)):
        days = by_group.sums(pair.day_sql(quote(day)), figures)
        table.by_day = _shifts(days, figures)
        totals: dict[str, Number] = {
            column: sum(one.shifts.get(column, 0) for one in table.by_day)
            for column in figures
            if column in moved
        }
    else:
        totals = by_group.totals()
    if pair.customer and (figures := by_group.figures(pair.customer)):
        # Ranked by one figure; the others are only added up for those who lead.
        ranking = max(
            figures,
            key=lambda column: sum(_size(one.shifts.get(column)) for one in table.by_day),
        )
        customer = quote(pair.customer)
        leaders = by_group.leaders(pair.customer, ranking, CUSTOMERS)
        if len(figures) > 1:
            kind = pair.types[pair.customer]
            those = ", ".join(f"'{escape(str(one))}'::{kind}" for one, _ in leaders)
            leaders = by_group.sums(customer, figures, f"{customer} in ({those or 'null'})")
        table.by_customer = _most_first(_shifts(leaders, figures))
    return totals


class _Sums:
    """Sums after less sums before; arguments as for ``find_shifts``."""

    def __init__(self, pair: Pair, rows: Rows, moved: Collection[str]) -> None:
        self._pair = pair
        self._rows = rows
        self._moved = moved

    def figures(self, group: str) -> list[str]:
        """Whose sums may differ by group: a row that moves to another takes all of them along."""
        return [
            column
            for column in self._pair.measures
            if group in self._moved or column in self._moved
        ]

    def totals(self) -> dict[str, Number]:
        """By how much the sum of each figure moved."""
        figures = [column for column in self._pair.measures if column in self._moved]
        if not figures:
            return {}
        sums = self.sums("null", figures)
        return dict(zip(figures, sums[0][1:], strict=True)) if sums else {}

    def sums(
        self, group: str, figures: Sequence[str], where: str = "true"
    ) -> list[tuple[Any, ...]]:
        """The groups in which any of the figures moved, with by how much each has."""
        places = range(len(figures))
        before, after = (
            f"select {group} as group_value, "
            + ", ".join(f"{sign}sum({self._pair.read(figures[n])}) as moved_{n}" for n in places)
            + f" from {side} where {where} group by group_value"
            for side, sign in zip(self._rows.sides, ("-", ""), strict=True)
        )
        shifts = ", ".join(f"coalesce(sum(moved_{n}), 0) as shift_{n}" for n in places)
        some = " or ".join(f"shift_{n} <> 0" for n in places)
        return self._pair.connection.execute(
            f"select group_value, {shifts} from ({after} union all {before})"
            f" group by group_value having {some} order by 1"
        ).fetchall()

    def leaders(self, group: str, figure: str, limit: int) -> list[tuple[Any, ...]]:
        """The groups of which a figure moved most, with by how much.

        The rows of both sides are added up together: of many groups with a few rows each, sums by
        side would be nearly as many again.
        """
        # What is negated needs room: a small whole number has no counterpart to its smallest.
        wide = "::hugeint" if "INT" in self._pair.types[figure] else ""
        before, after = (
            f"select {quote(group)} as group_value,"
            f" {sign}({self._pair.read(figure)}{wide}) as moved from {side}"
            for side, sign in zip(self._rows.sides, ("-", ""), strict=True)
        )
        return self._pair.connection.execute(
            "select group_value, coalesce(sum(moved), 0) as shift"
            f" from ({after} union all {before})"
            " group by group_value having group_value is not null and shift <> 0"
            f" order by abs(shift) desc, 1 limit {limit}"
        ).fetchall()


def _shifts(sums: Sequence[tuple[Any, ...]], figures: Sequence[str]) -> list[Shift]:
    """As the report has them, without figures that moved nowhere."""
    kept = [n for n in range(len(figures)) if any(one[n + 1] for one in sums)]
    return [
        Shift(_text(group) or "", {figures[n]: moved_by[n] for n in kept})
        for group, *moved_by in sums
    ]


def _most_first(shifts: list[Shift]) -> list[Shift]:
    return sorted(shifts, key=lambda one: -max(map(_size, one.shifts.values())))


def _size(value: Number | None) -> float:
    return abs(float(value or 0))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)[:80]
