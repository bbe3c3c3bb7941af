"""What a pull request changes: its models built on a branch of the lake, twice, and compared.

1. A new branch of the lake.
2. The models that the pull request changes, and everything downstream of them, built on it as the
   next tick would: incrementally where that is how they are built. Their tests run.
3. The tables after 2 beside the lake's, as they were at the moment of branching.
4. The changed models again with --full-refresh: both ways have to give the same tables.

Each dbt command is a process of its own: with a SQLite catalog, Python's SQLite and DuckDB's must
not have it open in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.diff.compare import compare
from lotus_lake.diff.metrics import compare_metrics
from lotus_lake.diff.personal import shown, without_values
from lotus_lake.diff.results import LakeDiff, Problem
from lotus_lake.diff.sides import keys, opened
from lotus_lake.scheduler.artifacts import MANIFEST, RUN_RESULTS
from lotus_lake.scheduler.store import Store
from lotus_lake.wording import counted

_BAD = ("error", "fail", "runtime error")


class PullRequest:
    """The steps, over one lake; dbt's own artefacts go to ``out``."""

    def __init__(self, lake: LakeConfig, name: str, out: Path) -> None:
        self._lake = lake
        self._branch = lake.of_branch(name)
        self._out = out
        self._state = out / "state"

    def run(self) -> LakeDiff:
        """All steps; what the change does.

        Raises:
            LakeError: There is no lake, or nobody published what its models are.
        """
        self._fetch_state()
        if branches.find(self._branch):
            branches.drop(self._lake, self._branch.branch)
        branch = branches.create(self._lake, self._branch.branch)
        _say(f"branch {branch.name} of snapshot {branch.base_snapshot}")
        results, problems = self._dbt("build", "--select", "state:modified+")
        changed = self._changed_models() if results else []
        diff = self._compare()
        diff.problems = problems
        skipped = [
            result["unique_id"].split(".", 2) for result in results if result["status"] == "skipped"
        ]
        diff.unbuilt = [name for kind, _, name in skipped if kind in ("model", "seed", "snapshot")]
        if changed and not problems:
            _, problems = self._dbt("run", "--full-refresh", "--select", *changed)
            diff.problems = [replace(one, node=f"{one.node} (full refresh)") for one in problems]
            diff.full_refresh = None if problems else self._compare(diff, changed)
        return diff

    def _fetch_state(self) -> None:
        """The manifest that the lake was built with: what `state:modified` compares with."""
        url = artifacts_url(self._lake)
        content = Store(url).read(MANIFEST)
        if content is None:
            raise LakeError(
                f"There is no {MANIFEST} at {url}, so nothing says what the lake's models are now. "
                "The scheduler publishes it to LAKE_ARTIFACTS_URL, and so does `make build`."
            )
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / MANIFEST).write_bytes(content)

    def _changed_models(self) -> list[str]:
        """The models whose own code or configuration is another, feeders excepted."""
        listed = self._command(
            "ls", "--quiet", "--select", "state:modified", "--exclude", "lotus_lake.landing",
            "--resource-type", "model", "--output", "name", stdout=subprocess.PIPE,
        )  # fmt: skip
        return listed.stdout.split()

    def _compare(self, first: LakeDiff | None = None, only: Sequence[str] = ()) -> LakeDiff:
        """The branch beside the lake, or beside itself as it was in a first comparison."""
        # Where dbt could not read this checkout it has no manifest. The lake's own counts too: a
        # pull request cannot show what that hides.
        manifests = [
            folder / MANIFEST for folder in (self._out, self._state) if (folder / MANIFEST).exists()
        ]
        with opened(self._lake, self._branch.branch) as (connection, before, after):
            if first:
                before = replace(after, snapshot=first.after.snapshot, label="the first build")
            found = compare(connection, before, after, keys(manifests[0]), shown(*manifests), only)
            if not first:
                semantic_manifest = self._out / "semantic_manifest.json"
                found.metrics = compare_metrics(connection, found, semantic_manifest)
            return found

    def _dbt(self, command: str, *arguments: str) -> tuple[list[dict[str, Any]], list[Problem]]:
        """Run dbt: the results of its nodes, and the problems among them."""
        path = self._out / RUN_RESULTS
        path.unlink(missing_ok=True)
        done = self._command(command, *arguments)
        results = json.loads(path.read_bytes())["results"] if path.exists() else []
        problems = [
            Problem(
                result["unique_id"].split(".", 2)[2],
                without_values((result.get("message") or result["status"]).strip())[:1500],
            )
            for result in results
            if result["status"] in _BAD
        ]
        if done.returncode and not problems:
            stopped = "it stopped before its first node; what it printed says why"
            problems = [Problem(f"dbt {command}", stopped)]
        _say(
            f"dbt {command} {' '.join(arguments)}: {counted(len(results), 'node')}, "
            f"{len(problems)} failed"
        )
        return results, problems

    def _command(
        self, *arguments: str, stdout: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("dbt")),
                *arguments,
                *("--state", str(self._state), "--target-path", str(self._out)),
            ],
            env={**os.environ, **self._branch.branch_environment, "DBT_USE_COLORS": "false"},
            stdout=stdout,
            text=True,
            check=False,
        )


def _say(line: str) -> None:
    print(f"pr: {line}", flush=True)


def keep_manifest(lake: LakeConfig, target: Path) -> None:
    """Keep the manifest of a build that ended well, for later pull requests to compare with.

    Raises:
        LakeError: It cannot be written.
    """
    if not lake.branch:
        Store(artifacts_url(lake)).write(MANIFEST, (target / MANIFEST).read_bytes())


def artifacts_url(lake: LakeConfig) -> str:
    """Where the artefacts of the lake's last build are.

    Raises:
        LakeError: There is no place for them beside the data, and no variable that names one.
    """
    return os.environ.get("LAKE_ARTIFACTS_URL") or lake.beside_data("artifacts")
