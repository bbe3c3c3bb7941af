"""What a stream is: the declaration in the dbt source's YAML, as Python sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.schema import Type

# When Airbyte read a record: a time in Parquet, milliseconds since 1970 in CSV and JSON lines.
EXTRACTED_AT = "_airbyte_extracted_at"
# What the S3 destination adds to every record (contract with Airbyte, not with a source).
AIRBYTE_COLUMNS = {
    "_airbyte_raw_id": "varchar",
    EXTRACTED_AT: "timestamp with time zone",
    "_airbyte_generation_id": "bigint",
    "_airbyte_meta": (
        "struct(sync_id bigint, changes struct(field varchar, change varchar, reason varchar)[])"
    ),
}

# Where a row came from. `_cursor_version` is the delivery that fed it: with the path it names one
# row of meta.feeder_files, also when a path came back with other content.
LINEAGE_COLUMNS = {
    "_source_file": "varchar",
    "_source_row": "bigint",
    "_cursor_version": "bigint",
}


@dataclass(frozen=True)
class Stream:
    """One stream of a source.

    Args:
        source: Name of the dbt source, and of its folder in the landing zone.
        name: Name of the stream, and of its folder below the source's.
        table: The staging table, fully qualified.
        columns: Declared columns with their types; they exist from the first run on.
        sync_mode: ``append``, or ``overwrite`` for full-refresh streams.
        source_cursor: SQL expression that orders the versions of a record, or None.
        primary_key: Column that identifies a record, or None.
        feed_mode: ``copy``, or ``register`` for zero-copy.
        feed_max_files: Most files one run feeds.
        feed_max_bytes: Most bytes one run feeds (a single larger file is fed all the same).
        feed_lookback_days: Days before the newest fed one that every run lists again.
        feed_sweep_hours: Age of the last full listing, in hours, that makes a run list everything.
        feed_list_free_files: A stream with no more files than this is always listed whole.
        airbyte: Whether records carry the ``_airbyte_*`` columns.
    """

    source: str
    name: str
    table: str
    columns: dict[str, Type]
    sync_mode: str = "append"
    source_cursor: str | None = None
    primary_key: str | None = None
    feed_mode: str = "copy"
    feed_max_files: int = 500
    feed_max_bytes: int = 2 << 30
    feed_lookback_days: int = 14
    feed_sweep_hours: float = 24
    feed_list_free_files: int = 1000
    airbyte: bool = True

    @property
    def folder(self) -> str:
        """The stream's folder, relative to the landing zone, with a closing slash."""
        return f"{self.source}/{self.name}/"

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.name}"

    @classmethod
    def from_declaration(cls, text: str) -> Stream:
        """Read a declaration as the macro ``declare_streams`` writes it.

        Raises:
            LakeError: A key or a value of the declaration is wrong; the message names it.
        """
        raw: dict[str, Any] = json.loads(text)
        if "stream" not in raw:
            raise LakeError(
                "The stream has no declaration: run dbt with the project's on-run-start."
            )
        label = f"{raw['source']}.{raw['stream']}"
        declared = {column["name"]: column["type"] for column in raw.pop("columns")}
        raw["name"] = raw.pop("stream")
        unknown = set(raw) - set(cls.__dataclass_fields__)
        if unknown:
            raise LakeError(
                f"Stream {label}: '{sorted(unknown)[0]}' under meta.feeder is not a setting. "
                "Known ones are listed in docs/feeder.md."
            )
        for key, choices in (
            ("sync_mode", ("append", "overwrite")),
            ("feed_mode", ("copy", "register")),
        ):
            if raw.get(key, choices[0]) not in choices:
                raise LakeError(
                    f"Stream {label}: {key} is '{raw[key]}'; it has to be {' or '.join(choices)}."
                )
        for key, least in (
            ("feed_max_files", 1),
            ("feed_max_bytes", 1),
            ("feed_lookback_days", 0),
            ("feed_sweep_hours", 0),
            ("feed_list_free_files", 0),
        ):
            try:
                number = float if key == "feed_sweep_hours" else int
                raw[key] = number(raw.get(key, getattr(cls, key)))
            except (TypeError, ValueError):
                raw[key] = -1
            if raw[key] < least:
                raise LakeError(
                    f"Stream {label}: variable {key} has to be a number of at least {least}. "
                    "Set it in dbt_project.yml, with --vars, or under the stream's meta.feeder."
                )
        if raw.get("airbyte", True):
            declared = {**AIRBYTE_COLUMNS, **declared}
        columns: dict[str, Type] = {}
        for name, sql_type in declared.items():
            try:
                columns[name] = Type.parse(sql_type)
            except duckdb.Error as error:
                raise LakeError(
                    f"Stream {label}: data_type '{sql_type}' of column {name} is no DuckDB type "
                    f"({str(error).splitlines()[0]})."
                ) from error
        return cls(columns=columns, **raw)
