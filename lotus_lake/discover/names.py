"""Names of streams and columns, as SQL takes them."""

from __future__ import annotations

import re
from functools import cache

import duckdb


def record_of(stream: str) -> str:
    """What one record of a stream is called."""
    return re.sub(r"ies$", "y", stream).removesuffix("s")


def is_plain(name: str) -> bool:
    """Whether SQL takes a name as it is."""
    return bool(re.fullmatch(r"[a-z_][a-z0-9_]*", name)) and name not in _reserved()


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as connection:
        words = connection.sql(
            "select keyword_name from duckdb_keywords()"
            " where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(word for (word,) in words)
