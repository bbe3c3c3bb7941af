"""The beginning of each run: the declared streams, and a landing zone that can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS, CONNECT_CONFIG
from lotus_lake.operations.lake import Lake, Warned
from lotus_lake.schema import literal, quote
from lotus_lake.streams import Stream

_CURSORS = f"{ALIAS}.meta.feeder_cursors"
_HOURS = {"minute": 1 / 60, "hour": 1, "day": 24}
# What the declaration itself says: no setting.
_TAKEN = ("source", "stream", "name", "table", "columns", "freshness_hours")


def declare_streams(
    lake: Lake, sources: list[dict[str, Any]], defaults: dict[str, Any]
) -> Iterator[str]:
    """Give each declared stream its cursor row, and put its declaration where models find it.

    The relation of a dbt source, ``memory.<source>.<stream>``, is one row with the declaration as
    JSON. The cursor row keeps it too, for what looks for new files without dbt.

    Args:
        lake: The lake.
        sources: The project's sources, each a mapping: ``source``, ``stream``, ``schema`` and
            ``identifier`` of its relation, ``columns`` (name, type), ``feeder`` (``meta.feeder``)
            and ``freshness`` (``warn_after``).
        defaults: The variables ``feed_*``.

    Raises:
        LakeError: A declaration is wrong; the message names stream and setting.
    """
    texts = {}
    # Expressions of a declaration are tried where there is nothing to read or write.
    with duckdb.connect(config=dict(CONNECT_CONFIG)) as nowhere:
        for source in sources:
            text = json.dumps(_declaration(source, defaults), sort_keys=True)
            Stream.from_declaration(text).check_expressions(nowhere)
            texts[source["source"], source["stream"]] = text
            schema = f"memory.{quote(source['schema'])}"
            lake.connection.execute(
                f"create schema if not exists {schema}; create or replace table"
                f" {schema}.{quote(source['identifier'])} as select {literal(text)} as declaration"
            )
    known = {
        (source, stream): text
        for source, stream, text in lake.fetch(
            f"select source, stream, declaration from {_CURSORS}"
        )
    }
    if texts != {stream: text for stream, text in known.items() if text is not None}:
        lake.commit(_cursors_sql(texts, bool(texts.keys() - known)), "declared streams")
    yield from ()


def _declaration(source: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    feeder = source["feeder"]
    taken = [name for name in _TAKEN if name in feeder] if isinstance(feeder, dict) else []
    if taken or not isinstance(feeder, dict):
        wrong = (
            f"'{taken[0]}' under meta.feeder is not a setting"
            if taken
            else f"meta.feeder is '{feeder}'; it has to be a mapping, such as {{sync_mode: append}}"
        )
        raise LakeError(
            f"Stream {source['source']}.{source['stream']}: {wrong}. "
            "Known settings are listed in docs/feeder.md."
        )
    limit = source["freshness"]
    return {
        "source": source["source"],
        "stream": source["stream"],
        "table": f"{ALIAS}.staging.stg_{source['source']}__{source['stream']}",
        "columns": source["columns"],
        **defaults,
        **feeder,
        **({"freshness_hours": limit["count"] * _HOURS[limit["period"]]} if limit else {}),
    }


def _cursors_sql(texts: dict[tuple[str, str], str], is_new: bool) -> str:
    rows = ", ".join(
        f"({literal(source)}, {literal(stream)}, {literal(text)})"
        for (source, stream), text in texts.items()
    )
    declared = f"(values {rows}) as declared (source, stream, declaration)"
    statements = [
        f"update {_CURSORS} as cursors set declaration = declared.declaration from {declared}"
        " where (cursors.source, cursors.stream) = (declared.source, declared.stream)"
        " and cursors.declaration is distinct from declared.declaration",
        f"update {_CURSORS} set declaration = null where declaration is not null"
        f" and (source, stream) not in (select (source, stream) from {declared})",
    ]
    if is_new:
        # Of two first runs only one may commit: DuckLake compares what both alter, not what both
        # insert.
        statements += [
            f"comment on table {_CURSORS} is 'One row for each declared stream.'",
            f"insert into {_CURSORS} select source, stream, null, 0, 0, 0, 0, 0, 0, null, null,"
            f" declaration from {declared} anti join {_CURSORS} using (source, stream)",
        ]
    return "; ".join(statements)


def check_landing(lake: Lake) -> Iterator[str]:
    """Warn of stream folders that no source declares: files land there that nobody feeds.

    Raises:
        LakeError: The landing zone cannot be read.
    """
    declared = {(stream.source, stream.name) for stream in lake.streams}
    for source, stream in lake.landing.streams():
        if (source, stream) not in declared:
            yield Warned(
                f"Files land in {source}/{stream}, but no source declares that stream, so nothing "
                "feeds them. Declare it in models/landing (CONTRIBUTING, 'Add a stream') or remove "
                "the folder."
            )
