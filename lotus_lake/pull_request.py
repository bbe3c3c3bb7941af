"""What a pull request changes: its models built on a branch of the lake, twice, and compared.

1. A new branch of the lake.
2. The models that the pull request changes, and everything downstream of them, built on it as the
   next tick would: incrementally where that is how they are built. Their tests run.
3. The changed models again with --full-refresh: both ways have to give the same tables.
4. The tables after 2 beside the lake's, as they were at the moment of branching.

Each dbt command is a process of its own: with a SQLite catalog, Python's SQLite and DuckDB's must
not have it open in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.diff.compare import compare
from lotus_lake.diff.personal import Shown, shown, without_values
from lotus_lake.diff.report import markdown, page
from lotus_lake.diff.results import LakeDiff
from lotus_lake.diff.sides import keys, opened
from lotus_lake.diff.verdict import Problem, Verdict
from lotus_lake.scheduler.artifacts import MANIFEST, RUN_RESULTS
from lotus_lake.scheduler.exits import Exit
from lotus_lake.scheduler.store import open_store

_BAD = ("error", "fail", "runtime error")
_SELECTED = ("--select", "state:modified+")


@dataclass
class Outcome:
    """What came of it.

    Args:
        name: The branch.
        diff: What is different; None when the build left nothing to compare.
        verdict: Whether both ways of building agree; None when no model was changed.
        problems: Nodes that failed, with what they say.
        unbuilt: Models that were not built, since what they need failed.
    """

    name: str
    diff: LakeDiff | None = None
    verdict: Verdict | None = None
    problems: list[Problem] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)

    @property
    def exit(self) -> Exit:
        """What to exit with."""
        agrees = self.verdict is None or self.verdict.agrees
        return Exit.FAILED if self.problems or not agrees else Exit.OK


class PullRequest:
    """The steps, over one lake.

    Args:
        lake: The lake itself.
        name: What to call the branch; one of that name is dropped first.
        out: Folder for reports and for dbt's own artefacts.
        say: Takes a line about each step.
    """

    def __init__(
        self, lake: LakeConfig, name: str, out: Path, say: Callable[[str], None] = print
    ) -> None:
        self._lake = lake
        self._branch = lake.of_branch(name)
        self._out = out
        self._say = say
        self._state = out / "state"

    def run(self) -> Outcome:
        """All steps, and the reports ``report.md`` and ``report.html``.

        Raises:
            LakeError: There is no lake, or nobody published what its models are.
        """
        started = time.monotonic()
        outcome = Outcome(self._branch.branch)
        self._fetch_state()
        if branches.find(self._branch):
            branches.drop(self._lake, self._branch.branch)
        made = branches.create(self._lake, self._branch.branch)
        self._say(f"branch {made.name} of snapshot {made.base_snapshot}")
        built = self._dbt("build", *_SELECTED)
        outcome.problems, outcome.unbuilt = built.problems, built.unbuilt
        changed = self._changed_models() if built.nodes else []
        with opened(self._lake, made.name) as (connection, before, after):
            outcome.diff = compare(connection, before, after, self._keys(), self._shown())
        if changed and not built.problems:
            self._build_again(changed, outcome)
        self._write(outcome)
        self._say(f"done in {time.monotonic() - started:.0f} s")
        return outcome

    def _fetch_state(self) -> None:
        """The manifest that the lake was built with: what `state:modified` compares with."""
        url = artifacts_url(self._lake)
        content = open_store(url).read(MANIFEST)
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
            "--resource-type", "model", "--output", "name",
        )  # fmt: skip
        return listed.stdout.split()

    def _build_again(self, changed: Sequence[str], outcome: Outcome) -> None:
        """The full refresh: whether it agrees, or what failed in it."""
        assert outcome.diff
        rebuilt = self._dbt("run", "--full-refresh", "--select", *changed)
        if rebuilt.problems:
            outcome.problems = [
                replace(one, node=f"{one.node} (full refresh)") for one in rebuilt.problems
            ]
            return
        with opened(self._lake, self._branch.branch) as (connection, _, after):
            first = replace(after, snapshot=outcome.diff.after.snapshot, label="the first build")
            second = replace(after, label="the full refresh")
            again = compare(connection, first, second, self._keys(), self._shown(), changed)
        outcome.verdict = Verdict.of(again)
        self._say(outcome.verdict.sentence)

    def _keys(self) -> dict[str, list[str]]:
        return keys(self._manifests()[0])

    def _shown(self) -> Shown:
        # A pull request cannot show what the lake's own project hides.
        return shown(*self._manifests())

    def _manifests(self) -> list[Path]:
        # There is none of this checkout where dbt could not read it.
        paths = (self._out / MANIFEST, self._state / MANIFEST)
        return [path for path in paths if path.exists()]

    def _write(self, outcome: Outcome) -> None:
        assert outcome.diff
        for name, render in (("report.md", markdown), ("report.html", page)):
            (self._out / name).write_text(
                render(outcome.diff, outcome.verdict, outcome.problems, outcome.unbuilt)
            )

    def _dbt(self, command: str, *arguments: str) -> _Ran:
        started = time.monotonic()
        results = self._out / RUN_RESULTS
        results.unlink(missing_ok=True)
        done = self._command(command, *arguments, capture=False)
        ran = _Ran.read(results)
        if done.returncode and not ran.problems:
            ran.problems.append(
                Problem(
                    f"dbt {command}", "it stopped before its first node; what it printed says why"
                )
            )
        self._say(
            f"dbt {command} {' '.join(arguments)}: {ran.nodes} nodes, {len(ran.problems)} failed, "
            f"{time.monotonic() - started:.0f} s"
        )
        return ran

    def _command(
        self, command: str, *arguments: str, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("dbt")),
                command,
                *arguments,
                *("--state", str(self._state), "--target-path", str(self._out)),
            ],
            env={
                **os.environ,
                "DBT_TARGET": "pr",
                "LAKE_BRANCH": self._branch.branch,
                "DBT_USE_COLORS": "false",
                **self._places(),
            },
            stdout=subprocess.PIPE if capture else None,
            text=True,
            check=False,
        )

    def _places(self) -> dict[str, str]:
        """Where the lake lies: the defaults of its target are not those of target pr."""
        return {
            "LAKE_LANDING_URL": self._lake.landing_url,
            "LAKE_CATALOG": self._lake.catalog,
            "LAKE_DATA_URL": self._lake.data_url,
        }


@dataclass
class _Ran:
    nodes: int
    problems: list[Problem]
    unbuilt: list[str]

    @classmethod
    def read(cls, results: Path) -> _Ran:
        try:
            found: list[dict[str, Any]] = json.loads(results.read_bytes())["results"]
        except (OSError, ValueError):
            return cls(0, [], [])
        problems = [
            Problem(
                result["unique_id"].split(".", 2)[2],
                without_values((result.get("message") or result["status"]).strip())[:1500],
            )
            for result in found
            if result["status"] in _BAD
        ]
        unbuilt = [
            name
            for kind, _, name in (
                result["unique_id"].split(".", 2)
                for result in found
                if result["status"] == "skipped"
            )
            if kind in ("model", "seed", "snapshot")
        ]
        return cls(len(found), problems, unbuilt)


def artifacts_url(lake: LakeConfig) -> str:
    """Where the artefacts of the lake's last build are.

    Raises:
        LakeError: There is no place for them beside the data, and no variable that names one.
    """
    return os.environ.get("LAKE_ARTIFACTS_URL") or lake.beside_data("artifacts")
