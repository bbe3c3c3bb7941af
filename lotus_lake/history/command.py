"""The command behind ``scripts/as_of.py``: then, now, and what happened in between."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from rich.console import Console

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect, lock_down
from lotus_lake.diff.personal import shown
from lotus_lake.diff.sides import keys
from lotus_lake.escaping import plain
from lotus_lake.history.past import Past
from lotus_lake.history.steps import steps_between
from lotus_lake.scheduler.exits import Exit

# Of steps, as many as a person reads.
_STEP_LIMIT = 20


def main(table: str, at: str, where: str, manifest: Path) -> int:
    """Print what a table said at a moment and says now, and what changed it.

    The arguments are those of :class:`Past` and :meth:`Past.at`; ``manifest`` says which columns
    are keys, and which are personal.

    Returns:
        0; 40 when the lake cannot be read; 64 for a wrong environment, table, moment or condition.
    """
    try:
        config = LakeConfig.from_env()
        if config.branch:
            branches.require(config)
        keys_of_models, columns = keys(manifest), shown(manifest)
    except LakeError as error:
        return _failed(error, Exit.USAGE)
    try:
        connection = connect(config)
        if where:
            lock_down(connection, config)
    except (LakeError, duckdb.Error) as error:
        return _failed(error, Exit.UNREACHABLE)
    with connection:
        try:
            past = Past(connection, table, where, keys_of_models, columns)
            _print(past, past.at(at.strip()).number)
        except LakeError as error:
            return _failed(error, Exit.USAGE)
        except duckdb.Error as error:
            return _failed(error, Exit.UNREACHABLE)
    return Exit.OK


def _print(past: Past, then: int) -> None:
    # Paths are for copying: nothing is broken into lines.
    console = Console(highlight=False, soft_wrap=True)
    now = past.newest
    console.print(f"[bold]{past.name}[/]" + plain(f" where {past.where}" if past.where else ""))
    console.print(f"then: {past.snapshots[then]}\nnow:  {past.snapshots[now]}\n")
    rows_then, rows_now = past.counts(then, now)
    console.print(f"Rows: {rows_then:,} then, {rows_now:,} now.")
    for line in past.differences(then, now) or ["Nothing differs."]:
        console.print(f"  {plain(line)}")
    steps = list(steps_between(past, then, now))
    console.print("\n[bold]What changed it[/]" if steps else "\nNothing has changed these rows.")
    if len(steps) > _STEP_LIMIT:
        console.print(f"({len(steps) - _STEP_LIMIT:,} earlier changes are left out)")
    for snapshot, lines in steps[-_STEP_LIMIT:]:
        console.print(f"\n{snapshot}{plain(snapshot.made_by)}")
        for line in filter(None, [snapshot.message, *lines]):
            console.print(f"  {plain(line)}")


def _failed(error: Exception, code: Exit) -> int:
    print(f"as-of: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return code
