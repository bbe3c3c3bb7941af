"""Counts what differs and adds up where sums moved, in one pass over the rows of both sides.

What a row differs in, by how much each figure moved, its day and its customer are kept in memory;
counts and sums need no more. They cannot tell the figures of a row before and after, which are
asked for where rows change their day or customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lotus_lake.diff.kept import joining
from lotus_lake.diff.pair import Pair
from lotus_lake.diff.rows import Rows


@dataclass(frozen=True)
class AddedUp:
    """By how much sums moved.

    Args:
        figures: The columns that were added up.
        totals: By how much each moved in all.
        by_day: The days on which any moved, with by how much each did.
        by_customer: The same for the customers of whom the first figure moved most.
    """

    figures: Sequence[str]
    totals: tuple[Any, ...]
    by_day: Sequence[tuple[Any, ...]]
    by_customer: Sequence[tuple[Any, ...]]


def count_and_add_up(pair: Pair, rows: Rows, customers: int) -> tuple[list[int], AddedUp]:
    """Count as ``Rows.counts`` does, and add up the figures of ``rows``, one at least.

    Args:
        pair: The table on both sides.
        rows: Its rows. A fact's day and customer are carried, among the columns or of the key, and
            the same on both sides.
        customers: How many customers are wanted.

    Raises:
        duckdb.OutOfRangeException: A figure moved further than its type can say.
    """

    after = rows.carrier == "after"

    def shift(figure: str) -> str:
        n = rows.known.index(figure)
        wide = "::bigint" if pair.types[figure] in ("TINYINT", "SMALLINT", "INTEGER") else ""
        if figure in rows.carried:
            # It moves with rows that the carrier only has.
            value, there = (f"a{n}{wide}", "before") if after else (f"-(b{n}{wide})", "after")
            return f"case when not there_{there} then {value} end"
        return f"coalesce(a{n}{wide} - b{n}{wide}, a{n}{wide}, -(b{n}{wide}))"

    def group(column: str) -> str:
        if column in pair.key:
            return f"k{pair.key.index(column)}"
        n = rows.known.index(column)
        if column in rows.carried:
            return f"a{n}" if after else f"b{n}"
        return f"coalesce(a{n}, b{n})"

    day = pair.day_sql(group(pair.day)) if pair.is_fact and pair.day else "null"
    customer = group(pair.customer) if pair.is_fact and pair.customer else "null"
    moves = [*rows.flags, f"{day} as day", f"{customer} as customer"]
    moves += [f"{shift(figure)} as shift_{n}" for n, figure in enumerate(rows.figures)]
    sums = ", ".join(f"coalesce(sum(shift_{n}), 0) as sum_{n}" for n in range(len(rows.figures)))
    row = ", ".join(f"sum_{n}" for n in range(len(rows.figures)))
    totals = ", ".join(f"sum(sum_{n})" for n in range(len(rows.figures)))
    moved = " or ".join(f"sum_{n} <> 0" for n in range(len(rows.figures)))
    query = f"""
        with moves as materialized (
            select {", ".join(moves)} from {rows.joined}
        ),
        leaders as (
            select customer from moves where customer is not null
            group by customer having coalesce(sum(shift_0), 0) <> 0
            order by abs(sum(shift_0)) desc, customer limit {customers}
        ),
        days as (
            select day, {sums} from moves group by day
        ),
        customers as (
            select customer, {sums} from moves
            where customer in (from leaders) group by customer having {moved}
        )
        select
            (select {rows.counts} from moves),
            (select row({totals}) from days),
            (select list(row(day, {row}) order by day) from days where {moved}),
            (select list(row(customer, {row}) order by customer) from customers)
    """
    with joining(pair.connection):
        found = pair.connection.execute(query).fetchone()
    assert found
    counts, totals, by_day, by_customer = found
    return counts, AddedUp(rows.figures, totals, by_day or [], by_customer or [])
