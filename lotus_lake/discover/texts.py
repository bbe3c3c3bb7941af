"""Types of what is written as text: CSV has no others, and JSON has no times."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from lotus_lake.probe import Probe, Prober
from lotus_lake.schema import Type, convert, literal, quote

# How each type is written. Stricter than what the feeder takes: `007` and `+49 30 1234` are names
# made of digits, and as numbers they would not be the same. The first that fits all values wins.
_WRITTEN = {
    "BIGINT": r"-?(0|[1-9]\d*)",
    "DOUBLE": r"-?(0|[1-9]\d*)(\.\d+)?",
    "BOOLEAN": "true|false",
    "DATE": r"\d{4}-\d{2}-\d{2}",
    "TIMESTAMP WITH TIME ZONE": (
        r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?"
    ),
}


def written_types(
    connection: duckdb.DuckDBPyConnection, prober: Prober, probe: Probe, columns: Sequence[str]
) -> dict[str, Type]:
    """What each of a file's text columns holds, going by all of its values.

    Args:
        connection: DuckDB connection.
        prober: What reads the file.
        probe: The file.
        columns: Its text columns.

    Returns:
        The type of each column, ``NULL`` of one that is empty.
    """
    if not columns:
        return {}
    checks = [
        check
        for column in map(quote, columns)
        for check in (f"count({column})", *(_fit(column, name) for name in _WRITTEN))
    ]
    found = connection.execute(
        f"select {', '.join(checks)} from {prober.relation([probe])}"
    ).fetchone()
    answers = iter(found or ())
    types = {}
    for column in columns:
        values = next(answers)
        fitting = [name for name in _WRITTEN if next(answers)]
        types[column] = Type.scalar([*fitting, "VARCHAR"][0] if values else "NULL")
    return types


def _fit(value: str, name: str) -> str:
    """SQL that is true when every text of a column is a value of a type."""
    exact = convert(value, Type.scalar("VARCHAR"), Type.scalar(name)).exact
    is_written = f"regexp_full_match({value}, {literal(_WRITTEN[name])})"
    return f"bool_and({value} is null or ({is_written} and {exact}))"
