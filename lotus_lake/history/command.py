"""Then, now, and what happened in between: what ``lake as-of`` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from lotus_lake import branches
from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect, lock_down
from lotus_lake.diff.personal import shown
from lotus_lake.diff.sides import keys
from lotus_lake.escaping import plain
from lotus_lake.history.past import Past, in_utc
from lotus_lake.history.steps import steps_between
from lotus_lake.wording import counted

# Of steps, as many as a person reads.
_STEP_LIMIT = 20


def look(table: str, at: str, where: str, manifest: Path) -> dict[str, Any]:
    """Look at what a table said at a moment and says now, and what changed it.

    The arguments are those of :class:`Past` and :meth:`Past.at`; ``manifest`` says which columns
    are keys, and which are personal.

    Returns:
        ``table``, ``where``, ``then`` and ``now`` (``snapshot``, ``time``, ``rows``),
        ``differences`` in words, and ``steps`` (``snapshot``, ``time``, ``made_by``, ``message``,
        ``changes`` in words).

    Raises:
        LakeError: A wrong environment, table, moment or condition.
        Unreachable: The lake cannot be read.
    """
    config = LakeConfig.from_env()
    if config.branch:
        branches.require(config)
    keys_of_models, columns = keys(manifest), shown(manifest)
    with connect(config) as connection:
        if where:
            lock_down(connection, config)
        past = Past(connection, table, where, keys_of_models, columns)
        then, now = past.at(at.strip()).number, past.newest
        moments = [
            {"snapshot": number, "time": past.snapshots[number].at, "rows": rows}
            for number, rows in zip((then, now), past.counts(then, now), strict=True)
        ]
        return {
            "table": past.name,
            "where": past.where,
            "then": moments[0],
            "now": moments[1],
            "differences": past.differences(then, now),
            "steps": [
                {
                    "snapshot": snapshot.number,
                    "time": snapshot.at,
                    "made_by": snapshot.made_by,
                    "message": snapshot.message,
                    "changes": changes,
                }
                for snapshot, changes in steps_between(past, then, now)
            ],
        }


def show(found: dict[str, Any]) -> None:
    """Print it."""
    # Paths are for copying: nothing is broken into lines.
    console = Console(highlight=False, soft_wrap=True)
    then, now, steps = found["then"], found["now"], found["steps"]
    condition = plain(f" where {found['where']}" if found["where"] else "")
    console.print(f"[bold]{found['table']}[/]{condition}")
    console.print(f"then: {_name(then)}\nnow:  {_name(now)}\n")
    console.print(f"Rows: {then['rows']:,} then, {now['rows']:,} now.")
    for line in found["differences"] or ["Nothing differs."]:
        console.print(f"  {plain(line)}")
    console.print("\n[bold]What changed it[/]" if steps else "\nNothing has changed these rows.")
    if len(steps) > _STEP_LIMIT:
        console.print(f"(left out: {counted(len(steps) - _STEP_LIMIT, 'earlier change')})")
    for step in steps[-_STEP_LIMIT:]:
        by = f", by {step['made_by']}" if step["made_by"] else ""
        console.print(f"\n{_name(step)}{plain(by)}")
        for line in filter(None, [step["message"], *step["changes"]]):
            console.print(f"  {plain(line)}")


def _name(snapshot: dict[str, Any]) -> str:
    return f"snapshot {snapshot['snapshot']} of {in_utc(snapshot['time'])}"
