"""Objects and lists as text that does not tell by which types they came to be text."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import duckdb
import pyarrow as pa

# The SQL function that the feeder registers.
PLAIN_JSON = "plain_json"
# From here on a double does not hold every whole number.
LAST_EXACT_INTEGER = 2**53
_NOT_A_TEXT = re.compile(r"-?\d[\d.eE+-]*|true|false|\{.*\}|\[.*\]", re.DOTALL)
_REGISTERING = threading.Lock()
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the function on a DuckDB instance, unless it has it."""
    with _REGISTERING:
        try:
            connection.create_function(  # type: ignore[call-overload]
                PLAIN_JSON,
                _plain_jsons,
                ["VARCHAR"],
                "VARCHAR",
                type="arrow",
                null_handling="special",
            )
        except (duckdb.CatalogException, duckdb.NotImplementedException):
            pass  # it is there


def _plain_jsons(documents: pa.ChunkedArray) -> pa.Array:
    """A call for each value would take DuckDB ten times as long."""
    return pa.array([plain_json(document) for document in documents.to_pylist()], pa.string())


def plain_json(document: str | None) -> str | None:
    """The text of a JSON document: keys sorted, members without a value left out.

    A text in it that is a number, a truth value, an object or a list, written as here, stands
    without quotes: it may have been one before its column became text. A document that is a text is
    that text.
    """
    if document is None:
        return None
    value = json.loads(document)
    return value if value is None or isinstance(value, str) else _written(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < LAST_EXACT_INTEGER:
        return int(value)
    return _without_quotes(value) if isinstance(value, str) else value


def _without_quotes(text: str) -> Any:
    # Hardly any text is one: asking the parser about each would take ten times as long.
    if not _NOT_A_TEXT.fullmatch(text):
        return text
    try:
        value = _plain(json.loads(text))
    except (ValueError, RecursionError):
        return text
    return value if _written(value) == text else text
