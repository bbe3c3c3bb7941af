"""Builds the selected models and their tests on each save, in one process.

What makes a build start slowly is importing dbt and parsing the whole project; here both are done
once. It builds on a branch of its own, so that the lake stays what a pull request is compared with.
Between two builds the lake is closed, so nothing that others do to it is in the way.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from watchfiles import Change, DefaultFilter, watch

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import printable
from lotus_lake.scheduler.build import close_duckdb
from lotus_lake.settings import folders, project_folder

_WAITING = "Waiting for a save; Ctrl-C leaves."


class ProjectFiles(DefaultFilter):
    """Files that a build depends on; pytest's own below tests/ are none."""

    def __call__(self, change: Change, path: str) -> bool:
        """Whether the change of a file is one of the project."""
        return path.endswith((".sql", ".yml", ".yaml", ".csv", ".md")) and super().__call__(
            change, path
        )


def run(lake: LakeConfig, select: str) -> None:
    """Build what dbt's ``--select`` names once, then after each save, until Ctrl-C: on the branch
    of the environment, else on one called ``watch_`` and the user's name, which is made if needed.

    Raises:
        LakeError: What is named selects nothing at the start, or there is no lake to branch.
    """
    branch = lake if lake.branch else lake.of_branch(f"watch_{branches.user()}")
    if lake.branch:
        branches.require(branch)
    elif not branches.find(branch):
        branches.create(lake, branch.branch)
    os.environ |= branch.branch_environment
    _say(
        f"Building {select} on branch {branch.branch}, now and on each save. "
        f"To drop it: lake branch drop {branch.branch}"
    )
    project = project_folder()
    watched = [project / name for paths in folders(project).values() for name in paths]
    watched.append(project / "dbt_project.yml")
    from dbt.cli.main import dbtRunner

    runner = dbtRunner()
    # Also where a shell has started it in the background, for which it ignores Ctrl-C's signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # The watching begins before the first build, so that no save is missed during it.
        saves = watch(
            *(path for path in watched if path.exists()),
            watch_filter=ProjectFiles(),
            # Editors write a file in several steps; a pause of this many milliseconds ends a save.
            debounce=300,
            step=100,
            rust_timeout=200,
            yield_on_timeout=True,
        )
        next(saves)
        done = _build(runner, select)
        if done.success and not getattr(done.result, "results", ()):
            raise LakeError(f"{select} selects nothing; `dbt ls` lists what there is.")
        _say(_WAITING)
        for changed in filter(None, saves):
            names = sorted({Path(path).name for _, path in changed})
            _say(f"\nSaved: {printable(', '.join(names))}")
            _build(runner, select)
            _say(_WAITING)
    except KeyboardInterrupt:
        _say("\nNo longer watching.")


def _build(runner: Any, select: str) -> Any:
    """Run ``dbt build`` in this process; what was parsed before is parsed only where it changed."""
    result = runner.invoke(["build", "--select", select])
    # dbt-duckdb keeps its DuckDB for the process's life: it would hold the catalog's file open.
    close_duckdb()
    if isinstance(result.exception, KeyboardInterrupt):
        raise result.exception
    return result


def _say(line: str) -> None:
    print(line, flush=True)
