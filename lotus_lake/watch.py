"""Builds the selected models and their tests on each save, in one process.

What makes a build start slowly is importing dbt and parsing the whole project; here both are done
once. Between two builds the lake is closed, so nothing that others do to it is in the way.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchfiles import Change, DefaultFilter, watch

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import printable
from lotus_lake.scheduler.exits import Exit

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner

# Editors write a file in several steps; a pause of this many milliseconds ends a save.
_DEBOUNCE = 300
_FOLDERS = ("models", "macros", "tests", "seeds", "snapshots")
_SUFFIXES = (".sql", ".yml", ".yaml", ".csv", ".md")


class ProjectFiles(DefaultFilter):
    """Files that a build depends on; pytest's own below tests/ are none."""

    def __call__(self, change: Change, path: str) -> bool:
        """Whether the change of a file is one of the project."""
        return path.endswith(_SUFFIXES) and super().__call__(change, path)


def main(arguments: Sequence[str]) -> int:
    """Build once, then after each save, until Ctrl-C.

    Args:
        arguments: What to build, as for dbt's ``--select``.

    Returns:
        0 after Ctrl-C; 64 when nothing is named, what is named selects nothing at the start, or the
        environment is wrong.
    """
    select = " ".join(arguments).strip()
    if not select:
        print(
            "watch: say what to build: make watch SELECT=fct_sales, or fct_sales+ for all that"
            " reads it too.",
            file=sys.stderr,
        )
        return Exit.USAGE
    try:
        config = LakeConfig.from_env()
    except LakeError as error:
        print(f"watch: {error}", file=sys.stderr)
        return Exit.USAGE
    watched = [Path(name) for name in (*_FOLDERS, "dbt_project.yml")]
    print(f"Building {select} in {config.catalog_name}, now and on each save.", flush=True)
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
        changed: set[tuple[Change, str]] | None = None
        while True:
            if changed:
                names = sorted({Path(path).name for _, path in changed})
                print(f"\nSaved: {printable(', '.join(names))}", flush=True)
            if changed is None or changed:
                done = build(runner, select)
                if isinstance(done.exception, KeyboardInterrupt):
                    break
                if changed is None and done.success and not getattr(done.result, "results", ()):
                    print(
                        f"watch: {select} selects nothing; `dbt ls` lists what there is.",
                        file=sys.stderr,
                    )
                    return Exit.USAGE
                print("Waiting for a save; Ctrl-C leaves.", flush=True)
            changed = next(saves)
    except KeyboardInterrupt:
        pass
    print("\nNo longer watching.")
    return Exit.OK


def build(runner: dbtRunner, select: str) -> Any:
    """Run ``dbt build`` in this process, and close the lake after it; dbt's own result.

    Args:
        runner: Runs it; what it parsed before is parsed again only where it changed.
        select: What to build, as for dbt's ``--select``.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    result = runner.invoke(["build", "--select", select])
    # dbt-duckdb keeps its DuckDB for the process's life: it would hold the catalog's file open.
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
