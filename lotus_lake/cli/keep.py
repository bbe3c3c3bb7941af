"""Commands that keep the lake, and what is published of it: upkeep, backups, the way back."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from lotus_lake.cli.base import (
    DAYS,
    command,
    dry_run_option,
    fail,
    json_option,
    parsed,
    print_json,
    say,
    warn,
)
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.exits import Exit
from lotus_lake.settings import project_folder
from lotus_lake.wording import counted


@command(
    "lake maintain --dry-run",
    "lake tick --maintain                  the same under the scheduler's lock",
    "lake maintain --orphans --dry-run",
    "lake maintain --orphans --older-than 1",
)
@dry_run_option
@click.option(
    "--keep-landed",
    is_flag=True,
    help="Take files that are not the lake's own off the list of files to delete.",
)
@click.option(
    "--orphans",
    is_flag=True,
    help="Instead, delete files below the data path that the catalog does not know.",
)
@click.option(
    "--older-than",
    type=DAYS,
    metavar="DAYS",
    help="With --orphans: only files of that age (variable cleanup_delay_days).",
)
@json_option
def maintain(
    dry_run: bool, keep_landed: bool, orphans: bool, older_than: int | None, as_json: bool
) -> None:
    """Merge small files, and let go of what nobody needs any more.

    Prunes run history, flushes, rewrites and merges files, expires snapshots and deletes files
    that nothing uses, as the project's variables say (docs/maintenance.md). Deletes nothing while a
    branch lives. With --orphans it removes what killed runs, or a restore, left behind.
    """
    from lotus_lake import settings
    from lotus_lake.operations import upkeep
    from lotus_lake.operations.lake import opened

    if older_than is not None and not orphans:
        raise click.UsageError("--older-than goes with --orphans.")
    if orphans and keep_landed:
        raise click.UsageError("--keep-landed goes not with --orphans.")
    given = settings.of_project()
    with opened("maintain") as lake:
        if orphans:
            days = given["cleanup_delay_days"] if older_than is None else older_than
            hold = given["branch_hold_days"]
            paths = upkeep.remove_orphans(lake, days, hold, warn, dry_run)
            _show_orphans(paths, days, dry_run, as_json)
            return
        steps: list[upkeep.Step] = []
        for step in upkeep.maintain(lake, given, warn, dry_run, keep_landed):
            if not as_json:
                if not steps:
                    say(upkeep.HEADER)
                say(str(step))
            steps.append(step)
    if as_json:
        print_json({"dry_run": dry_run, "steps": [asdict(step) for step in steps]})
    else:
        say("Dry run, nothing is changed." if dry_run else "Done.")


def _show_orphans(paths: list[str], days: int, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "older_than": days, "files": paths})
        return
    for path in paths:
        say(f"  {path}")
    ended = "Dry run, nothing is deleted." if dry_run else "They are deleted."
    files = f"{counted(len(paths), 'file')} that the catalog does not know"
    say(f"{files}, older than {counted(days, 'day')}. {ended if paths else ''}".rstrip())


_at_option = click.option(
    "--at",
    metavar="URL",
    help="Folder of the backups, local or s3:// (default: backups/ beside the lake's data).",
)


@command(
    "lake backup --keep 14",
    "lake backup --at s3://elsewhere/lotus-lake",
    "lake backup --list",
    "lake backup --check",
)
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Keep only the newest N.")
@_at_option
@click.option("--list", "listed", is_flag=True, help="List the backups instead.")
@click.option("--check", is_flag=True, help="Check instead that every data file is there.")
@json_option
def backup(keep: int | None, at: str | None, listed: bool, check: bool, as_json: bool) -> None:
    """Copy an embedded lake's catalog; a build may run meanwhile.

    A catalog in PostgreSQL is backed up with its own tools (docs/runbooks/disaster-recovery.md);
    --check works with both.
    """
    from lotus_lake.backup import Backups

    if listed and check:
        raise click.UsageError("--list goes not with --check.")
    config = LakeConfig.from_env()
    if check:
        _check(config, "lake backup", as_json)
        return
    backups = Backups(config, at)
    found = backups.list() if listed else [backups.take(keep)]
    if as_json:
        print_json([{**asdict(one), "snapshot": one.snapshot} for one in found])
    elif listed:
        for one in found:
            say(f"{one.name}  {one.size / 1e6:,.1f} MB")
    else:
        say(f"Saved {found[0].name} in {backups.url}")


@command("lake restore", "lake restore 20260105T0300 --force")
@click.argument("name", required=False)
@click.option("--force", is_flag=True, help="Also when the lake is newer, or damaged.")
@_at_option
def restore(name: str | None, force: bool, at: str | None) -> None:
    """Make an embedded lake's catalog what it was in a backup.

    NAME is that of a backup, or its beginning; the newest one by default. Takes the scheduler's
    lock. Refuses, unless forced, where the lake would lose something; what was there is kept as a
    backup.
    """
    from lotus_lake.backup import Backups

    config = LakeConfig.from_env()
    backups = Backups(config, at)
    chosen = backups.find(name)
    before = backups.restore(chosen, force=force)
    say(f"Restored {chosen.name}")
    if before:
        say(f"What was there before is kept as {before.name}")
    _check(config, "lake restore", False)


def _check(config: LakeConfig, command: str, as_json: bool) -> None:
    from lotus_lake.backup import missing_files

    missing = missing_files(config)
    if as_json:
        print_json({"missing": missing})
    if missing:
        said = counted(len(missing), "data file is", "data files are")
        what = (
            f"{said} not there any more that this catalog has, the first: {missing[0]}. "
            "Restore a newer backup."
        )
        fail(command, what, Exit.UNREACHABLE)
    if not as_json:
        say("Every data file is there. Next: lake reconcile, then a tick feeds what came since.")


@command(
    "lake publish --dry-run",
    "lake publish --full                   after the catalog was restored",
)
@click.option("--full", is_flag=True, help="Write every table whole, changed or not.")
@dry_run_option
@json_option
def publish(full: bool, dry_run: bool, as_json: bool) -> None:
    """Publish the marts into PostgreSQL, for BI tools.

    Brings schema marts of the database that LAKE_SERVING_URL names to the lake's newest snapshot:
    the tables with meta publish: true and the saved queries of the metrics, in one transaction,
    only what changed. A tick that ended well does the same (docs/serving.md).
    """
    from lotus_lake.connection import connect
    from lotus_lake.publication.publish import publish as publish_marts
    from lotus_lake.scheduler.pending import code_digest

    url = os.environ.get("LAKE_SERVING_URL")
    if not url:
        raise LakeError(
            "LAKE_SERVING_URL is not set: name a PostgreSQL database, as in "
            "postgresql://host/serving, with LAKE_SERVING_USER and LAKE_SERVING_PASSWORD."
        )
    config, project = LakeConfig.from_env(), project_folder()
    code = code_digest(project, config.target, None)
    with connect(config) as connection:
        steps = publish_marts(config, connection, url, code, parsed, full=full, dry_run=dry_run)
    if as_json:
        print_json([asdict(step) for step in steps])
        return
    for step in steps:
        written = (
            "" if step.how == "dropped" else f", {step.written} of {counted(step.rows, 'row')}"
        )
        say(f"{step.table}: {step.how}{written}")
    tables = counted(len(steps), "table")
    say(f"{tables} would be written." if dry_run else f"{tables} written.")
