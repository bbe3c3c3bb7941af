"""The rows of a table that are compared, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lotus_lake.diff.kept import keep
from lotus_lake.diff.pair import Carrier, Pair
from lotus_lake.diff.relations import one, quote

# Of many rows that differ, so many are looked through for examples.
_SAMPLE = 2_000

# How all rows of a table were put side by side.
BY_KEY = "all rows, joined by key"
SIDE_BY_SIDE = "all rows, side by side"


class NoKeyError(Exception):
    """What is declared as the key of a table names several of its rows."""


@dataclass(frozen=True)
class Rows:
    """The rows that are compared.

    Args:
        joined: A relation with both sides' rows by key, as ``Pair.join_sql`` has them.
        sides: Relations with the rows of each side, before and after.
        columns: The columns whose values are compared, in the order of ``joined``.
        others: Columns that are compared by the hash of them all.
        carried: Those among them that ``joined`` has too, after ``columns``, as far as the carrier
            knows them (``Pair.join_sql``).
        carrier: The side that does.
        examples: A relation with those that may serve as examples.
        sampled: If that has to be made, one in how many; else 0.
        figures: Columns to add up in the pass that counts what differs, the one that seems to have
            moved most first; none if sums are asked of the sides.
        in_step: Whether ``joined`` puts the sides side by side by their places.
        instead: What to compare if these turn out not to be in the same order, or if a figure
            moved too far to be added up.
    """

    joined: str
    sides: tuple[str, str]
    columns: Sequence[str]
    others: Sequence[str] = ()
    carried: Sequence[str] = ()
    carrier: Carrier = "after"
    examples: str = "diff_examples"
    sampled: int = 0
    figures: Sequence[str] = ()
    in_step: bool = False
    instead: Rows | None = None

    @property
    def known(self) -> list[str]:
        """The columns of ``joined``."""
        return [*self.columns, *self.carried]

    @property
    def flags(self) -> list[str]:
        """SQL over ``joined``: on which sides a row is there, and what differs if it is on both."""
        differs = [f"b{n} is distinct from a{n} as differs_{n}" for n in range(len(self.columns))]
        others = f"{'hash_before <> hash_after' if self.others else 'false'} as others_differ"
        return ["there_before", "there_after", others, *differs]

    @property
    def counts(self) -> str:
        """SQL over ``flags``: a list of how many rows there are; came; went; differ in ``others``;
        differ in ``columns``; differ in each of these.
        """
        differs = [f"differs_{n}" for n in range(len(self.columns))]
        on_both = [
            f"count_if(there_before and there_after and ({one}))"
            for one in ("others_differ", " or ".join(differs) or "false", *differs)
        ]
        counts = ["count(*)", "count_if(not there_before)", "count_if(not there_after)", *on_both]
        return f"[{', '.join(counts)}]"


def all_rows(
    pair: Pair,
    columns: Sequence[str],
    differing: int = 0,
    carried: Sequence[str] = (),
    carrier: Carrier = "after",
) -> Rows:
    """Every row of both sides, joined by key.

    Args:
        pair: The table.
        columns: Are compared by value, the others by one hash.
        differing: How many rows may differ, if a few of them are to be kept as examples.
        carried: Others that the rows are to have too, as ``Pair.join_sql`` has them.
        carrier: The side that carries them.
    """
    others = [column for column in pair.values if column not in columns]
    joined = f"({pair.joined_sql(columns, others, carried=carried, carrier=carrier)})"
    sampled = max(1, differing // _SAMPLE) if differing else 0
    return Rows(joined, pair.relations, columns, others, carried, carrier, sampled=sampled)


def kept_rows(pair: Pair, columns: Sequence[str], kept: str = "diff_rows") -> Rows:
    """Those of ``diff_rows``, in a relation that has them as ``Pair.join_sql`` does.

    Raises:
        NoKeyError: Several of them have the same key.
    """
    if one(pair.connection, "select count(*) > count(distinct row_key) from diff_rows"):
        raise NoKeyError
    keys = [f"k{n} as {quote(column)}" for n, column in enumerate(pair.key)]
    before, after = (
        "(select "
        + ", ".join([*keys, *(f"{side}{n} as {quote(one)}" for n, one in enumerate(columns))])
        + f" from {kept} where there_{which})"
        for side, which in (("b", "before"), ("a", "after"))
    )
    matched = f"(from {kept} where there_before and there_after)"
    return Rows(kept, (before, after), columns, examples=matched)


def rows_where(pair: Pair, where: str) -> Rows:
    """The rows that meet a condition."""
    keep(pair, "diff_rows", whole_rows_sql(pair, where))
    return kept_rows(pair, pair.values)


def whole_rows_sql(pair: Pair, where: str) -> str:
    """Both sides' rows that meet a condition, as ``Pair.join_sql`` has them with all columns."""
    keep(pair, "diff_before", pair.side_sql(pair.before, pair.values, where=where))
    keep(pair, "diff_after", pair.side_sql(pair.after, pair.values, where=where))
    return pair.join_sql("diff_before", "diff_after", pair.values)
