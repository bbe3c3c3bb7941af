"""Functions that macros call from SQL: operations, and a transaction.

They return errors as text instead of raising them, so that a macro can show exactly that text.
"""

from __future__ import annotations

import json

import duckdb

from lotus_lake import races
from lotus_lake.config import LakeConfig
from lotus_lake.operations import operate


def register(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    """Register the functions on a DuckDB instance.

    - ``operate(operation, json)``: a JSON object with ``problem`` and ``warnings``, see
      :func:`lotus_lake.operations.operate`;
    - ``commit_to_lake(sql, message)``: runs statements in a transaction of their own, which begins
      again when another run was faster; what went wrong, or null.
    """

    # On connections of their own: the one that is calling is busy with the query it calls from.
    def commit_to_lake(sql: str, message: str) -> str | None:
        with connection.cursor() as other:
            return races.commit(other, sql, message)

    def operation(name: str, arguments: str) -> str:
        with connection.cursor() as other:
            return json.dumps(operate(other, config, name, arguments))

    for name, function in (("operate", operation), ("commit_to_lake", commit_to_lake)):
        connection.create_function(  # type: ignore[call-overload]
            name,
            function,
            ["VARCHAR", "VARCHAR"],
            "VARCHAR",
            null_handling="special",
            side_effects=True,
        )
