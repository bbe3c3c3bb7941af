"""Functions that macros call from SQL: the landing zone, the lake's branches, a transaction.

They return errors as text instead of raising them, so that a macro can show exactly that text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import duckdb
import pyarrow as pa

from lotus_lake import branches, races
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import CONNECT_CONFIG
from lotus_lake.landing import LandedFile, Landing, open_landing
from lotus_lake.maintenance import keep_up, maintain, remove_orphans
from lotus_lake.probe import Limits, Prober, Unreadable
from lotus_lake.streams import Stream

_STREAMS = pa.list_(pa.struct([("source", pa.string()), ("stream", pa.string())]))
_FILES = pa.list_(
    pa.struct(
        [
            ("path", pa.string()),
            ("etag", pa.string()),
            ("size_bytes", pa.int64()),
            ("last_modified", pa.timestamp("us", "UTC")),
            ("uri", pa.string()),
        ]
    )
)
# Files that were fed are within the limits that their stream had then.
_AS_FED = Limits(depth=200, columns=10**5, ratio=10**6, value_bytes=1 << 30, seconds=10**6)
_FOOTER = pa.struct([("row_count", pa.int64()), ("reason", pa.string())])
_UPKEEP = pa.struct([("lines", pa.string()), ("problem", pa.string())])
_BRANCHES = pa.list_(
    pa.struct(
        [
            ("name", pa.string()),
            ("base_snapshot", pa.int64()),
            ("created_at", pa.timestamp("us", "UTC")),
            ("created_by", pa.string()),
            ("problem", pa.string()),
        ]
    )
)


def register(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    """Register the functions on a DuckDB instance.

    - ``declaration_problem(json)``: what is wrong with a stream's declaration, or null;
    - ``landing_problem(any)``: why the landing zone cannot be read, or null;
    - ``landing_streams(any)``: list of (source, stream), the stream folders that are there;
    - ``landing_files(folder)``: list of (path, etag, size_bytes, last_modified, uri);
    - ``landed_rows(path, size)``: (row_count, reason), what the file itself says;
    - ``lake_branches(any)``: list of (name, base_snapshot, created_at, created_by, problem): the
      branches, and with nothing but a problem what lies in their place;
    - ``create_branch(name)``, ``drop_branch(name)``: what went wrong, or null;
    - ``maintain_lake(json)``, ``keep_up_lake(json)``, ``remove_orphans(json)``: (lines, problem), a
      JSON list of what was done and what went wrong, or null; see lotus_lake/maintenance.py;
    - ``commit_to_lake(sql, message)``: runs statements in a transaction of their own, which begins
      again when another run was faster; what went wrong, or null.
    """
    functions = _LandingFunctions(config)
    branching = _BranchFunctions(config)
    varchar = "VARCHAR"

    def commit_to_lake(sql: str, message: str) -> str | None:
        # One of its own: the one that is calling is busy with the query it calls from.
        with connection.cursor() as other:
            return races.commit(other, sql, message)

    def maintenance(do: Callable[..., Iterable[str]]) -> Callable[[str], dict[str, str | None]]:
        def run(settings: str) -> dict[str, str | None]:
            lines: list[str] = []
            try:
                with connection.cursor() as other:
                    lines.extend(do(other, **json.loads(settings)))
            except (LakeError, duckdb.Error) as error:
                return {"lines": json.dumps(lines), "problem": str(error)}
            return {"lines": json.dumps(lines), "problem": None}

        return run

    upkeep = (
        (name, maintenance(do), [varchar], "STRUCT(lines VARCHAR, problem VARCHAR)", _UPKEEP)
        for name, do in (
            ("maintain_lake", maintain),
            ("keep_up_lake", keep_up),
            ("remove_orphans", remove_orphans),
        )
    )
    functions_of_the_lake: list[tuple[str, Callable[..., Any], list[str], str, Any]] = [
        *upkeep,
        ("declaration_problem", _Declarations().problem, [varchar], varchar, pa.string()),
        ("landing_problem", functions.problem, [varchar], varchar, pa.string()),
        (
            "landing_streams",
            functions.streams,
            [varchar],
            "STRUCT(source VARCHAR, stream VARCHAR)[]",
            _STREAMS,
        ),
        (
            "landing_files",
            functions.files,
            [varchar],
            "STRUCT(path VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ,"
            " uri VARCHAR)[]",
            _FILES,
        ),
        (
            "landed_rows",
            functions.rows,
            [varchar, "BIGINT"],
            "STRUCT(row_count BIGINT, reason VARCHAR)",
            _FOOTER,
        ),
        (
            "lake_branches",
            branching.branches,
            [varchar],
            "STRUCT(name VARCHAR, base_snapshot BIGINT, created_at TIMESTAMPTZ,"
            " created_by VARCHAR, problem VARCHAR)[]",
            _BRANCHES,
        ),
        ("create_branch", branching.create, [varchar], varchar, pa.string()),
        ("drop_branch", branching.drop, [varchar], varchar, pa.string()),
        ("commit_to_lake", commit_to_lake, [varchar, varchar], varchar, pa.string()),
    ]
    for name, function, parameters, result, arrow in functions_of_the_lake:
        connection.create_function(  # type: ignore[call-overload]
            name,
            _per_chunk(function, arrow, len(parameters)),
            parameters,
            result,
            type="arrow",
            null_handling="special",
            side_effects=True,  # the landing zone changes between two calls
        )


def _per_chunk(function: Callable[..., Any], arrow_type: pa.DataType, arity: int) -> Any:
    """DuckDB hands over columns, and asks how many; the functions take rows."""

    def apply(*columns: pa.ChunkedArray) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([function(*row) for row in rows], type=arrow_type)

    if arity == 1:
        return lambda first: apply(first)
    return lambda first, second: apply(first, second)


class _Declarations:
    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None

    def problem(self, declaration: str) -> str | None:
        if self._connection is None:
            # One of its own: the one that is calling is busy with the query it calls from.
            self._connection = duckdb.connect(config=dict(CONNECT_CONFIG))
        try:
            Stream.from_declaration(declaration).check_expressions(self._connection)
        except LakeError as error:
            return str(error)
        return None


class _BranchFunctions:
    def __init__(self, config: LakeConfig) -> None:
        self._config = config

    def branches(self, _: str) -> list[dict[str, Any]]:
        found, problems = branches.branches(self._config)
        return [*map(asdict, found), *({"problem": problem} for problem in problems)]

    def create(self, name: str) -> str | None:
        try:
            branches.create(self._config, name)
        except LakeError as error:
            return str(error)
        return None

    def drop(self, name: str) -> str | None:
        try:
            branches.drop(self._config, name)
        except LakeError as error:
            return str(error)
        return None


class _LandingFunctions:
    def __init__(self, config: LakeConfig) -> None:
        self._config = config

    def _landing(self) -> Landing:
        return open_landing(self._config.landing_url)

    def problem(self, _: str) -> str | None:
        try:
            self._landing().streams()
        except LakeError as error:
            return str(error)
        return None

    def streams(self, _: str) -> list[dict[str, str]]:
        found = self._landing().streams()
        return [{"source": source, "stream": stream} for source, stream in found]

    def files(self, folder: str) -> list[dict[str, Any]]:
        landing = self._landing()
        return [
            {
                "path": file.path,
                "etag": file.etag,
                "size_bytes": file.size,
                "last_modified": file.last_modified,
                "uri": f"{landing.root}{file.path}",
            }
            for file in landing.files(folder)
        ]

    def rows(self, path: str, size: int) -> dict[str, Any]:
        prober = Prober(self._landing(), _AS_FED)
        (_, found), *_ = prober.probe([LandedFile(path, "", size, LandedFile.EPOCH)])
        prober.clear()
        if isinstance(found, Unreadable):
            return {"row_count": None, "reason": str(found)}
        return {"row_count": found.rows, "reason": None}
