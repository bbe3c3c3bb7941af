"""Which version of a record is the latest one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .values import Record, dig, integer, moment, nulls_lowest, text

Key = TypeVar("Key", int, str)
Cursor = Callable[[Record], Any]


def by_column(name: str) -> Cursor:
    """Return a source cursor that reads one root column as a timestamp."""
    return lambda record: moment(record.get(name))


def rank(record: Record, cursor: Cursor) -> tuple[Any, ...]:
    """Return the contract's version order of a record, nulls lowest."""
    return nulls_lowest(
        cursor(record),
        moment(record.get("_airbyte_extracted_at")),
        integer(record.get("_airbyte_generation_id")),
        integer(dig(record.get("_airbyte_meta"), "sync_id")),
        text(record.get("_airbyte_raw_id")),
    )


def versions(
    records: Iterable[Record], key: Callable[[Any], Key | None], cursor: Cursor
) -> dict[Key, list[Record]]:
    """Return all versions of each key, oldest first; records without a key are left out."""
    grouped: dict[Key, list[Record]] = {}
    for record in records:
        identity = key(record.get("id"))
        if identity is not None:
            grouped.setdefault(identity, []).append(record)
    for found in grouped.values():
        if len(found) > 1:
            found.sort(key=lambda record: rank(record, cursor))
    return grouped


def newest(
    records: Iterable[Record], key: Callable[[Any], Key | None], cursor: Cursor
) -> dict[Key, Record]:
    """Return the latest version of each key."""
    return {identity: found[-1] for identity, found in versions(records, key, cursor).items()}


def newest_generation(records: list[Record]) -> list[Record]:
    """Return the records of the newest generation of a full-refresh stream."""

    def generation(record: Record) -> tuple[Any, ...]:
        return nulls_lowest(integer(record.get("_airbyte_generation_id")))

    latest = max(map(generation, records), default=None)
    return [record for record in records if generation(record) == latest]
