"""What differs in the rows: how many came, went or changed, in which columns, with examples."""

from __future__ import annotations

import duckdb

from lotus_lake.diff.kept import keep
from lotus_lake.diff.one_pass import AddedUp, count_and_add_up
from lotus_lake.diff.pair import OUT_OF_STEP, Pair
from lotus_lake.diff.relations import one
from lotus_lake.diff.results import ColumnDiff, Example, TableDiff
from lotus_lake.diff.rows import BY_KEY, NoKeyError, Rows, all_rows
from lotus_lake.diff.shifts import CUSTOMERS, find_shifts

_EXAMPLES = 5


def compare_rows(pair: Pair, table: TableDiff, rows: Rows) -> None:
    """Count what differs, take examples in the same pass, and add up by how much sums moved.

    Args:
        pair: The table on both sides.
        table: Is told all of it.
        rows: The rows that may differ.

    Raises:
        NoKeyError: The key turns out to be none.
    """
    added_up: AddedUp | None = None
    try:
        if rows.figures:
            counts, added_up = count_and_add_up(pair, rows, CUSTOMERS)
        else:
            counts = _count(pair, rows)
    except duckdb.Error as problem:
        out_of_step = OUT_OF_STEP in str(problem)
        if not rows.instead or not (out_of_step or isinstance(problem, duckdb.OutOfRangeException)):
            raise
        table.reason = BY_KEY
        return compare_rows(pair, table, rows.instead)
    rows_joined, table.added, table.removed, *counted = counts
    others_changed, table.changed, *changed = counted
    if not (rows.columns or rows.others) and pair.values:
        # The glance has seen no key on both sides, so that only keys were compared.
        others_changed = rows_joined - table.added - table.removed
    if rows.sides == pair.relations and (
        rows_joined - table.added != pair.rows_before
        or rows_joined - table.removed != pair.rows_after
    ):
        # A join multiplies the rows of a key that names several.
        raise NoKeyError
    if others_changed:
        # The glance has seen no such row.
        return compare_rows(pair, table, all_rows(pair, pair.values, pair.rows_after))
    if not (table.added or table.removed or table.changed):
        return None
    values_changed = dict(zip(rows.columns, changed, strict=True))
    changed_columns = {column for column, count in values_changed.items() if count}
    moved = {*pair.values} if table.added or table.removed else changed_columns
    if added_up and not _suffices(pair, table, rows, added_up, moved):
        added_up = None
    totals = find_shifts(pair, table, rows, moved, added_up)
    for column in pair.types:
        count, shift, examples = values_changed.get(column, 0), totals.get(column), []
        if count:
            examples = _examples(pair, column, rows.examples, rows.columns.index(column))
        if count and not examples:
            # So few that none was among the sampled ones.
            again = all_rows(pair, [column]).joined
            matching = f"(from {again} where there_before and there_after)"
            examples = _examples(pair, column, matching, 0)
        if count or shift:
            table.columns.append(ColumnDiff(column, count, shift, examples))
    return None


def _count(pair: Pair, rows: Rows) -> list[int]:
    """Count as ``Rows.counts`` does; of rows that differ a sample is kept, if one is wanted."""
    select = f"{rows.counts} as counts"
    if rows.sampled:
        shown = [f"k{n}" for n in range(len(pair.key))]
        shown += [f"{side}{n}" for n in range(len(rows.columns)) for side in "ba"]
        differs = " or ".join(f"differs_{n}" for n in range(len(rows.columns))) or "false"
        select += (
            f", list(struct_pack({', '.join(f'{one} := {one}' for one in shown)}))"
            f" filter (row_key % {rows.sampled} = 0 and there_before and there_after"
            f" and ({differs})) as examples"
        )
    keep(
        pair,
        "diff_counts",
        f"select {select} from (select *, {', '.join(rows.flags[2:])} from {rows.joined})",
    )
    if rows.sampled:
        pair.connection.execute(
            "create or replace temp table diff_examples as"
            " select unnest(one) from (select unnest(examples) as one from diff_counts)"
        )
    counts: list[int] = one(pair.connection, "select counts from diff_counts")
    return counts


def _suffices(pair: Pair, table: TableDiff, rows: Rows, added_up: AddedUp, moved: set[str]) -> bool:
    """Whether it has every figure that moved, and each row's figures, day and customer are known.

    They are not where one side carries them, and the other has rows of its own.
    """
    unknown = table.removed if rows.carrier == "after" else table.added
    known = not (rows.carried and unknown)
    return known and moved.intersection(pair.measures) <= set(added_up.figures)


def _examples(pair: Pair, column: str, rows: str, place: int) -> list[Example]:
    """Of joined rows, whose column number ``place`` is this one, those that changed most.

    Of what has no size, the first by key.
    """
    text = " || ', ' || ".join(f"coalesce(k{n}::varchar, 'null')" for n in range(len(pair.key)))
    before, after = f"b{place}", f"a{place}"
    # As doubles: what is far apart need not have room in the type.
    size = f"abs(coalesce({after}, 0)::double - coalesce({before}, 0)::double) desc, "
    found = pair.connection.execute(
        f"select {text}, left({before}::varchar, 80), left({after}::varchar, 80) from {rows}"
        f" where {before} is distinct from {after}"
        f" order by {size if column in pair.measures else ''}{text} limit {_EXAMPLES}"
    ).fetchall()
    return [Example(*row) for row in found]
