"""Compares tables whose rows have no key: how many rows does the other side not have?"""

from __future__ import annotations

from lotus_lake.diff.pair import Pair


def compare_as_bags(pair: Pair) -> tuple[int, int]:
    """How many rows were added and removed."""
    read = ", ".join(map(pair.read, pair.types))
    before, after = pair.relations
    row = pair.connection.execute(
        f"""
        with counted as (
            select row_hash, sum(place) as extra
            from (
                select hash({read}) as row_hash, 1 as place from {after}
                union all
                select hash({read}), -1 from {before}
            )
            group by row_hash
            having extra <> 0
        )
        select
            coalesce(sum(extra) filter (extra > 0), 0), -coalesce(sum(extra) filter (extra < 0), 0)
        from counted
        """
    ).fetchone()
    assert row
    return int(row[0]), int(row[1])
