"""Print what the last `dbt build` left: the closing lines of `make build`.

Reads the lake and target/run_results.json. Always exits with 0: the build's own exit code counts.
When all went well, it keeps the manifest, beside the lake or where LAKE_ARTIFACTS_URL says: that is
what `make pr` compares with.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from lotus_lake import status
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import plain
from lotus_lake.pull_request import artifacts_url
from lotus_lake.scheduler import artifacts

_TESTS = ("test", "unit_test")


@dataclass(frozen=True)
class Results:
    """What `target/run_results.json` says.

    Args:
        models: Outcomes of models, seeds and snapshots: ``built``, ``unchanged``, ``failed`` or
            ``skipped``, with their numbers.
        tests: Outcomes of tests: ``pass``, ``warn``, ``fail`` or ``skipped``, with their numbers.
    """

    models: Counter[str]
    tests: Counter[str]

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed."""
        return not self.models["failed"] and not self.tests["fail"]

    @classmethod
    def read(cls, path: Path) -> Results | None:
        """Read them; None when there are none, because dbt stopped before its first node."""
        try:
            results = json.loads(path.read_text())["results"]
        except (OSError, ValueError, KeyError):
            return None
        models: Counter[str] = Counter()
        tests: Counter[str] = Counter()
        for result in results:
            kind = result["unique_id"].split(".")[0]
            if kind in _TESTS:
                tests[_test_outcome(result)] += 1
            elif kind in ("model", "seed", "snapshot"):
                models[_model_outcome(result)] += 1
        return cls(models, tests)


def _test_outcome(result: dict[str, Any]) -> str:
    outcome: str = {"error": "fail", "runtime error": "fail"}.get(
        result["status"], result["status"]
    )
    return outcome


def _model_outcome(result: dict[str, Any]) -> str:
    if result["status"] == "success":
        return "unchanged" if str(result["message"]).startswith("SKIP (") else "built"
    return "skipped" if result["status"] == "skipped" else "failed"


def summary(results: Results | None, lake: status.LakeStatus | None, config: LakeConfig) -> Table:
    """The closing table.

    Args:
        results: What dbt did, or None.
        lake: What the lake says, or None when it cannot be read.
        config: Where the lake lies.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("landing", plain(config.landing_url))
    if lake:
        streams = lake.streams
        quarantined = sum(stream.quarantined for stream in streams)
        waiting = sum(stream.backlog_files for stream in streams)
        table.add_row("streams", f"{len(streams):,}")
        table.add_row(
            "files fed",
            f"{sum(stream.files for stream in streams):,}"
            + (f", {waiting:,} wait for the next run" if waiting else "")
            + (f", [bold red]{quarantined:,} in quarantine[/]" if quarantined else ""),
        )
        table.add_row("rows", f"{sum(stream.rows for stream in streams):,}")
    if results:
        table.add_row(
            "models", _counts(results.models, ("built", "unchanged", "failed", "skipped"))
        )
        table.add_row("tests", _counts(results.tests, ("pass", "warn", "fail", "skipped")))
    table.add_row("lake", plain(f"{config.catalog_name}, data in {config.data_url}"))
    table.add_row(
        "next",
        "make status · make docs · README.md"
        if results and results.succeeded
        else "mend what dbt says above (docs/operations.md), then run it again",
    )
    return table


def _counts(counts: Counter[str], names: tuple[str, ...]) -> str:
    return ", ".join(
        f"[bold red]{counts[name]:,} {name}[/]"
        if name.startswith("fail")
        else f"{counts[name]:,} {name}"
        for name in names
        if counts[name] or name == names[0]
    )


def main() -> int:
    """Print the table; what cannot be read is left out of it."""
    try:
        config = LakeConfig.from_env()
    except LakeError:
        return 0  # dbt has said so already
    try:
        lake = status.read(config)
    except LakeError:
        lake = None
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    results = Results.read(target / artifacts.RUN_RESULTS)
    console = Console(highlight=False)
    if results and results.succeeded and not config.branch:
        manifest = artifacts.read(target, artifacts.MANIFEST)
        problem = manifest and artifacts.publish(
            artifacts_url(config), {artifacts.MANIFEST: manifest}
        )
        if problem:
            console.print(plain(f"The manifest is not kept for `make pr`: {problem}"))
    console.print()
    console.print(summary(results, lake, config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
