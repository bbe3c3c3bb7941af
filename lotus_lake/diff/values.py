"""What differs in the rows: how many came, went or changed, in which columns, with examples."""

from __future__ import annotations

import duckdb

from lotus_lake.diff.pair import OUT_OF_STEP, Pair
from lotus_lake.diff.results import ColumnDiff, Example, TableDiff
from lotus_lake.diff.rows import BY_KEY, NoKeyError, Rows, all_rows
from lotus_lake.diff.shifts import find_shifts

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
    # Rows that are side by side are there on both sides.
    matched = "" if rows.stretches else "there_before and there_after and"
    values = [f"b{n} is distinct from a{n}" for n in range(len(rows.columns))]
    any_differs = f"{matched} ({' or '.join(values) or 'false'})"
    others_differ = f"{matched} hash_before <> hash_after" if rows.others else "false"
    conditions = ["true", "not there_before", "not there_after", others_differ, any_differs]
    conditions += [f"{matched} {one}" for one in values]
    counts = [f"count_if({one}) as count_{n}" for n, one in enumerate(conditions)]
    select = ", ".join(counts)
    if rows.sampled:
        shown = [f"k{n}" for n in range(len(pair.key))]
        shown += [f"{side}{n}" for n in range(len(rows.columns)) for side in "ba"]
        select += (
            f", list(struct_pack({', '.join(f'{one} := {one}' for one in shown)}))"
            f" filter (row_key % {rows.sampled} = 0 and ({any_differs})) as examples"
        )
    try:
        pair.connection.execute(
            f"create or replace temp table diff_counts as select {select} from {rows.joined}"
        )
    except duckdb.Error as problem:
        if not rows.instead or OUT_OF_STEP not in str(problem):
            raise
        table.reason = BY_KEY
        return compare_rows(pair, table, rows.instead)
    if rows.sampled:
        pair.connection.execute(
            "create or replace temp table diff_examples as"
            " select unnest(one) from (select unnest(examples) as one from diff_counts)"
        )
    all_counts = ", ".join(f"count_{n}" for n in range(len(counts)))
    row = pair.connection.execute(f"select {all_counts} from diff_counts").fetchone()
    assert row
    rows_joined, table.added, table.removed, *counted = row
    others_changed, table.changed, *changed = counted
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
    moved = {column for column, count in values_changed.items() if count}
    if table.added or table.removed:
        moved.update(pair.values)
    totals = find_shifts(pair, table, rows, moved)
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


def _examples(pair: Pair, column: str, rows: str, place: int) -> list[Example]:
    """Of joined rows, whose column number ``place`` is this one, those that changed most.

    Of what has no size, the first by key.
    """
    text = " || ', ' || ".join(f"coalesce(k{n}::varchar, 'null')" for n in range(len(pair.key)))
    before, after = f"b{place}", f"a{place}"
    size = f"abs(coalesce({after}, 0) - coalesce({before}, 0)) desc, "
    found = pair.connection.execute(
        f"select {text}, left({before}::varchar, 80), left({after}::varchar, 80) from {rows}"
        f" where {before} is distinct from {after}"
        f" order by {size if column in pair.measures else ''}{text} limit {_EXAMPLES}"
    ).fetchall()
    return [Example(*row) for row in found]
