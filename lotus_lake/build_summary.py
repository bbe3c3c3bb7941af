"""The closing table of a build: what it left in the lake and in target/run_results.json.

What cannot be read is left out. When all went well, the manifest is kept, which `lake pr` compares
with.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import plain
from lotus_lake.pull_request import keep_manifest
from lotus_lake.status import read

# How a node ended, in the words of the table.
_ENDED = {"success": "built", "error": "failed", "fail": "failed", "runtime error": "failed"}


def outcomes(results: Path) -> dict[str, Counter[str]]:
    """How many models (with seeds and snapshots) and tests ended in which way; empty when dbt
    stopped before its first node."""
    try:
        nodes = json.loads(results.read_text())["results"]
    except (OSError, ValueError, KeyError):
        return {}
    counts: dict[str, Counter[str]] = {"models": Counter(), "tests": Counter()}
    for node in nodes:
        kind = node["unique_id"].split(".")[0]
        if kind not in ("model", "seed", "snapshot", "test", "unit_test"):
            continue
        ended = _ENDED.get(node["status"], node["status"])
        if str(node["message"]).startswith("SKIP ("):
            ended = "unchanged"
        counts["tests" if kind.endswith("test") else "models"][ended] += 1
    return counts


def summary(config: LakeConfig, counts: dict[str, Counter[str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("landing", plain(config.landing_url))
    try:
        streams = read(config)["streams"]
    except LakeError:
        pass
    else:
        files, rows, waiting, bad = (
            sum(stream[name] for stream in streams)
            for name in ("files_loaded", "rows_loaded", "backlog_files", "quarantined_files")
        )
        more = f", {waiting:,} waiting for the next run" if waiting else ""
        more += f", [bold red]{bad:,} in quarantine[/]" if bad else ""
        table.add_row("streams", f"{len(streams):,}")
        table.add_row("files fed", f"{files:,}{more}")
        table.add_row("rows", f"{rows:,}")
    for kind, ended in counts.items():
        table.add_row(kind, ", ".join(f"{count:,} {name}" for name, count in ended.items()))
    table.add_row("lake", plain(f"{config.catalog_name}, data in {config.data_url}"))
    failed = not counts or any(ended["failed"] for ended in counts.values())
    advice = "fix what dbt says above (docs/operations.md), then run it again"
    table.add_row("next", advice if failed else "lake status · lake docs · README.md")
    return table


def show(config: LakeConfig, target: Path) -> None:
    counts = outcomes(target / "run_results.json")
    console = Console(highlight=False)
    if counts and not any(ended["failed"] for ended in counts.values()):
        try:
            keep_manifest(config, target)
        except LakeError as error:
            console.print(plain(f"The manifest is not kept for `lake pr`: {error}"))
    console.print()
    console.print(summary(config, counts))
