"""The beginning of each run: the declared streams, and a landing zone that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake import __version__
from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS, CONNECT_CONFIG
from lotus_lake.operations.lake import CURSORS, Lake
from lotus_lake.races import attempts, is_conflict, roll_back
from lotus_lake.schema.types import literal
from lotus_lake.streams import Stream, declaration

_META_SQL = (Path(__file__).parent / "meta.sql").read_text(encoding="utf-8")


def check_version(lake: Lake, macros: str) -> None:
    """Refuse macros of another version than this package.

    Raises:
        LakeError: They are; the message says what to do.
    """
    if macros != __version__:
        raise LakeError(
            f"The macros of the engine are of version {macros}, the Python package is"
            f" {__version__}. Run lake init and dbt deps, or install lotus-lake {macros}."
        )


def create_meta(lake: Lake) -> None:
    """Create the lake's own bookkeeping, schema ``meta``, or what an older lake lacks of it.

    Small inserts into it stay in the catalog; those into every other schema must not, because this
    DuckLake version loses characters and rows of inlined nested columns (docs/decisions/0002).

    Setting the option crashes DuckDB 1.5.5 when the schema has a view. So all of it is one
    transaction: another run may make the first view meanwhile, but not for this one.

    Raises:
        LakeError: The lake cannot be written, or other runs kept changing it.
    """
    views = f"from duckdb_views() where database_name = '{ALIAS}' and schema_name = 'meta'"
    # The newest of all: a lake that has it has the rest.
    if lake.fetch(f"{views} and view_name = 'table_changes'"):
        return
    lake.connection.execute(f"create schema if not exists {ALIAS}.meta")
    for _ in attempts():
        try:
            lake.connection.execute("begin")
            if not lake.fetch(views):
                option = f"call {ALIAS}.set_option('data_inlining_row_limit'"
                lake.connection.execute(f"{option}, 0)")
                # The rows of one run.
                lake.connection.execute(f"{option}, 1000, schema => 'meta')")
            lake.connection.execute(_META_SQL)
            lake.connection.execute("commit")
            return
        except duckdb.Error as error:
            roll_back(lake.connection)
            if not is_conflict(error):
                raise
    raise LakeError("Other runs kept changing the lake meanwhile: let them end, and run again.")


def declare_streams(lake: Lake, sources: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
    """Give each declared stream its cursor row, which keeps its declaration.

    Of each source ``node`` is what dbt's manifest has, ``table`` what it is fed into; ``defaults``
    are the variables ``feed_*`` that the project sets.

    Raises:
        LakeError: A declaration is wrong; the message names stream and setting.
    """
    texts = {}
    # Expressions of a declaration are tried where there is nothing to read or write.
    with duckdb.connect(config=dict(CONNECT_CONFIG)) as nowhere:
        for source in sources:
            text = declaration(source["node"], source["table"], defaults)
            stream = Stream.from_declaration(text)
            stream.check_expressions(nowhere)
            texts[stream.source, stream.name] = text
    known = {
        (source, stream): text
        for source, stream, text in lake.fetch(f"select source, stream, declaration from {CURSORS}")
    }
    if texts != {stream: text for stream, text in known.items() if text is not None}:
        lake.commit(_cursors_sql(texts, bool(texts.keys() - known)), "declared streams")


def _cursors_sql(texts: dict[tuple[str, str], str], is_new: bool) -> str:
    rows = ", ".join(
        f"({literal(source)}, {literal(stream)}, {literal(text)})"
        for (source, stream), text in texts.items()
    )
    declared = f"(values {rows}) as declared (source, stream, declaration)"
    statements = [
        f"update {CURSORS} as cursors set declaration = declared.declaration from {declared}"
        " where (cursors.source, cursors.stream) = (declared.source, declared.stream)"
        " and cursors.declaration is distinct from declared.declaration",
        f"update {CURSORS} set declaration = null where declaration is not null"
        f" and (source, stream) not in (select (source, stream) from {declared})",
    ]
    if is_new:
        # Of two first runs only one may commit: DuckLake compares what both alter, not what both
        # insert.
        statements += [
            f"comment on table {CURSORS} is 'One row for each declared stream.'",
            f"insert into {CURSORS} select source, stream, null, 0, 0, 0, 0, 0, 0, null, null,"
            f" declaration from {declared} anti join {CURSORS} using (source, stream)",
        ]
    return "; ".join(statements)


def check_landing(lake: Lake) -> Iterator[str]:
    """Warnings of stream folders that no source declares: files land there that nobody feeds.

    Raises:
        Unreachable: The landing zone cannot be read.
    """
    declared = lake.fetch(f"select source, stream from {CURSORS} where declaration is not null")
    for source, stream in lake.landing.streams():
        if (source, stream) not in declared:
            yield (
                f"Files land in {source}/{stream}, but no source declares that stream, so nothing "
                f"feeds them. Declare it (lake discover --add {source}.{stream}) or remove "
                "the folder."
            )
