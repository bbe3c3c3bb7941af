"""What tests of history, maintenance and backups share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.connection import extension_file
from tests.system.lake import Lake

# Variables of maintenance: nothing is too young to expire or to be deleted.
AT_ONCE = {"snapshot_days": 0, "cleanup_delay_days": 0}


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


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder, and its size."""
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def odd_records() -> dict[str, str]:
    """What may lie where branches say when they were made, and holds no clean-up: by names."""
    good = {"base_snapshot": 1, "created_at": "2026-01-01T00:00:00+00:00", "created_by": "me"}

    def record(name: str, **values: Any) -> str:
        return json.dumps({"name": name, **good, **values})

    return {
        "text": "of another team",
        "empty": "",
        "null": "null",
        "number": "17",
        "list": '["name"]',
        "half": '{"name": "half"',
        "deep": "[" * 100_000,
        "huge": record("huge", created_by="x" * 1_000_000),
        "another": record("trial"),
        "null_date": record("null_date", created_at=None),
        "no_date": record("no_date", created_at="soon"),
        "number_date": record("number_date", created_at=1e300),
        "no_zone": record("no_zone", created_at="2026-01-01T00:00:00+99:99"),
        "before_time": record("before_time", created_at="0001-01-01T00:00:00+14:00"),
        "future": record("future", created_at="9999-12-31T23:59:59+00:00"),
        "after_time": record("after_time", created_at="9999-12-31T23:59:59-14:00"),
        "snapshot": record("snapshot", base_snapshot="1"),
        "big_snapshot": record("big_snapshot", base_snapshot=10**30),
        "nobody": record("nobody", created_by=None),
        "\x1b[2Jescape": record("\x1b[2Jescape"),
    }
