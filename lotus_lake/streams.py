"""What a stream is: the declaration in the dbt source's YAML, as Python sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.diff.personal import is_personal
from lotus_lake.probe import Limits
from lotus_lake.schema.types import Type, literal, part_at, quote
from lotus_lake.settings import wrong_number

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

# The least and the greatest value of each number that can be set, see settings.wrong_number().
_BOUNDS: dict[str, tuple[float, float]] = {
    "feed_max_files": (1, 10**9),
    "feed_max_bytes": (1, 10**15),
    "feed_lookback_days": (0, 36_500),
    "feed_sweep_hours": (0.0, 10**6),
    "feed_list_free_files": (0, 10**9),
    "feed_max_depth": (1, 200),
    "feed_max_columns": (1, 10**5),
    "feed_max_ratio": (1, 10**6),
    "feed_max_value_bytes": (1, 2**30),
    "feed_max_seconds": (1, 10**6),
}


# What a declaration says beside its settings.
_TAKEN = ("source", "stream", "name", "table", "columns", "personal", "freshness_hours")
_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24}


def declaration(
    node: Mapping[str, Any], table: str = "", defaults: Mapping[str, Any] | None = None
) -> str:
    """What a source of dbt's manifest declares, as text for ``Stream.from_declaration``.

    Raises:
        LakeError: ``meta.feeder`` is no mapping of settings.
    """
    source, stream, feeder = node["source_name"], node["name"], node["config"]["meta"]["feeder"]
    taken = [name for name in _TAKEN if name in feeder] if isinstance(feeder, dict) else []
    if taken or not isinstance(feeder, dict):
        wrong = (
            f"'{taken[0]}' under meta.feeder is not a setting"
            if taken
            else f"meta.feeder is '{feeder}'; it has to be a mapping, such as {{sync_mode: append}}"
        )
        raise LakeError(
            f"Stream {source}.{stream}: {wrong}. Known settings are listed in docs/feeder.md."
        )
    declared = {
        "source": source,
        "stream": stream,
        "table": table,
        "columns": [
            {"name": column["name"], "type": column["data_type"]}
            for column in node["columns"].values()
            if column["data_type"]
        ],
        "personal": [name for name, column in node["columns"].items() if is_personal(column)],
        # Whole, for what reads it without this module.
        **{name: getattr(Stream, name) for name in _BOUNDS},
        **(defaults or {}),
        **feeder,
    }
    limit = (node.get("freshness") or {}).get("warn_after") or {}
    if limit.get("count"):
        declared["freshness_hours"] = limit["count"] * _HOURS[limit["period"]]
    return json.dumps(declared, sort_keys=True)


def steps_of(place: str) -> list[str]:
    """The steps to a place such as ``line_items[].price``: ``line_items``, ``[]``, ``price``."""
    return [step for step in re.split(r"(\[\])|\.", place) if step]


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(member, str) for member in value)


# What each setting that is no number has to be.
_MEANINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "sync_mode": (("append", "overwrite").__contains__, "append or overwrite"),
    "feed_mode": (("copy", "register").__contains__, "copy or register"),
    "source_cursor": (
        lambda value: isinstance(value, str | None),
        "text, an SQL expression",
    ),
    "primary_key": (
        lambda value: isinstance(value, str | None) or _is_list_of_texts(value),
        "a column, or a list of columns such as [date, platform]",
    ),
    "amounts": (
        _is_list_of_texts,
        "a list of columns, or of fields such as line_items[].price",
    ),
    "airbyte": (lambda value: isinstance(value, bool), "true or false"),
}


def _check_settings(label: str, settings: Mapping[str, Any]) -> None:
    for key, (fits, meaning) in _MEANINGS.items():
        if key in settings and not fits(settings[key]):
            raise LakeError(f"Stream {label}: {key} is '{settings[key]}'; it has to be {meaning}.")
    for key, bounds in _BOUNDS.items():
        if key in settings and (must := wrong_number(settings[key], bounds)):
            raise LakeError(
                f"Stream {label}: variable {key} is '{settings[key]}'; it has to be {must}. "
                "Set it in dbt_project.yml, with --vars, or under the stream's meta.feeder."
            )


@dataclass(frozen=True)
class Stream:
    """One stream of a source; docs/feeder.md has its settings."""

    source: str  # the dbt source, and its folder in the landing zone
    name: str  # and its folder below the source's
    table: str  # the staging table, fully qualified
    columns: dict[str, Type]  # the declared ones; they exist from the first run on
    sync_mode: str = "append"
    source_cursor: str | None = None
    primary_key: tuple[str, ...] = ()
    feed_mode: str = "copy"
    feed_max_files: int = 500
    feed_max_bytes: int = 2 << 30
    feed_lookback_days: int = 14
    feed_sweep_hours: float = 24
    feed_list_free_files: int = 1000
    feed_max_depth: int = Limits.depth
    feed_max_columns: int = Limits.columns
    feed_max_ratio: int = Limits.ratio
    feed_max_value_bytes: int = Limits.value_bytes
    feed_max_seconds: int = Limits.seconds
    amounts: tuple[str, ...] = ()
    airbyte: bool = True
    personal: tuple[str, ...] = ()  # columns whose values no message tells
    # how long it may be silent, as its source's ``freshness`` says
    freshness_hours: float | None = None

    @property
    def folder(self) -> str:
        """Relative to the landing zone, with a closing slash."""
        return f"{self.source}/{self.name}/"

    @property
    def limits(self) -> Limits:
        return Limits(
            depth=self.feed_max_depth,
            columns=self.feed_max_columns,
            ratio=self.feed_max_ratio,
            value_bytes=self.feed_max_value_bytes,
            seconds=self.feed_max_seconds,
        )

    @property
    def label(self) -> str:
        return f"{self.source}.{self.name}"

    @property
    def condition(self) -> str:
        """SQL condition for the stream's rows in tables of schema meta."""
        return f"source = {literal(self.source)} and stream = {literal(self.name)}"

    def may_show(self, column: str) -> bool:
        """Whether a message may tell a value of a column that is not nested."""
        names = {name.lower() for name in self.columns} - {name.lower() for name in self.personal}
        return column.lower() in names

    @classmethod
    def from_declaration(cls, text: str) -> Stream:
        """Read a declaration as the macro ``declare_streams`` writes it.

        Raises:
            LakeError: A key or a value of the declaration is wrong; the message names it.
        """
        raw: dict[str, Any] = json.loads(text)
        label = f"{raw['source']}.{raw['stream']}"
        raw["name"] = raw.pop("stream")
        unknown = set(raw) - set(cls.__dataclass_fields__)
        if unknown:
            raise LakeError(
                f"Stream {label}: '{sorted(unknown)[0]}' under meta.feeder is not a setting. "
                "Known ones are listed in docs/feeder.md."
            )
        _check_settings(label, raw)
        raw["amounts"] = tuple(raw.get("amounts", []))
        key = raw.get("primary_key") or []
        raw["primary_key"] = (key,) if isinstance(key, str) else tuple(key)
        declared = {column["name"]: column["type"] for column in raw.pop("columns")}
        if raw.get("airbyte", True):
            declared = {**AIRBYTE_COLUMNS, **declared}
        types: dict[str, Type] = {}
        for name, sql_type in declared.items():
            try:
                types[name] = Type.parse(sql_type)
            except duckdb.Error as error:
                raise LakeError(
                    f"Stream {label}: data_type '{sql_type}' of column {name} is no DuckDB type "
                    f"({str(error).splitlines()[0]})."
                ) from error
        stream = cls(columns=types, **raw)
        for amount in stream.amounts:
            column, *steps = steps_of(amount)
            if column not in types or part_at(types[column], tuple(steps)) is None:
                raise LakeError(
                    f"Stream {label}: '{amount}' of amounts is not declared. Declare its column "
                    "and the fields that lead to it, or take it out."
                )
        return stream

    def check_expressions(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Refuse settings that name what the stream does not declare; any connection will do.

        Raises:
            LakeError: The cursor or the key cannot be computed from the declared columns.
        """
        types = {name: type_.sql() for name, type_ in self.columns.items()} | LINEAGE_COLUMNS
        row = ", ".join(f"cast(null as {sql}) as {quote(name)}" for name, sql in types.items())
        for key, expression in (
            ("source_cursor", self.source_cursor),
            *(
                ("primary_key", column if re.fullmatch(r"\w+", column) else quote(column))
                for column in self.primary_key
            ),
        ):
            if expression is None:
                continue
            try:
                connection.execute(f"select hash({expression}\n) from (select {row}) limit 0")
            except duckdb.Error as error:
                raise LakeError(
                    f"Stream {self.label}: {key} '{expression}' cannot be computed from the "
                    f"declared columns, {', '.join(self.columns)} ({str(error).splitlines()[0]}). "
                    f"Declare the column, or mend {key}, in the source's YAML."
                ) from error
