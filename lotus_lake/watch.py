"""Builds the selected models and their tests on each save, in one process.

What makes a build start slowly is importing dbt and parsing the whole project; here both are done
once. Between two builds the lake is closed, so nothing that others do to it is in the way.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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
_FAILED = ("error", "fail", "runtime error", "partial success")


@dataclass
class Build:
    """What one build did.

    Args:
        outcomes: How many nodes ended in which way, in dbt's words.
        interrupted: Whether it was ended by Ctrl-C.
        broken: Whether dbt stopped before its first node.
        started: When it began, as ``time.monotonic`` counts.
        first_node: Seconds until its first node; None if there was none.
        seconds: How long it took.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False
    broken: bool = False
    started: float = field(default_factory=time.monotonic)
    first_node: float | None = None
    seconds: float = 0

    def on_event(self, event: Any) -> None:
        """Take note of dbt's first node; a callback for ``dbtRunner``."""
        if self.first_node is None and event.info.name in ("LogStartLine", "NodeStart"):
            self.first_node = time.monotonic() - self.started

    @property
    def selects_nothing(self) -> bool:
        """Whether dbt found nothing to build."""
        return not self.broken and not self.outcomes

    def summary(self, select: str) -> str:
        """What it did, in a line."""
        took = f"{self.seconds:.1f} s"
        if self.broken:
            return f"{select}: dbt cannot build it, see above ({took})"
        if self.selects_nothing:
            return f"{select}: selects nothing; `dbt ls` lists what there is ({took})"
        failed = sum(self.outcomes[name] for name in _FAILED)
        counts = ", ".join(
            f"{count} {name}"
            for name, count in (
                ("ok", self.outcomes["success"] + self.outcomes["pass"]),
                ("failed", failed),
                ("warned", self.outcomes["warn"]),
                ("skipped", self.outcomes["skipped"]),
            )
            if count
        )
        if self.first_node is not None:
            took += f", the first node after {self.first_node:.1f} s"
        return f"{select}: {'FAILED, ' if failed else ''}{counts} ({took})"


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
                if done.interrupted:
                    break
                if changed is None and done.selects_nothing:
                    print(f"watch: {done.summary(select)}", file=sys.stderr)
                    return Exit.USAGE
                print(f"{done.summary(select)}\nWaiting for a save; Ctrl-C leaves.", flush=True)
            changed = next(saves)
    except KeyboardInterrupt:
        pass
    print("\nNo longer watching.")
    return Exit.OK


def build(runner: dbtRunner, select: str) -> Build:
    """Run ``dbt build`` in this process, and close the lake after it.

    Args:
        runner: Runs it; what it parsed before is parsed again only where it changed.
        select: What to build, as for dbt's ``--select``.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    done = Build()
    runner.callbacks = [done.on_event]
    result = runner.invoke(["--log-level", "warn", "build", "--select", select])
    # dbt-duckdb keeps its DuckDB for the process's life: it would hold the catalog's file open.
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    done.seconds = time.monotonic() - done.started
    done.interrupted = isinstance(result.exception, KeyboardInterrupt)
    done.broken = result.exception is not None
    done.outcomes.update(str(one.status) for one in getattr(result.result, "results", ()))
    return done
