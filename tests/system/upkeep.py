"""What tests of history, maintenance and backups share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.connection import extension_file
from tests.system.lake import Build, Lake


@contextmanager
def writing(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can write the lake, as a careless colleague has one."""
    with duckdb.connect() as connection:
        for name in ("sqlite_scanner", "postgres_scanner", "ducklake"):
            connection.execute(f"load '{extension_file(name)}'")
        connection.execute("set TimeZone = 'UTC'")
        options = f"({lake._branch.lstrip(', ')})" if lake._branch else ""
        connection.execute(f"attach 'ducklake:{lake._catalog}' as lakehouse {options}")
        connection.execute("use lakehouse")
        yield connection


def operation(
    lake: Lake, name: str, variables: dict[str, Any] | None = None, /, **arguments: Any
) -> Build:
    """Run an operation to its end."""
    return lake.build(
        name, "--args", json.dumps(arguments), command="run-operation", variables=variables
    )


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder, and its size."""
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
