"""Which values a diff may show: none of columns with personal data, nor of undeclared ones.

A column is shown if it is declared, is not nested, and has no ``meta: {personal: true}``, nor has a
column of the same name in a table that the model reads. Of all others only counts are shown.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lotus_lake.config import LakeError

HIDDEN = "•••"

Shown = Mapping[str, Collection[str]]

# Errors of DuckDB that quote a value; its others quote names.
_OF_A_VALUE = re.compile(r"(Conversion|Invalid Input|Out of Range|Constraint) Error")
_VALUE = re.compile(r"['\"].*['\"]", re.DOTALL)


def read_manifest(manifest: Path) -> dict[str, Any]:
    """dbt's ``manifest.json``.

    Raises:
        LakeError: It is not there.
    """
    try:
        content: dict[str, Any] = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise LakeError(f"{manifest} cannot be read ({error}): run `dbt parse`.") from error
    return content


def shown(*manifests: Path) -> dict[str, set[str]]:
    """The columns that may be shown, by table; a column that any manifest hides is hidden.

    Raises:
        LakeError: A manifest is not there.
    """
    allowed, hidden = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for path in manifests:
        manifest = read_manifest(path)
        tables = {**manifest["sources"], **manifest["nodes"]}
        for node in manifest["nodes"].values():
            if node["resource_type"] not in ("model", "snapshot", "seed"):
                continue
            inputs = node["depends_on"].get("nodes", ())
            for table in (node, *(tables[name] for name in inputs if name in tables)):
                for name, column in table.get("columns", {}).items():
                    which = hidden if _is_hidden(column) else allowed
                    which[node["alias"]].add(name)
    return {table: columns - hidden[table] for table, columns in allowed.items()}


def without_values(message: str) -> str:
    """A message of dbt about a node that failed, without a value that DuckDB found wrong.

    The value may have quotes and line breaks of its own: all from the first quote to the last goes.
    """
    if not _OF_A_VALUE.search(message):
        return message
    # dbt indents what DuckDB says. The code has quotes, too.
    lines = re.fullmatch(r"(.*)(\n\s*LINE \d+: .*)", message, flags=re.DOTALL)
    # Without a value before it, the line is the value's own.
    said, code = lines.groups() if lines and _VALUE.search(lines[1]) else (message, "")
    return _VALUE.sub(f"'{HIDDEN}'", said) + code


def meta_of(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The ``meta`` of a node or column of dbt's manifest, wherever it is written."""
    config = declared.get("config") or {}
    return {**(declared.get("meta") or {}), **(config.get("meta") or {})}


def is_personal(column: Mapping[str, Any]) -> bool:
    """Whether a column, as dbt's manifest has it, is marked as personal data."""
    return bool(meta_of(column).get("personal"))


def _is_hidden(column: Mapping[str, Any]) -> bool:
    # A nested value has fields that nobody declared.
    nested = re.search(r"\b(struct|map|json)\b", column.get("data_type") or "", re.IGNORECASE)
    return is_personal(column) or bool(nested)
