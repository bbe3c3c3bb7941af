"""The closing table of `make build`."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from lotus_lake.build_summary import outcomes, summary
from lotus_lake.config import LakeConfig


def shown(folder: Path, *ended: tuple[str, str, str]) -> dict[str, str]:
    """The table without a lake, after nodes with these kinds, outcomes and messages."""
    nodes = [
        {"unique_id": f"{kind}.lotus_lake.one", "status": status, "message": message}
        for kind, status, message in ended
    ]
    results = folder / "run_results.json"
    results.write_text(json.dumps({"results": nodes}) if ended else "{")
    output = io.StringIO()
    config = LakeConfig("raw", f"sqlite:{folder}/catalog.sqlite", "data/")
    table = summary(config, outcomes(results))
    Console(file=output, width=200, highlight=False).print(table)
    lines = output.getvalue().splitlines()
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in lines)


def test_what_was_done(tmp_path: Path) -> None:
    """How every node ended; what failed, or never began, changes what is next."""
    ended = [
        ("operation", "success", "passed"),
        ("model", "success", "OK"),
        ("model", "success", "SKIP (nothing that it reads has changed)"),
        ("seed", "success", "OK"),
        ("test", "pass", ""),
        ("unit_test", "pass", ""),
        ("test", "warn", "Got 2 results"),
    ]
    table = shown(tmp_path, *ended)
    assert (table["models"], table["tests"]) == ("2 built, 1 unchanged", "2 pass, 1 warn")
    assert (table["landing"], table["next"]) == ("raw", "lake status · lake docs · README.md")
    failed = [("model", "error", ""), ("model", "skipped", ""), ("test", "error", "")]
    table = shown(tmp_path, *ended, *failed)
    assert table["models"] == "2 built, 1 unchanged, 1 failed, 1 skipped"
    assert table["tests"] == "2 pass, 1 warn, 1 failed"
    assert "docs/operations.md" in table["next"]
    assert "docs/operations.md" in shown(tmp_path)["next"]
