"""Upkeep as runs and people ask for it (docs/maintenance.md)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lotus_lake import branches, maintenance, races, settings
from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.escaping import printable
from lotus_lake.operations.lake import Lake
from lotus_lake.schema.types import literal


def maintain(
    lake: Lake,
    given: Mapping[str, int],
    warn: Callable[[str], None],
    dry_run: bool = False,
    keep_landed: bool = False,
) -> Iterator[maintenance.Step]:
    """Prune run history, flush, rewrite and merge files, expire snapshots and delete files.

    It is recorded in meta.invocations, beside dbt's runs.

    Args:
        lake: The lake.
        given: Settings that say what to keep (``settings.of_project``).
        warn: Takes warnings about schemas that look like branches and are none.
        dry_run: Whether nothing is changed.
        keep_landed: Whether files that are not the lake's own are taken off the list of files to
            delete, and stay where they lie.

    Raises:
        LakeError: See ``maintenance.maintain``.
    """
    (started,) = lake.fetch("select now()::varchar")[0]
    yield from maintenance.maintain(
        lake.connection, **_settings(lake, given, warn), dry_run=dry_run, keep_landed=keep_landed
    )
    if not dry_run and lake.run:
        lake.connection.execute(_record_sql(lake.run, lake.config.target, started))


def _record_sql(run: races.Run, target: str, started: str) -> str:
    tick, code = (os.environ.get(f"LAKE_{name}") or "" for name in ("TICK_ID", "CODE_VERSION"))
    return (
        f"insert into {ALIAS}.meta.invocations by name select"
        f" {literal(run.invocation_id)} as invocation_id, nullif({literal(tick)}, '') as tick_id,"
        f" 'maintain' as command, {literal(target)} as target,"
        f" nullif({literal(code)}, '') as code_version,"
        f" {literal(started)}::timestamptz as started_at, now() as finished_at,"
        f" (select max(snapshot_id) from __ducklake_metadata_{ALIAS}.ducklake_snapshot)"
        " as snapshot_id, 'success' as status, 0 as error_count, 0 as warn_count,"
        " 0 as built_count, 0 as rows_affected"
    )


def keep_up(lake: Lake, **given: int) -> None:
    """The same in small steps after a build, where there is enough to do, so that what a build
    costs does not grow with the builds before it."""
    given = settings.DEFAULTS | given
    settings.check(given)
    kept = _settings(lake, given, lambda line: print(line, flush=True))
    kept |= {"maintain_max_files": 200, "least_files": 16}
    for step in maintenance.keep_up(lake.connection, **kept):
        print(printable(str(step)), flush=True)


def remove_orphans(
    lake: Lake, days: int, branch_hold_days: int, warn: Callable[[str], None], dry_run: bool
) -> list[str]:
    """Delete files below the data path that the catalog does not know: what a killed run left, or
    what was written after the point that a catalog was restored to.

    Returns:
        The files' paths.

    Raises:
        LakeError: A branch may use such files, or see ``maintenance.remove_orphans``.
    """
    if held := _holding(lake, branch_hold_days, warn):
        raise LakeError(
            f"Branch {', '.join(held)} may use files that this catalog does not know. Nothing was"
            " deleted. Drop the branch first."
        )
    return maintenance.remove_orphans(lake.connection, days, dry_run)


def _settings(lake: Lake, given: Mapping[str, int], warn: Callable[[str], None]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if name != "branch_hold_days"}
    return {**kept, "branches": _holding(lake, given["branch_hold_days"], warn)}


def _holding(lake: Lake, branch_hold_days: int, warn: Callable[[str], None]) -> list[str]:
    """The branches for which nothing may be deleted."""
    # A branch's own clean-up can reach nothing that another branch, or the lake, may need.
    if lake.config.branch:
        return []
    found, odd = branches.branches(lake.config)
    for problem in odd:
        warn(printable(f"WARNING {problem}"))
    return [one.name for one in found if one.age.days < branch_hold_days]
