"""Which rows differ, and how they are found at the least cost.

DuckLake says it itself where the branch changed rows of the lake's own table: the rows of these
keys are fetched. Of a table that was built anew it says nothing, and of very many rows it takes
longer to say than to compare them all. Then a glance at some rows of a large table says what is
likely, and so what is tried first:

- nothing differs, or hardly anything: each side is read once, and the hashes of its rows are added
  up in buckets, by their keys. Buckets with the same sum have the same rows; of the others the
  rows are joined;
- some rows differ: all are joined, and compared by value in the columns that were seen to differ,
  by one hash in the others; those that differ are kept, and looked at one by one;
- many rows differ: all are joined likewise, and what differs is counted, and added up by day and by
  customer, in the same pass (``one_pass``).

A join costs by the columns that it holds in memory of one side's rows: they are those that were
seen to differ. The rows of the other side, that which has rows of its own, carry further ones.

Where many differ and both sides seem to keep the rows in the same order, they are put side by side
by their places instead, and compared value by value, which costs half of a join. As soon as the
keys of two rows turn out not to be the same, all are joined after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lotus_lake.diff.buckets import bucket_sql, count_in_differing_buckets
from lotus_lake.diff.glance import Seen, glance
from lotus_lake.diff.kept import keep, where_keys_of
from lotus_lake.diff.pair import Carrier, Pair
from lotus_lake.diff.places import stretches_in_step
from lotus_lake.diff.relations import one, quote
from lotus_lake.diff.rows import (
    BY_KEY,
    SIDE_BY_SIDE,
    Rows,
    all_rows,
    kept_rows,
    rows_where,
    whole_rows_sql,
)

# Up to so many rows are fetched by their keys, or kept where all are joined, and looked at;
_FEW = 500_000
# up to so many if rows came or went.
_KEPT = 2_000_000
# Up to so many rows that differ are looked for in buckets.
_RARE = 20_000
# Up to so many rows of each side, those of buckets that differ are joined; of more, all are.
_JOINED = 2_000_000
# How much memory a joined row takes, about, in DuckDB's hash table of one side and in what
# ``one_pass`` keeps, and how much each column of it.
_BYTES_PER_ROW = 80
_BYTES_PER_COLUMN = 9


def changed_rows(pair: Pair, table_id: int) -> tuple[Rows | None, str]:
    """The rows that changed between the sides' snapshots of one table; None if there are none.

    Args:
        pair: The table on both sides.
        table_id: DuckLake's number of it.

    Returns:
        The rows, or more, and how they were found.

    Raises:
        NoKeyError: The key turns out to be none.
    """
    written = _written(pair, table_id)
    if written > _FEW:
        return differing_rows(pair, written)
    schema, _, name = pair.name.partition(".")
    since, until = pair.before.snapshot + 1, pair.after.snapshot
    database = pair.after.database
    changes = f"ducklake_table_changes('{database}', '{schema}', '{name}', {since}, {until})"
    where, count = where_keys_of(pair, changes)
    if count > _FEW:
        return differing_rows(pair, count)
    rows = rows_where(pair, where) if count else None
    return rows, f"its changes since snapshot {pair.before.snapshot}"


def differing_rows(pair: Pair, written: int | None = None) -> tuple[Rows | None, str]:
    """The rows that differ, or more, and how they were found; None if there are none.

    Args:
        pair: The table on both sides.
        written: About how many rows were written since, if that is known.

    Raises:
        NoKeyError: The key turns out to be none.
    """
    seen = glance(pair, written) if min(pair.rows_before, pair.rows_after) > _FEW else None
    # Rows that came or went have all their figures: to keep them costs less than to add these up.
    if seen and seen.rows > (_KEPT if seen.came or seen.went else _FEW):
        many = _many_rows(pair, seen)
        return many, SIDE_BY_SIDE if many.in_step else BY_KEY
    if not seen or seen.rows <= _RARE:
        bucket = bucket_sql(pair)
        count = count_in_differing_buckets(pair, bucket)
        if count <= 2 * _JOINED:
            rows = _rows_of_buckets(pair, bucket) if count else None
            return rows, "hashes of all rows, added up"
    return _some_rows(pair, seen), BY_KEY


def _written(pair: Pair, table_id: int) -> int:
    """How many rows DuckLake wrote between the sides' snapshots, or marked as deleted.

    So the catalog says of files. What is kept in the catalog itself is not counted, and what was
    merged since may be missing: it says only how to look.
    """
    catalog = f"__ducklake_metadata_{pair.after.database}"
    before, after = pair.before.snapshot, pair.after.snapshot
    deleted = " - ".join(
        "coalesce(sum(delete_count) filter"
        f" (begin_snapshot <= {at} and coalesce(end_snapshot > {at}, true)), 0)"
        for at in (after, before)
    )
    return int(
        one(
            pair.connection,
            f"""
            select greatest(
                (
                    select coalesce(sum(record_count), 0) from {catalog}.ducklake_data_file
                    where table_id = {table_id}
                    and begin_snapshot > {before} and begin_snapshot <= {after}
                ),
                (
                    select {deleted} from {catalog}.ducklake_delete_file
                    where table_id = {table_id}
                )
            )
            """,
        )
    )


def _rows_of_buckets(pair: Pair, bucket: str) -> Rows:
    """The rows of ``diff_buckets`` that differ."""
    joined = pair.joined_sql(pair.values, where=f"{bucket} in (select bucket from diff_buckets)")
    differ = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    differ += ["not there_before", "not there_after"]
    keep(pair, "diff_rows", f"from ({joined}) where {' or '.join(differ)}")
    return kept_rows(pair, pair.values)


def _some_rows(pair: Pair, seen: Seen | None) -> Rows | None:
    """The rows that differ, found among all of them."""
    wanted = _wanted(pair, pair.measures)
    if seen and (seen.columns or seen.came or seen.went) and not (seen.came and seen.went):
        columns: Sequence[str] = seen.columns
        carried = [column for column in wanted if column not in columns]
    else:
        sought = {*wanted, *(seen.columns if seen else ())}
        columns, carried = [one for one in pair.values if one in sought], []
    carrier: Carrier = "before" if seen and seen.went else "after"
    joined = all_rows(pair, columns, carried=carried, carrier=carrier).joined
    differ = [f"b{n} is distinct from a{n}" for n in range(len(columns))]
    differ.append("hash_before is distinct from hash_after")
    # What a side carries is the same on the other, so that one of them is enough to keep.
    held, held_side, passing = ("before", "b", "a") if carrier == "after" else ("after", "a", "b")
    places = range(len(columns), len(columns) + len(carried))
    unknown = "there_before and there_after and hash_before <> hash_after"
    if carried:
        unknown += f" or not there_{carrier}"
    left_out = ["hash_before", "hash_after", *(f"{held_side}{n}" for n in places)]
    keep(
        pair,
        "diff_rows",
        f"select * exclude ({', '.join(left_out)}), {unknown} as is_unknown"
        f" from {joined} where {' or '.join(differ)} limit {_KEPT + 1}",
    )
    put_back = "".join(
        f", case when there_{held} then {passing}{n} end as {held_side}{n}" for n in places
    )
    kept = f"(select *{put_back} from diff_rows)"
    count, unknowns = pair.connection.execute(
        "select count(*), count_if(is_unknown) from diff_rows"
    ).fetchone() or (0, 0)
    if count > _KEPT:
        return all_rows(pair, columns, differing=count)
    if unknowns:
        _keep_with_unknown(pair, kept, [*columns, *carried])
        return kept_rows(pair, pair.values)
    return kept_rows(pair, [*columns, *carried], kept) if count else None


def _keep_with_unknown(pair: Pair, kept: str, known: Sequence[str]) -> None:
    """Keep rows anew: of unknown ones all values are read; of others those that were kept."""
    keys = ", ".join(f"k{n} as {quote(column)}" for n, column in enumerate(pair.key))
    where, _ = where_keys_of(pair, f"(select {keys} from diff_rows where is_unknown)")
    read = whole_rows_sql(pair, where)
    shown = ["there_before", "there_after", "row_key", *(f"k{n}" for n in range(len(pair.key)))]
    places = {column: n for n, column in enumerate(known)}
    shown += [
        f"{f'{side}{places[column]}' if column in places else 'null'} as {side}{n}"
        for n, column in enumerate(pair.values)
        for side in "ba"
    ]
    keep(
        pair,
        "diff_rows",
        f"({read}) union all by name (select {', '.join(shown)} from {kept} where not is_unknown)",
    )


def _many_rows(pair: Pair, seen: Seen) -> Rows:
    """Every row; those of the glance are the examples."""
    figures = _figures_to_add_up(pair, seen)
    carried: Sequence[str] = ()
    if figures:
        carried = [one for one in _wanted(pair, figures) if one not in seen.columns]
    carrier: Carrier = "before" if seen.went else "after"
    by_key = all_rows(pair, seen.columns)
    if seen.came == pair.rows_after:
        # No key is the same.
        by_key = Rows(f"({pair.joined_sql([])})", pair.relations, [])
    by_key = replace(by_key, examples=_glanced(pair, seen.columns))
    if figures:
        carrying = all_rows(pair, seen.columns, carried=carried, carrier=carrier)
        by_key = replace(carrying, examples=by_key.examples, figures=figures, instead=by_key)
    stretches = stretches_in_step(pair)
    if not stretches:
        return by_key
    # Side by side, to compare a value costs less than to hash it.
    return Rows(
        f"({pair.in_step_sql(stretches, pair.values)})",
        pair.relations,
        pair.values,
        examples=_glanced(pair, pair.values),
        figures=figures,
        in_step=True,
        instead=by_key,
    )


def _wanted(pair: Pair, figures: Sequence[str]) -> list[str]:
    """The values that sums are made of: some figures, and a fact's day and customer."""
    wanted = {*figures, *((pair.day, pair.customer) if pair.is_fact else ())}
    return [column for column in pair.values if column in wanted]


def _figures_to_add_up(pair: Pair, seen: Seen) -> list[str]:
    """The figures that may move, if they can be added up while rows are counted."""
    moves = pair.is_fact and {pair.day, pair.customer}.intersection(seen.columns)
    if moves or (seen.came and seen.went):
        # A row that moves takes its figures along, before and after; and one side carries them.
        return []
    figures = [one for one in seen.by_size if seen.came or seen.went or one in seen.columns]
    limit = one(pair.connection, "select parse_formatted_bytes(current_setting('memory_limit'))")
    row = _BYTES_PER_ROW + _BYTES_PER_COLUMN * (len(seen.columns) + len(figures))
    return figures if max(pair.rows_before, pair.rows_after) * row < limit else []


def _glanced(pair: Pair, columns: Sequence[str]) -> str:
    """The rows of the glance, with these columns."""
    shown = [f"k{n}" for n in range(len(pair.key))]
    for place, column in enumerate(columns):
        n = pair.values.index(column)
        shown += [f"{side}{n} as {side}{place}" for side in "ba"]
    return f"(select {', '.join(shown)} from diff_glance where there_before and there_after)"
