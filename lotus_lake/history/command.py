"""Then, now, and what happened in between: what ``lake as-of`` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lotus_lake import branches
from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect, lock_down
from lotus_lake.diff.personal import shown
from lotus_lake.diff.sides import keys
from lotus_lake.escaping import plain
from lotus_lake.history.past import Past, Snapshot
from lotus_lake.history.steps import steps_between
from lotus_lake.wording import counted

# Of steps, as many as a person reads.
_STEP_LIMIT = 20


@dataclass(frozen=True)
class AsOf:
    """What a table said and says, and the steps from one to the other."""

    table: str
    where: str
    then: Snapshot
    now: Snapshot
    rows: list[int]
    differences: list[str]
    steps: list[tuple[Snapshot, list[str]]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **{"table": self.table, "where": self.where, "differences": self.differences},
            **{"then": _moment(self.then, self.rows[0]), "now": _moment(self.now, self.rows[1])},
            "steps": [
                {
                    **{
                        "snapshot": snapshot.number,
                        "made_by": snapshot.made_by.removeprefix(", by "),
                    },
                    **{"message": snapshot.message, "changes": lines},
                }
                for snapshot, lines in self.steps
            ],
        }


def _moment(snapshot: Snapshot, rows: int) -> dict[str, Any]:
    return {"snapshot": snapshot.number, "time": snapshot.at, "rows": rows}


def look(table: str, at: str, where: str, manifest: Path) -> AsOf:
    """Look at what a table said at a moment and says now, and what changed it.

    The arguments are those of :class:`Past` and :meth:`Past.at`; ``manifest`` says which columns
    are keys, and which are personal.

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
        return AsOf(
            past.name,
            past.where,
            past.snapshots[then],
            past.snapshots[now],
            past.counts(then, now),
            past.differences(then, now),
            list(steps_between(past, then, now)),
        )


def show(found: AsOf) -> None:
    """Print it."""
    # Paths are for copying: nothing is broken into lines.
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{found.table}[/]" + plain(f" where {found.where}" if found.where else ""))
    console.print(f"then: {found.then}\nnow:  {found.now}\n")
    console.print(f"Rows: {found.rows[0]:,} then, {found.rows[1]:,} now.")
    for line in found.differences or ["Nothing differs."]:
        console.print(f"  {plain(line)}")
    steps = found.steps
    console.print("\n[bold]What changed it[/]" if steps else "\nNothing has changed these rows.")
    if len(steps) > _STEP_LIMIT:
        console.print(f"(left out: {counted(len(steps) - _STEP_LIMIT, 'earlier change')})")
    for snapshot, lines in steps[-_STEP_LIMIT:]:
        console.print(f"\n{snapshot}{plain(snapshot.made_by)}")
        for line in filter(None, [snapshot.message, *lines]):
            console.print(f"  {plain(line)}")
