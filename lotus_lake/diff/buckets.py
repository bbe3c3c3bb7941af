"""Compares a whole table by hashes of its rows, added up in buckets by their keys.

Buckets with the same sum have the same rows. That takes hardly any memory, and reads each side once
if nothing differs.
"""

from __future__ import annotations

from lotus_lake.diff.kept import setting
from lotus_lake.diff.pair import Pair
from lotus_lake.diff.relations import one

# The buckets of keys are numbered with twice so many bits.
_BUCKET_BITS = 8


def count_in_differing_buckets(pair: Pair, bucket: str) -> int:
    """How many rows of either side are in buckets that differ, which are in ``diff_buckets``."""
    hashed = ", ".join(map(pair.read, [*pair.key, *pair.values]))
    before, after = (
        f"select {bucket} as bucket, {sign}(hash({hashed}) >> 1)::bigint as part from {relation}"
        for relation, sign in zip(pair.relations, ("-", ""), strict=True)
    )
    # For so many groups DuckDB can keep an array of sums, which it else does for very few only.
    with setting(pair.connection, "perfect_ht_threshold", 2 * _BUCKET_BITS + 1):
        pair.connection.execute(
            "create or replace temp table diff_buckets as"
            f" select bucket, count(*) as rows from ({before} union all {after})"
            " group by bucket having sum(part) <> 0"
        )
    return int(one(pair.connection, "select coalesce(sum(rows), 0) from diff_buckets"))


def bucket_sql(pair: Pair) -> str:
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
