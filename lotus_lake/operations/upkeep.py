"""Upkeep as runs and people ask for it (docs/maintenance.md)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from lotus_lake import maintenance
from lotus_lake.config import LakeError
from lotus_lake.operations.branching import listed
from lotus_lake.operations.lake import Lake
from lotus_lake.operations.variables import check_number


def maintain(
    lake: Lake, dry_run: bool = False, keep_landed: bool = False, **variables: int
) -> Iterator[str]:
    """Prune run history, flush, rewrite and merge files, expire snapshots and delete files.

    Args:
        lake: The lake.
        dry_run: Whether nothing is changed.
        keep_landed: Whether files that are not the lake's own are taken off the list of files to
            delete, and stay where they lie.
        variables: Those of dbt_project.yml that say what to keep.

    Raises:
        LakeError: A variable cannot be meant, or see ``maintenance.maintain``.
    """
    settings = yield from _settings(lake, variables)
    yield from maintenance.maintain(
        lake.connection, **settings, dry_run=dry_run, keep_landed=keep_landed
    )


def keep_up(lake: Lake, **variables: int) -> Iterator[str]:
    """The same in small steps after a build, where there is enough to do, so that what a build
    costs does not grow with the builds before it."""
    settings = yield from _settings(lake, variables)
    yield from maintenance.keep_up(
        lake.connection, **{**settings, "maintain_max_files": 200, "least_files": 16}
    )


def remove_orphans(
    lake: Lake, days: int, branch_hold_days: int, dry_run: bool = False
) -> Iterator[str]:
    """Delete files below the data path that the catalog does not know: what a killed run left, or
    what was written after the point that a catalog was restored to.

    Raises:
        LakeError: A branch may use such files, or see ``maintenance.remove_orphans``.
    """
    check_number("branch_hold_days", branch_hold_days)
    if held := (yield from _holding(lake, branch_hold_days)):
        raise LakeError(
            f"Branch {', '.join(held)} may use files that this catalog does not know. Nothing was"
            " deleted. Drop the branch first."
        )
    yield from maintenance.remove_orphans(lake.connection, days=days, dry_run=dry_run)


_DEFAULTS = {
    "history_days": 400,
    "snapshot_days": 30,
    "cleanup_delay_days": 7,
    "maintain_max_files": 1000,
    "branch_hold_days": 14,
}


def _settings(lake: Lake, variables: dict[str, int]) -> Generator[str, None, dict[str, Any]]:
    variables = _DEFAULTS | variables
    for name, value in variables.items():
        check_number(name, value)
    kept = {name: value for name, value in variables.items() if name != "branch_hold_days"}
    held = yield from _holding(lake, variables["branch_hold_days"])
    return {**kept, "branches": held}


def _holding(lake: Lake, branch_hold_days: int) -> Generator[str, None, list[str]]:
    """The branches for which nothing may be deleted."""
    # A branch's own clean-up can reach nothing that another branch, or the lake, may need.
    if lake.config.branch:
        return []
    found = yield from listed(lake)
    return [one.name for one in found if one.age.days < branch_hold_days]
