"""Which rows differ, and how they are found at the least cost.

DuckLake says it itself where the branch changed rows of the lake's own table: the rows of these
keys are fetched. Of a table that was built anew it says nothing. Then a glance at some rows of a
large table says what is likely, and so what is tried first:

- nothing differs, or hardly anything: each side is read once, and the hashes of its rows are added
  up in buckets, by their keys. Buckets with the same sum have the same rows; of the others the
  rows are joined;
- some rows differ: keys and hashes of all rows are joined. The rows after come along, since they
  are read for their hashes anyway; those before are fetched by their keys;
- many rows differ: all are joined at once, value by value in the columns that were seen to differ,
  by one hash in the others.

Where both sides seem to keep the rows in the same order, they are put side by side by their places
instead, and compared value by value, which costs half of a join. Should the keys of a pair turn out
not to be the same, the rows are joined after all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import duckdb

from lotus_lake.diff.pair import Pair, Stretches
from lotus_lake.diff.places import stretches_in_step
from lotus_lake.diff.relations import escape, one, quote

# Up to so many rows are fetched and looked at one by one;
_FEW = 500_000
# of more, so many are looked through for examples,
_SAMPLE = 2_000
# and so many to guess how many differ.
_GLANCE = 1_000
# The buckets of keys are numbered with twice so many bits.
_BUCKET_BITS = 8
# So many rows of buckets that differ are joined with all of their values, of more only hashes.
_JOINED = 2_000_000


# How all rows of a table were put side by side.
BY_KEY = "all rows, joined by key"
SIDE_BY_SIDE = "all rows, side by side"


class NoKeyError(Exception):
    """What is declared as the key of a table names several of its rows."""


class _NotInStepError(Exception):
    """The sides do not keep their rows in the same order, although it looked as if they did."""


@dataclass(frozen=True)
class Rows:
    """The rows that are compared.

    Args:
        joined: A relation with both sides' rows by key, as ``Pair.join_sql`` has them.
        sides: Relations with the rows of each side, before and after.
        columns: The columns whose values are compared, in the order of ``joined``.
        others: Columns that are compared by the hash of them all.
        examples: A relation with those that may serve as examples.
        sampled: If that has to be made, one in how many; else 0.
        stretches: How the sides are put side by side, if that is done by their places.
    """

    joined: str
    sides: tuple[str, str]
    columns: Sequence[str]
    others: Sequence[str] = ()
    examples: str = "diff_examples"
    sampled: int = 0
    stretches: Stretches = ()


def changed_rows(pair: Pair) -> Rows | None:
    """The rows of which DuckLake says that they changed between the sides' snapshots.

    Raises:
        NoKeyError: The key turns out to be none.
    """
    schema, _, name = pair.name.partition(".")
    since, until = pair.before.snapshot + 1, pair.after.snapshot
    database = pair.after.database
    changes = f"ducklake_table_changes('{database}', '{schema}', '{name}', {since}, {until})"
    where, count = _where_keys_of(pair, changes)
    if not count:
        return None
    return _rows_where(pair, where) if count <= _FEW else all_rows(pair, count)


def differing_rows(pair: Pair) -> tuple[Rows | None, str]:
    """The rows that differ, or more, and how they were found; None if there are none.

    Raises:
        NoKeyError: The key turns out to be none.
    """
    any_seen = False
    if min(pair.rows_before, pair.rows_after) > _FEW:
        stretches = stretches_in_step(pair)
        any_seen, many = _glance(pair, stretches)
        if many:
            return many, SIDE_BY_SIDE if stretches else BY_KEY
        if stretches:
            with suppress(_NotInStepError):
                return _rows_in_step(pair, stretches), SIDE_BY_SIDE
    if not any_seen:
        bucket = _bucket_sql(pair)
        count = _count_in_differing_buckets(pair, bucket)
        if count <= 2 * _JOINED:
            rows = _rows_of_buckets(pair, bucket) if count else None
            return rows, "hashes of all rows, added up"
    return _rows_with_other_hashes(pair), "hashes of all rows, joined by key"


def all_rows(pair: Pair, differing: int, stretches: Stretches = ()) -> Rows:
    """Every row of both sides, compared in every column.

    Args:
        pair: The table.
        differing: How many may differ, of which a few are kept as examples.
        stretches: How to put the sides side by side by their places, if that may be done.
    """
    return whole(pair, pair.values, stretches=stretches, sampled=max(1, differing // _SAMPLE))


def whole(
    pair: Pair,
    columns: Sequence[str],
    others: Sequence[str] = (),
    stretches: Stretches = (),
    sampled: int = 0,
) -> Rows:
    """Every row of both sides; arguments as for ``Rows``."""
    if stretches:
        joined = pair.in_step_sql(stretches, columns)
    else:
        joined = pair.joined_sql(columns, others)
    return Rows(
        f"({joined})", pair.relations, columns, others, sampled=sampled, stretches=stretches
    )


def _glance(pair: Pair, stretches: Stretches) -> tuple[bool, Rows | None]:
    """Whether any of a few rows differ; and all rows, if so many of the few do.

    To find the keys first would cost time then, and leave out little. The rows of the glance are
    the examples.
    """
    _keep(pair, "diff_before", f"{pair.side_sql(pair.before, pair.values)} limit {_GLANCE}")
    where, _ = _where_keys_of(pair, "diff_before")
    _keep(pair, "diff_after", pair.side_sql(pair.after, pair.values, where=where))
    glance = _kept_rows(pair, pair.join_sql("diff_before", "diff_after", pair.values))
    differ = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    matched, differing, *flags = pair.connection.execute(
        f"select count(*), count(*) filter ({' or '.join(differ) or 'false'})"
        + "".join(f", coalesce(bool_or({one}), false)" for one in differ)
        + f" from {glance.examples}"
    ).fetchone() or (0, 0)
    # In as many rows of the table, more than are looked at one by one.
    if differing * max(pair.rows_before, pair.rows_after) <= _FEW * matched:
        return differing > 0 or matched < _GLANCE, None
    # Side by side, to compare a value costs less than to hash it.
    seen = [n for n, differs in enumerate(flags) if differs or stretches]
    shown = [f"k{n}" for n in range(len(pair.key))]
    shown += [f"{side}{n} as {side}{place}" for place, n in enumerate(seen) for side in "ba"]
    pair.connection.execute(
        "create or replace temp table diff_examples as"
        f" select {', '.join(shown)} from {glance.examples}"
    )
    columns = [pair.values[n] for n in seen]
    others = [column for column in pair.values if column not in columns]
    return True, whole(pair, columns, others, stretches)


def _count_in_differing_buckets(pair: Pair, bucket: str) -> int:
    """How many rows of either side are in buckets that differ, which are in ``diff_buckets``."""
    hashed = ", ".join(map(pair.read, [*pair.key, *pair.values]))
    before, after = (
        f"select {bucket} as bucket, {sign}(hash({hashed}) >> 1)::bigint as part from {relation}"
        for relation, sign in zip(pair.relations, ("-", ""), strict=True)
    )
    # For so many groups DuckDB can keep an array of sums, which it else does for very few only.
    with _setting(pair.connection, "perfect_ht_threshold", 2 * _BUCKET_BITS + 1):
        pair.connection.execute(
            "create or replace temp table diff_buckets as"
            f" select bucket, count(*) as rows from ({before} union all {after})"
            " group by bucket having sum(part) <> 0"
        )
    return int(one(pair.connection, "select coalesce(sum(rows), 0) from diff_buckets"))


def _bucket_sql(pair: Pair) -> str:
    """SQL for the bucket of a row, by its key: bits of its hash and, of a whole number, its size.

    Rows that differ are likely to have keys of a size, the newest for example.
    """
    key = ", ".join(map(pair.read, pair.key))
    first = pair.read(pair.key[0])
    by_hash = f"hash({key}) >> {64 - _BUCKET_BITS}"
    if pair.types[pair.key[0]] in ("INTEGER", "BIGINT"):
        ends = " union all ".join(
            f"select min({first}) as low, max({first}) as high from {one}" for one in pair.relations
        )
        low, high = pair.connection.execute(
            f"select min(low), max(high) from ({ends})"
        ).fetchone() or (None, None)
        if low is not None and high - low < 2**62:
            width = (high - low) // 2**_BUCKET_BITS + 1
            size = f"coalesce(({first}::bigint - {low}) // {width}, 0)"
            return f"(({size} << {_BUCKET_BITS}) + ({by_hash})::bigint)::usmallint"
    return f"(hash({key}) >> {64 - 2 * _BUCKET_BITS})::usmallint"


def _rows_of_buckets(pair: Pair, bucket: str) -> Rows:
    """The rows of ``diff_buckets`` that differ."""
    joined = pair.joined_sql(pair.values, where=f"{bucket} in (select bucket from diff_buckets)")
    differ = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    differ += ["not there_before", "not there_after"]
    return _kept_rows(pair, f"from ({joined}) where {' or '.join(differ)}")


def _rows_in_step(pair: Pair, stretches: Stretches) -> Rows | None:
    """The rows that differ, where both sides keep them in the same order.

    Raises:
        _NotInStepError: They do not.
    """
    differ = [f"b{n} is distinct from a{n}" for n in range(len(pair.values))]
    keys = ", ".join(f"{quote(column)} := k{n}" for n, column in enumerate(pair.key))
    # As one list, because DuckDB reads the stretches side by side only for an aggregate.
    pair.connection.execute(
        "create or replace temp table diff_lists as select bool_and(in_step) as in_step,"
        f" list(struct_pack({keys})) filter ({' or '.join(differ) or 'false'}) as keys"
        f" from ({pair.in_step_sql(stretches, pair.values)})"
    )
    if not one(pair.connection, "select in_step from diff_lists"):
        raise _NotInStepError
    found = "(select unnest(keys, max_depth := 2) from diff_lists)"
    where, count = _where_keys_of(pair, found)
    if not count:
        return None
    return _rows_where(pair, where) if count <= _FEW else all_rows(pair, count, stretches)


def _rows_with_other_hashes(pair: Pair) -> Rows | None:
    """The rows that have no row with the same key and hash on the other side."""
    keys = ", ".join(
        f"coalesce(ours.{quote(column)}, theirs.{quote(column)}) as {quote(column)}"
        for column in pair.key
    )
    values = "".join(f", theirs.{quote(column)}" for column in pair.values)
    ours = pair.side_sql(pair.before, (), pair.values)
    theirs = pair.side_sql(pair.after, pair.values, pair.values)
    # The right side of the join, which it holds in memory, has no more than keys and hashes.
    _keep(
        pair,
        "diff_found",
        f"select {keys}{values}, theirs.row_hash"
        f" from ({theirs}) as theirs full join ({ours}) as ours on {pair.same_key}"
        f" where ours.row_hash is distinct from theirs.row_hash limit {_FEW + 1}",
    )
    where, count = _where_keys_of(pair, "diff_found")
    if not count:
        return None
    if count > _FEW:
        return all_rows(pair, count)
    _keep(pair, "diff_before", pair.side_sql(pair.before, pair.values, where=where))
    found = "(from diff_found where row_hash is not null)"
    return _kept_rows(pair, pair.join_sql("diff_before", found, pair.values))


def _where_keys_of(pair: Pair, rows: str) -> tuple[str, int]:
    """A condition for the rows of either side that have one of the keys of ``rows``; how many."""
    key = ", ".join(map(pair.read, pair.key))
    first, kind = quote(pair.key[0]), pair.types[pair.key[0]]
    pair.connection.execute(
        "create or replace temp table diff_keys as"
        f" select distinct hash({key}) as row_key, {first}::{kind} as first_key from {rows}"
    )
    # The range lets DuckLake leave out files; the hash decides, nulls and several columns included.
    count, low, high, nulls = pair.connection.execute(
        "select count(*), min(first_key)::varchar, max(first_key)::varchar,"
        " bool_or(first_key is null) from diff_keys"
    ).fetchone() or (0, None, None, None)
    where = f"hash({key}) in (select row_key from diff_keys)"
    if low is not None and not nulls:
        where += f" and {first} between '{escape(low)}'::{kind} and '{escape(high)}'::{kind}"
    return where, count


def _rows_where(pair: Pair, where: str) -> Rows:
    """The rows that meet a condition."""
    _keep(pair, "diff_before", pair.side_sql(pair.before, pair.values, where=where))
    _keep(pair, "diff_after", pair.side_sql(pair.after, pair.values, where=where))
    return _kept_rows(pair, pair.join_sql("diff_before", "diff_after", pair.values))


def _kept_rows(pair: Pair, joined: str) -> Rows:
    """What a query for both sides' rows by key, in all columns, gives; it is kept."""
    _keep(pair, "diff_rows", joined)
    if one(pair.connection, "select count(*) > count(distinct row_key) from diff_rows"):
        raise NoKeyError
    keys = [f"k{n} as {quote(column)}" for n, column in enumerate(pair.key)]
    before, after = (
        "(select "
        + ", ".join([*keys, *(f"{side}{n} as {quote(one)}" for n, one in enumerate(pair.values))])
        + f" from diff_rows where there_{name})"
        for side, name in (("b", "before"), ("a", "after"))
    )
    matched = "(from diff_rows where there_before and there_after)"
    return Rows("diff_rows", (before, after), pair.values, examples=matched)


def _keep(pair: Pair, name: str, query: str) -> None:
    """Make a temporary table of what a query gives; its joins keep their right side in memory.

    DuckLake expects no rows of a table at a version, so DuckDB would look each of a few keys up
    among all rows, and not the other way round.
    """
    with _setting(pair.connection, "disabled_optimizers", "build_side_probe_side"):
        pair.connection.execute(f"create or replace temp table {name} as {query}")


@contextmanager
def _setting(connection: duckdb.DuckDBPyConnection, name: str, value: str | int) -> Iterator[None]:
    connection.execute(f"set {name} = '{value}'")
    try:
        yield
    finally:
        connection.execute(f"reset {name}")
