"""Airbyte's configured catalog of a source: what it reads of each stream, and how it writes it.

The file is a ConfiguredAirbyteCatalog of Airbyte's protocol. Terraform reads all that it needs out
of it: the sync mode is the two modes put together, the selected fields are the schema's properties.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lotus_lake.airbyte.declared import Manifest, airbyte_streams, chosen, cursor_of, key_of
from lotus_lake.config import LakeError
from lotus_lake.schema.types import Type
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

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


def configured_catalog(streams: Iterable[Stream]) -> Catalog:
    """The configured catalog of a source's streams.

    Raises:
        LakeError: A declaration cannot be told to Airbyte; the message names it.
    """
    return {"streams": [_configured(stream) for stream in streams]}


def update(manifest: Manifest, sources: Sequence[str], folder: Path) -> list[Path]:
    """Write the catalogs of these sources, or of all, and remove those that are no source's.

    Args:
        manifest: dbt's, with the declared streams.
        sources: Names; none for all.
        folder: Of the catalogs.

    Returns:
        The files that were written.

    Raises:
        LakeError: As :func:`configured_catalog`; then nothing is written.
    """
    declared = airbyte_streams(manifest)
    texts = _texts(declared, sources, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    for file in _orphans(declared, folder):
        file.unlink()
    return list(texts)


def stale(manifest: Manifest, sources: Sequence[str], folder: Path) -> list[str]:
    """What each file says otherwise than its source's declaration, as the lines of a diff.

    Raises:
        LakeError: As :func:`configured_catalog`.
    """
    lines: list[str] = []
    declared = airbyte_streams(manifest)
    for file, should in _texts(declared, sources, folder).items():
        if not file.exists():
            lines.append(f"{file} is missing. Run: lake catalog")
        elif (text := file.read_text(encoding="utf-8", errors="replace")) != should:
            lines.append(f"{file} is stale. Run: lake catalog")
            lines += difflib.unified_diff(
                text.splitlines(), should.splitlines(), str(file), "declared", lineterm="", n=1
            )
    return lines + [
        f"{file} belongs to no source. Run: lake catalog" for file in _orphans(declared, folder)
    ]


def _texts(
    declared: Mapping[str, list[Stream]], sources: Sequence[str], folder: Path
) -> dict[Path, str]:
    return {
        folder / f"{source}.json": json.dumps(configured_catalog(streams), indent=2) + "\n"
        for source, streams in chosen(declared, sources).items()
    }


def _orphans(declared: Mapping[str, object], folder: Path) -> list[Path]:
    """Catalogs of sources that Airbyte does not deliver, or no longer."""
    return [file for file in sorted(folder.glob("*.json")) if file.stem not in declared]


def _configured(stream: Stream) -> Catalog:
    incremental = stream.sync_mode == "append"
    primary_key = [[column] for column in key_of(stream)]
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
