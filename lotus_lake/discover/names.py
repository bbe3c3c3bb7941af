"""Names of streams and columns, as SQL takes them."""

from __future__ import annotations

import re
from functools import cache

import duckdb

from lotus_lake.schema.types import quote


def record_of(stream: str) -> str:
    """What one record of a stream is called."""
    return re.sub(r"ies$", "y", stream).removesuffix("s")


def is_plain(name: str) -> bool:
    """Whether SQL takes a name as it is."""
    return bool(re.fullmatch(r"[a-z_][a-z0-9_]*", name)) and name not in _reserved()


def plain_name(name: str) -> str:
    """A column's name as SQL takes it: ``Net Amount`` and ``netAmount`` are ``net_amount``.

    One with other letters than English, or that is a word of SQL, stays as it is.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    plain = re.sub(r"[^a-z0-9_]+", "_", words).strip("_ ")
    return plain if name.isascii() and is_plain(plain) else name


def expression_of(name: str) -> str:
    """A column in SQL; in quotes only if it has to be."""
    return name if is_plain(name.lower()) else quote(name)


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as connection:
        words = connection.sql(
            "select keyword_name from duckdb_keywords()"
            " where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(word for (word,) in words)
