"""Builds the selected models and their tests on each save, in one process.

What makes a build start slowly is importing dbt and parsing the whole project; here both are done
once. It builds on a branch of its own, so that the lake stays what a pull request is compared with.
Between two builds the lake is closed, so nothing that others do to it is in the way.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import Change, DefaultFilter, watch

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import printable
from lotus_lake.exits import Exit
from lotus_lake.scheduler.build import close_duckdb
from lotus_lake.settings import folders, project_folder

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner, dbtRunnerResult

# Editors write a file in several steps; a pause of this many milliseconds ends a save.
_DEBOUNCE = 300
_WAITING = "Waiting for a save; Ctrl-C leaves."
_SUFFIXES = (".sql", ".yml", ".yaml", ".csv", ".md")


class ProjectFiles(DefaultFilter):
    """Files that a build depends on; pytest's own below tests/ are none."""

    def __call__(self, change: Change, path: str) -> bool:
        """Whether the change of a file is one of the project."""
        return path.endswith(_SUFFIXES) and super().__call__(change, path)


def on_branch(lake: LakeConfig) -> str:
    """Let what runs in this process from now on work on a branch, which is made if it is not there.

    Raises:
        LakeError: There is no lake to branch.
    """
    if lake.branch:
        return branches.require(lake).name
    config = lake.of_branch(f"watch_{branches.user()}")
    if not branches.find(config):
        branches.create(lake, config.branch)
    # The defaults of the lake's target are not those of target pr.
    os.environ |= {
        **{"DBT_TARGET": "pr", "LAKE_BRANCH": config.branch, "LAKE_LANDING_URL": lake.landing_url},
        **{"LAKE_CATALOG": lake.catalog, "LAKE_DATA_URL": lake.data_url},
    }
    return config.branch


def run(lake: LakeConfig, select: str) -> int:
    """Build once, then after each save, until Ctrl-C.

    Raises:
        LakeError: What is named selects nothing at the start, or there is no lake.
    """
    branch = on_branch(lake)
    print(
        f"Building {select} on branch {branch}, now and on each save. "
        f"To drop it: lake branch drop {branch}",
        flush=True,
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
            debounce=_DEBOUNCE,
            step=100,
            rust_timeout=200,
            yield_on_timeout=True,
        )
        next(saves)
        done = _build(runner, select)
        if done.success and not getattr(done.result, "results", ()):
            raise LakeError(f"{select} selects nothing; `dbt ls` lists what there is.")
        print(_WAITING, flush=True)
        for changed in filter(None, saves):
            names = sorted({Path(path).name for _, path in changed})
            print(f"\nSaved: {printable(', '.join(names))}", flush=True)
            _build(runner, select)
            print(_WAITING, flush=True)
    except KeyboardInterrupt:
        pass
    print("\nNo longer watching.")
    return Exit.OK


def _build(runner: dbtRunner, select: str) -> dbtRunnerResult:
    """Run ``dbt build`` in this process; what was parsed before is parsed only where it changed."""
    result = runner.invoke(["build", "--select", select])
    # dbt-duckdb keeps its DuckDB for the process's life: it would hold the catalog's file open.
    close_duckdb()
    if isinstance(result.exception, KeyboardInterrupt):
        raise result.exception
    return result
