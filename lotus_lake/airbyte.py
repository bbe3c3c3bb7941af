"""Airbyte's configured catalogs, made of what the dbt sources declare: what it reads and writes.

A file for each source is a ConfiguredAirbyteCatalog of Airbyte's protocol. Terraform reads all that
it needs out of it: the sync mode is the two modes put together, the selected fields are the
schema's properties.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.schema.types import Type, part_at
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream, declaration

Manifest = dict[str, Any]
Catalog = dict[str, Any]

_DATE_TIME = {"type": ["null", "string"], "format": "date-time"}
_WITH_ZONE = {**_DATE_TIME, "airbyte_type": "timestamp_with_timezone"}
_WITHOUT_ZONE = {**_DATE_TIME, "airbyte_type": "timestamp_without_timezone"}
_SCALARS: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": ["null", "string"]},
    "BOOLEAN": {"type": ["null", "boolean"]},
    "DOUBLE": {"type": ["null", "number"]},
    "FLOAT": {"type": ["null", "number"]},
    "DATE": {"type": ["null", "string"], "format": "date"},
    "TIMESTAMP WITH TIME ZONE": _WITH_ZONE,
    "TIMESTAMP": _WITHOUT_ZONE,
    **{
        name: {"type": ["null", "integer"]}
        for name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
    },
}


def all_streams(manifest: Manifest) -> list[Stream]:
    """The streams that dbt's manifest declares, whoever delivers them, in the order of their names.

    Raises:
        LakeError: A declaration is wrong or lacks a type; the message names it.
    """
    found = []
    for node in sorted(manifest["sources"].values(), key=lambda node: str(node["name"])):
        # Other sources are tables; the macro _declared_streams tells them apart in the same way.
        if "feeder" not in node["config"]["meta"]:
            continue
        for column in node["columns"].values():
            if not column["data_type"]:
                raise LakeError(
                    f"Stream {node['source_name']}.{node['name']}: column {column['name']} is "
                    f"declared without a data_type. Give it one in {node['original_file_path']}."
                )
        found.append(Stream.from_declaration(declaration(node)))
    return found


def configured_catalog(streams: Iterable[Stream]) -> Catalog:
    """The configured catalog of a source's streams.

    Raises:
        LakeError: A declaration cannot be told to Airbyte; the message names it.
    """
    return {"streams": [_configured(stream) for stream in streams]}


def update(manifest: Manifest, folder: Path) -> list[Path]:
    """Write the catalog of each source that Airbyte delivers, and remove all others.

    Raises:
        LakeError: As :func:`configured_catalog`; then nothing is written.
    """
    texts = _texts(manifest, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    for file in set(folder.glob("*.json")) - texts.keys():
        file.unlink()
    return list(texts)


def stale(manifest: Manifest, folder: Path) -> list[str]:
    """What each file says otherwise than its source's declaration, as the lines of a diff.

    Raises:
        LakeError: As :func:`configured_catalog`.
    """
    lines: list[str] = []
    texts = _texts(manifest, folder)
    for file, should in texts.items():
        if not file.exists():
            lines.append(f"{file} is missing. Run: lake catalog")
        elif (text := file.read_text(encoding="utf-8", errors="replace")) != should:
            lines.append(f"{file} is stale. Run: lake catalog")
            lines += difflib.unified_diff(
                text.splitlines(), should.splitlines(), str(file), "declared", lineterm="", n=1
            )
    orphans = sorted(set(folder.glob("*.json")) - texts.keys())
    return lines + [f"{file} belongs to no source. Run: lake catalog" for file in orphans]


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
    # None if the expression is no SQL.
    first = duckdb.execute(
        "select value from json_tree(json_serialize_sql('select ' || $1 || chr(10)))"
        " where key = 'column_names' order by id limit 1",
        [stream.source_cursor],
    ).fetchone()
    path = tuple(json.loads(first[0])) if first else ()
    column = stream.columns.get(path[0]) if path else None
    if not column or not part_at(column, path[1:]):
        raise LakeError(
            f"Stream {stream.label}: its cursor, {'.'.join(path) or stream.source_cursor}, is no "
            "column that it declares. Declare the column, or mend source_cursor."
        )
    return path


def _texts(manifest: Manifest, folder: Path) -> dict[Path, str]:
    """The file of each source that Airbyte delivers, and what it has to say."""
    sources: dict[str, list[Stream]] = {}
    for stream in all_streams(manifest):
        if stream.airbyte:
            sources.setdefault(stream.source, []).append(stream)
    return {
        folder / f"{source}.json": json.dumps(configured_catalog(streams), indent=2) + "\n"
        for source, streams in sorted(sources.items())
    }


def _configured(stream: Stream) -> Catalog:
    for column in stream.primary_key:
        if column not in stream.columns:
            raise LakeError(
                f"Stream {stream.label}: its primary_key, {column}, is no column that it declares."
            )
    incremental = stream.sync_mode == "append"
    primary_key = [[column] for column in stream.primary_key]
    cursor = list(cursor_of(stream)) if incremental else []
    properties = {
        name: _schema(type_, f"{stream.label}: column {name}")
        for name, type_ in stream.columns.items()
        # The destination adds these by itself.
        if name not in AIRBYTE_COLUMNS
    }
    return {
        "stream": {
            "name": stream.name,
            "json_schema": {
                "type": "object",
                "additionalProperties": True,
                "properties": properties,
            },
            "supported_sync_modes": ["full_refresh", *["incremental"] * incremental],
            "source_defined_cursor": incremental,
            "default_cursor_field": cursor,
            "source_defined_primary_key": primary_key,
        },
        "sync_mode": "incremental" if incremental else "full_refresh",
        "destination_sync_mode": stream.sync_mode,
        "cursor_field": cursor,
        "primary_key": primary_key,
        # Airbyte counts these with every clear, refresh and sync; a first sync begins here.
        "generation_id": 0,
        "minimum_generation_id": 0,
        "sync_id": 0,
    }


def _schema(type_: Type, where: str) -> dict[str, Any]:
    """A type as JSON Schema, with what Airbyte's type system adds to it."""
    if type_.kind == "struct":
        fields = {name: _schema(child, f"{where}.{name}") for name, child in type_.fields}
        return {"type": ["null", "object"], "additionalProperties": True, "properties": fields}
    if type_.kind == "list" and type_.element:
        return {"type": ["null", "array"], "items": _schema(type_.element, f"{where}[]")}
    if type_.name.startswith("DECIMAL"):
        return _SCALARS["DOUBLE"]
    if type_.name not in _SCALARS:
        raise LakeError(
            f"Stream {where} is declared as {type_.name.lower()}, which Airbyte does not deliver."
        )
    return _SCALARS[type_.name]
