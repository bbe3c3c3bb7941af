"""The closing table of `make build`."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from lotus_lake.config import LakeConfig
from lotus_lake.status import LakeStatus, StreamStatus
from scripts.build_summary import Results, summary


def results(folder: Path, *outcomes: tuple[str, str, str]) -> Results | None:
    """What dbt would have written of nodes with these kinds, outcomes and messages."""
    nodes = [
        {"unique_id": f"{kind}.lotus_lake.one", "status": status, "message": message}
        for kind, status, message in outcomes
    ]
    path = folder / "run_results.json"
    path.write_text(json.dumps({"results": nodes}))
    return Results.read(path)


def shown(found: Results | None, *streams: StreamStatus) -> dict[str, str]:
    """The table as it is shown: first column to second."""
    output = io.StringIO()
    config = LakeConfig("raw", "sqlite:catalog.sqlite", "data/")
    lake = LakeStatus(list(streams), []) if streams else None
    Console(file=output, width=100, highlight=False).print(summary(found, lake, config))
    lines = output.getvalue().splitlines()
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines)


def test_what_was_done(tmp_path: Path) -> None:
    """What was fed, what waits, and how every node ended; what failed changes what is next."""
    outcomes = [
        ("operation", "success", "passed"),
        ("model", "success", "OK"),
        ("model", "success", "SKIP (nothing that it reads has changed)"),
        ("seed", "success", "OK"),
        ("test", "pass", ""),
        ("unit_test", "pass", ""),
        ("test", "warn", "Got 2 results"),
    ]
    at = datetime(2025, 3, 10, tzinfo=UTC)
    orders = StreamStatus("shopify.orders", None, 7, 1_234, 5, 9, 2, None, None, at, at)
    assert shown(results(tmp_path, *outcomes), orders) == {
        "landing": "raw",
        "streams": "1",
        "files fed": "7, 5 wait for the next run, 2 in quarantine",
        "rows": "1,234",
        "models": "2 built, 1 unchanged",
        "tests": "2 pass, 1 warn",
        "lake": "sqlite:catalog.sqlite, data in data/",
        "next": "make status · make docs · README.md",
    }
    outcomes += [("model", "error", ""), ("model", "skipped", ""), ("test", "error", "")]
    table = shown(results(tmp_path, *outcomes))
    assert table["models"] == "2 built, 1 unchanged, 1 failed, 1 skipped"
    assert table["tests"] == "2 pass, 1 warn, 1 fail"
    (tmp_path / "run_results.json").write_text("{")
    assert Results.read(tmp_path / "run_results.json") is None
    for said in (table, shown(None)):
        assert "docs/operations.md" in said["next"]
