"""Branches of the lake, as a person makes, lists and drops them (docs/branches.md)."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

from lotus_lake import branches
from lotus_lake.config import LakeError
from lotus_lake.operations.lake import Lake
from lotus_lake.operations.variables import check_number

_LINE = "{:<42}{:>10}  {:<20}{:>6}  {:<20}{}"


def create(lake: Lake, name: str) -> Iterator[str]:
    """Make a branch of the whole lake: a writable copy of its catalog over the same data files.

    Raises:
        LakeError: See ``branches.create``.
    """
    started = time.monotonic()
    made = branches.create(lake.config, name)
    yield (
        f"Branch {made.name} of snapshot {made.base_snapshot}, made in "
        f"{time.monotonic() - started:.1f} s. "
        f"Build on it: DBT_TARGET=pr LAKE_BRANCH={made.name} dbt build"
    )


def listed(lake: Lake) -> Generator[str, None, list[branches.Branch]]:
    """The branches, oldest first; says what lies among them and is none."""
    found, odd = branches.branches(lake.config)
    yield from (f"WARNING {problem}" for problem in odd)
    return found


def show(lake: Lake, branch_hold_days: int) -> Iterator[str]:
    """List the branches, oldest first, and which of them hold back clean-up no longer."""
    check_number("branch_hold_days", branch_hold_days)
    yield _LINE.format("branch", "snapshot", "made at (UTC)", "days", "by", "")
    found = yield from listed(lake)
    for one in found:
        yield _LINE.format(
            one.name,
            one.base_snapshot,
            f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            one.age.days,
            one.created_by[:19],
            "stale: clean-up does not wait for it" if one.age.days >= branch_hold_days else "",
        )
    yield (
        f"{len(found)} branches. Drop one: make branch-drop NAME=...; old ones: "
        "make branch-drop OLDER_THAN=14"
    )


def drop(lake: Lake, name: str | None = None, older_than: int | None = None) -> Iterator[str]:
    """Drop a branch, or all that are at least so many days old, with the files that they wrote.

    Raises:
        LakeError: Neither or both are given, or see ``branches.drop``.
    """
    if (name is None) == (older_than is None):
        raise LakeError("Say which: name, or older_than with a number of days.")
    names = [name] if name is not None else []
    if older_than is not None:
        found = yield from listed(lake)
        names = [one.name for one in found if one.age.days >= older_than]
        if not names:
            yield f"No branch is {older_than} days old. Nothing was dropped."
    for one in names:
        branches.drop(lake.config, one)
        yield f"Branch {one} is dropped."
