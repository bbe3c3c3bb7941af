"""Columns that the lake does not take: by their names, their number, or how deep they are."""

from __future__ import annotations

from lotus_lake.probe import Limits, Unreadable
from lotus_lake.schema.types import Type
from lotus_lake.streams import LINEAGE_COLUMNS
from lotus_lake.wording import counted

# Names that rows have anyway while they are read, or in the lake.
_RESERVED = {"__uri", "__row", "file_row_number", "rowid", "snapshot_id", *LINEAGE_COLUMNS}


def check_columns(row: Type, limits: Limits) -> None:
    """Refuse fields of a struct that could not be told apart, too many, or too deep: Unreadable."""
    if row.size > limits.columns:
        raise too_many(f"{row.size:,}", limits)
    for column, type_ in row.fields:
        if column.lower() in _RESERVED:
            raise Unreadable(f"it has a column {column}, a name that the lake uses itself")
        if type_.depth > limits.depth:
            raise too_deep(f"column {column}", limits)
    _check_names(row)


def too_many(number: str, limits: Limits) -> Unreadable:
    return Unreadable(
        f"it has {number} columns and fields in them, and {limits.columns:,} are allowed "
        "(feed_max_columns)"
    )


def too_deep(what: str, limits: Limits) -> Unreadable:
    return Unreadable(
        f"{what} is nested more deeply than {counted(limits.depth, 'level')}, the most that is "
        "allowed (feed_max_depth)"
    )


def _check_names(row: Type, inside: str = "") -> None:
    seen: set[str] = set()
    for column, type_ in row.fields:
        if not column:
            raise Unreadable(f"it has a column without a name{inside}")
        if column.lower() in seen:
            raise Unreadable(f"it has two columns named {column}{inside}; capitals do not count")
        seen.add(column.lower())
        while type_.element:
            type_ = type_.element
        if type_.kind == "struct":
            _check_names(type_, f" in {column}")
