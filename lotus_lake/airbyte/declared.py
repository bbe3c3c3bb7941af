"""The streams that the dbt sources declare, as dbt's manifest has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.schema.types import Type, part_at
from lotus_lake.streams import Stream, declaration

Manifest = dict[str, Any]


def airbyte_streams(manifest: Manifest) -> dict[str, list[Stream]]:
    """The streams that Airbyte delivers, by source, in the order of their names.

    Raises:
        LakeError: A declaration is wrong or lacks a type; the message names it.
    """
    found: dict[str, list[Stream]] = {}
    for stream in all_streams(manifest):
        if stream.airbyte:
            found.setdefault(stream.source, []).append(stream)
    return dict(sorted(found.items()))


def all_streams(manifest: Manifest) -> list[Stream]:
    """The declared streams, whoever delivers them, in the order of their names.

    Raises:
        LakeError: A declaration is wrong or lacks a type; the message names it.
    """
    # Other sources are tables; the macro _declared_streams tells them apart in the same way.
    return [
        _stream(node)
        for node in sorted(manifest["sources"].values(), key=lambda node: str(node["name"]))
        if "feeder" in node["config"]["meta"]
    ]


def chosen(
    streams: Mapping[str, list[Stream]], sources: Iterable[str]
) -> Mapping[str, list[Stream]]:
    """The streams of these sources; of all of them when none is named.

    Raises:
        LakeError: Airbyte does not deliver such a source.
    """
    for source in sources:
        if source not in streams:
            raise LakeError(
                f"'{source}' is no source that Airbyte delivers. There are: {', '.join(streams)}."
            )
    return {name: found for name, found in streams.items() if not sources or name in sources}


def cursor_of(stream: Stream) -> tuple[str, ...]:
    """The field that Airbyte reads a stream by: the first one in the expression ``source_cursor``.

    The others are what stands in for it where a record lacks it, which only the lake has to know.

    Raises:
        LakeError: There is none, or the stream does not declare it.
    """
    if not stream.source_cursor:
        raise LakeError(
            f"Stream {stream.label}: sync_mode is append, but without a source_cursor Airbyte "
            "cannot tell what is new. Declare one, or sync_mode: overwrite."
        )
    path = next(_columns_in(stream.source_cursor), ())
    if not path or _declared(stream, path) is None:
        raise LakeError(
            f"Stream {stream.label}: its cursor, {'.'.join(path) or stream.source_cursor}, is no "
            "column that it declares. Declare the column, or mend source_cursor."
        )
    return path


def key_of(stream: Stream) -> tuple[str, ...]:
    """The columns that identify a record.

    Raises:
        LakeError: The stream does not declare one of them.
    """
    for column in stream.primary_key:
        if _declared(stream, (column,)) is None:
            raise LakeError(
                f"Stream {stream.label}: its primary_key, {column}, is no column that it declares."
            )
    return stream.primary_key


def _columns_in(expression: str) -> Iterator[tuple[str, ...]]:
    """The columns, and fields in them, that an SQL expression names; none if it is no SQL."""
    parsed = duckdb.execute(
        "select json_serialize_sql('select ' || $1 || chr(10))", [expression]
    ).fetchone()

    def columns(part: Any) -> Iterator[tuple[str, ...]]:
        if isinstance(part, dict):
            if part.get("class") == "COLUMN_REF":
                yield tuple(part["column_names"])
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from columns(inner)

    return columns(json.loads(parsed[0])) if parsed else iter(())


def _declared(stream: Stream, path: tuple[str, ...]) -> Type | None:
    column = stream.columns.get(path[0])
    return part_at(column, path[1:]) if column else None


def _stream(node: Mapping[str, Any]) -> Stream:
    source, name = node["source_name"], node["name"]
    for column in node["columns"].values():
        if not column["data_type"]:
            raise LakeError(
                f"Stream {source}.{name}: column {column['name']} is declared without a data_type. "
                f"Give it one in {node['original_file_path']}."
            )
    return Stream.from_declaration(declaration(node))
