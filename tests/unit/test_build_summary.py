"""The closing table of `make build`."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from lotus_lake.config import LakeConfig
from lotus_lake.status import LakeStatus, StreamStatus
from scripts.build_summary import Results, summary

CONFIG = LakeConfig("raw", "sqlite:catalog.sqlite", "data/")


def results(tmp_path: Path, *outcomes: tuple[str, str, str]) -> Results:
    """What dbt would have written of nodes with these kinds, outcomes and messages."""
    path = tmp_path / "run_results.json"
    path.write_text(
        json.dumps(
            {
                "results": [
                    {"unique_id": f"{kind}.lotus_lake.one", "status": status, "message": message}
                    for kind, status, message in outcomes
                ]
            }
        )
    )
    read = Results.read(path)
    assert read
    return read


def stream(files: int, rows: int, waiting: int = 0, quarantined: int = 0) -> StreamStatus:
    """A stream with these figures."""
    at = datetime(2025, 3, 10, tzinfo=UTC)
    return StreamStatus(
        "shopify.orders", None, files, rows, waiting, 9, quarantined, None, None, at, at
    )


def lines(found: Results | None, lake: LakeStatus | None) -> dict[str, str]:
    """The table as it is shown: first column to second."""
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(summary(found, lake, CONFIG))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue().splitlines()
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in shown)


def test_a_build_that_went_well(tmp_path: Path) -> None:
    found = results(
        tmp_path,
        ("operation", "success", "passed"),
        ("model", "success", "OK"),
        ("model", "success", "SKIP (nothing that it reads has changed)"),
        ("seed", "success", "OK"),
        ("test", "pass", ""),
        ("unit_test", "pass", ""),
        ("test", "warn", "Got 2 results"),
    )
    lake = LakeStatus([stream(3, 1_000), stream(4, 234)], [])

    shown = lines(found, lake)

    assert shown == {
        "landing": "raw",
        "streams": "2",
        "files fed": "7",
        "rows": "1,234",
        "models": "2 built, 1 unchanged",
        "tests": "2 pass, 1 warn",
        "lake": "sqlite:catalog.sqlite, data in data/",
        "next": "make status · make docs · README.md",
    }


def test_failures_are_counted_and_change_what_is_next(tmp_path: Path) -> None:
    found = results(
        tmp_path,
        ("model", "error", "Runtime Error"),
        ("model", "skipped", ""),
        ("test", "fail", "Got 1 result"),
        ("test", "error", "Database Error"),
    )

    shown = lines(found, None)

    assert shown["models"] == "0 built, 1 failed, 1 skipped"
    assert shown["tests"] == "0 pass, 2 fail"
    assert "docs/operations.md" in shown["next"]
    assert "streams" not in shown


def test_what_waits_and_what_is_bad_is_told(tmp_path: Path) -> None:
    shown = lines(results(tmp_path), LakeStatus([stream(3, 1, waiting=5, quarantined=2)], []))

    assert shown["files fed"] == "3, 5 wait for the next run, 2 in quarantine"


@pytest.mark.parametrize("content", [None, "", "{}", "not json"])
def test_a_build_that_never_began(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "run_results.json"
    if content is not None:
        path.write_text(content)

    assert Results.read(path) is None
    assert "docs/operations.md" in lines(None, None)["next"]
