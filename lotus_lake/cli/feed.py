"""Commands about deliveries: feed them, take them back, prove that they are there."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lotus_lake.cli.base import (
    DAY,
    command,
    dry_run_option,
    json_option,
    print_json,
    say,
    warn,
)
from lotus_lake.exits import Exit
from lotus_lake.wording import counted

if TYPE_CHECKING:
    from lotus_lake.operations.lake import Lake


@command(
    "lake tick              one tick, as a CronJob runs it",
    "lake tick --dry-run    what would it do, and why?",
    "lake tick --full       build everything, whether or not something is new",
    "lake tick --loop 60    a tick a minute, in one process",
    "lake tick --maintain   `lake maintain` under the same lock",
)
@click.option("--full", is_flag=True, help="Build everything.")
@click.option("--maintain", is_flag=True, help="Do the upkeep instead of a build.")
@dry_run_option
@click.option("--loop", type=float, metavar="SECONDS", help="A tick, a pause, a tick, …")
@click.option("--vars", "variables", metavar="YAML", help="Passed on to dbt.")
@click.option("--log-format", type=click.Choice(["human", "json"]), default="human")
def tick(
    full: bool,
    maintain: bool,
    dry_run: bool,
    loop: float | None,
    variables: str | None,
    log_format: str,
) -> int:
    """Feed what has landed and build what follows from it.

    A tick takes the run lock, looks for new files without starting dbt, and ends when there are
    none. Otherwise it runs `dbt build` of the streams with new files and of everything downstream,
    in as many rounds as the backlog needs. It builds everything when the project has changed, or
    when the last build did not end well. docs/scheduler.md has its environment (LAKE_ARTIFACTS_URL,
    LAKE_ALERT_WEBHOOK, LAKE_GRACE_SECONDS), and what to do about each exit code.
    """
    from lotus_lake.scheduler import tick as ticks

    if full and maintain:
        raise click.UsageError("--full goes not with --maintain.")
    if loop is not None and not loop > 0:
        raise click.UsageError(f"--loop is {loop:g}; it has to be more than 0 seconds.")
    if dry_run and (loop is not None or maintain):
        raise click.UsageError("--dry-run goes with neither --loop nor --maintain.")
    return ticks.run(full, maintain, dry_run, loop, variables, log_format)


# What names deliveries.
_DELIVERY: list[click.Parameter] = [
    click.Argument(["stream"]),
    click.Option(["--day"], type=DAY, metavar="DAY", help="Files of one day's folder, YYYY-MM-DD."),
    click.Option(["--file"], metavar="PATH", help="One file, by its path in the landing zone."),
    click.Option(
        ["--delivery"],
        type=click.IntRange(0, 2**63 - 1),
        metavar="N",
        help="Files of one feed, by its number (`lake status`).",
    ),
]


@command(
    "lake undo shop.orders --day 2025-01-15 --dry-run",
    "lake undo shop.orders --delivery 7",
    params=[*_DELIVERY],
)
@dry_run_option
@json_option
def undo(**options: Any) -> None:
    """Take deliveries of STREAM out of the lake, and keep them out.

    Their rows leave staging, and no run feeds these files again (`lake release` lets it). The next
    `dbt build` recomputes what they had touched. At least one of --day, --file and --delivery.
    """
    _change("undo", "`dbt build` now recomputes what these files had touched.", **options)


@command("lake replay shop.orders --delivery 7", params=[*_DELIVERY])
@dry_run_option
@json_option
def replay(**options: Any) -> None:
    """Feed deliveries of STREAM once more.

    Their rows leave staging, and the next `dbt build` feeds them as new. Refused for files that no
    longer lie in the landing zone as they were fed. At least one of --day, --file and --delivery.
    """
    _change("replay", "The next `dbt build` feeds them again.", **options)


@command("lake release shop.orders --day 2025-01-15", params=[*_DELIVERY])
@dry_run_option
@json_option
def release(**options: Any) -> None:
    """Let the next build try quarantined or undone files again.

    A repaired file needs no release: its new content is a new version. At least one of --day,
    --file and --delivery.
    """
    _change("release", "The next `dbt build` tries them again.", **options)


def _change(
    operation: str,
    done: str,
    *,
    stream: str,
    day: datetime | None,
    file: str | None,
    delivery: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from lotus_lake.operations import deliveries
    from lotus_lake.operations.lake import opened

    which = deliveries.Delivery(stream, day.date() if day else None, file, delivery)
    with opened(operation) as lake:
        found = getattr(deliveries, operation)(lake, which, dry_run)
    if as_json:
        files = [asdict(one) for one in found.files]
        print_json({"stream": found.stream.label, "dry_run": dry_run, "files": files})
        return
    dry = "Dry run, nothing is changed. " if dry_run else ""
    say(f"{dry}{found.title(operation.capitalize())}:")
    for one in found.files:
        what = one.reason if one.row_count is None else counted(one.row_count, "row")
        say(f"  {one.path}  (version {one.cursor_version}, {what})")
    if not dry_run:
        say(f"Done. {done}")


@command("lake sweep --dry-run", "lake sweep && dbt build")
@dry_run_option
@json_option
def sweep(dry_run: bool, as_json: bool) -> None:
    """List the whole landing zone, and make the next build list it too.

    Names the landed files that the lake has never seen. Sweeps also happen by themselves, every
    `feed_sweep_hours`.
    """
    from lotus_lake.operations import deliveries
    from lotus_lake.operations.lake import opened

    with opened("sweep") as lake:
        _warn_of_undeclared(lake)
        files = list(deliveries.sweep(lake, dry_run))
    if as_json:
        unknown = [{"path": file.path, "size_bytes": file.size} for file in files]
        print_json({"dry_run": dry_run, "files": unknown})
        return
    for file in files:
        say(f"  not fed: {file.path}  ({counted(file.size, 'byte')})")
    ended = "Dry run, nothing is changed." if dry_run else "The next `dbt build` lists everything."
    unknown_files = counted(len(files), "landed file is", "landed files are")
    say(f"{unknown_files} not in the ledger. {ended}")


@command("lake reconcile", "lake reconcile shop", "lake reconcile shop.orders --no-read-files")
@click.argument("stream", required=False)
@click.option("--no-read-files", is_flag=True, help="Do not ask each landed file for its rows.")
@json_option
def reconcile(stream: str | None, no_read_files: bool, as_json: bool) -> int:
    """Prove that nothing is missing and nothing is twice.

    Compares, for STREAM, a source's streams or all, what lies in the landing zone, what the ledger
    says, what the files themselves say and what staging has; and without STREAM also the published
    tables with the lake. Names every difference, and changes nothing.
    """
    from lotus_lake.operations.lake import opened
    from lotus_lake.operations.reconcile import Reconciled
    from lotus_lake.operations.reconcile import reconcile as compared

    results = []

    def show(result: Reconciled) -> None:
        results.append(result)
        if as_json:
            return
        differences = [f"difference: {line}" for line in result.differences]
        for line in [*differences, *result.notes]:
            say(f"  {result.stream}  {line}")
        verdict = counted(len(differences), "difference") if differences else "clean"
        say(f"{result.stream}: {verdict}")

    with opened("reconcile") as lake:
        chosen = compared(lake, stream, not no_read_files)
        _warn_of_undeclared(lake)
        for result in chosen:
            show(result)
    url = os.environ.get("LAKE_SERVING_URL")
    if url and not stream:
        from lotus_lake.config import LakeConfig
        from lotus_lake.publication.publish import compare

        for table, lines in compare(LakeConfig.from_env(), url):
            show(Reconciled(table, lines, []))
    differences = [line for one in results for line in one.differences]
    if as_json:
        print_json([asdict(one) for one in results])
    elif not differences:
        say("Landing, ledger, files and staging agree.")
    else:
        found = counted(len(differences), "difference")
        warn(f"lake reconcile: {found}, the first: {differences[0]}")
    return Exit.FAILED if differences else Exit.OK


def _warn_of_undeclared(lake: Lake) -> None:
    from lotus_lake.operations.starting import check_landing

    for warning in check_landing(lake):
        warn(f"WARNING {warning}")
