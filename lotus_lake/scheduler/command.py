"""The command ``lake tick``: one tick, or one every so many seconds."""

from __future__ import annotations

import os
import sys

from lotus_lake.config import LakeError
from lotus_lake.exits import Exit, exit_code
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.stop import Stop
from lotus_lake.scheduler.tick import Scheduler, Settings, build_arguments
from lotus_lake.settings import project_folder


def run(
    full: bool,
    maintain: bool,
    dry_run: bool,
    loop: float | None,
    variables: str | None,
    log_format: str,
) -> Exit:
    """Run ticks; the exit code of the last one.

    Args:
        full: Build everything.
        maintain: Do the upkeep instead of a build.
        dry_run: Only say what a tick would do.
        loop: Seconds between ticks; None for a single one.
        variables: dbt's ``--vars``.
        log_format: ``human`` or ``json``.
    """
    log = Log(log_format)
    try:
        stop = Stop(log, grace_seconds())
        settings = Settings.from_env(project_folder(), full=full, variables=variables)
        scheduler = Scheduler(settings, log, stop, keep_project=loop is not None)
        if dry_run:
            _dry_run(scheduler, log)
            return Exit.OK
    except LakeError as error:
        code = exit_code(error)
        log.error(f"{error} (exit code {int(code)})", exit_code=int(code))
        return code
    stop.listen()
    tick = scheduler.maintain if maintain else scheduler.tick
    code, known = tick(), settings.code() if loop else ""
    while loop and not stop.requested:
        stop.sleep(loop)
        if settings.code() != known and not stop.requested:
            log.info("The project's code has changed: the scheduler starts again with it.")
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        if not stop.requested:
            code = tick()
    return code


def _dry_run(scheduler: Scheduler, log: Log) -> None:
    """Say what a tick would do."""
    pending = scheduler.pending()
    for line in pending.values():
        log.info(line)
    if pending:
        log.info(f"A tick would run: {' '.join(['dbt', *build_arguments(pending)])}")
    else:
        log.info("Nothing new: a tick would build nothing.")


def grace_seconds() -> float:
    """``LAKE_GRACE_SECONDS``."""
    text = os.environ.get("LAKE_GRACE_SECONDS") or "25"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e6:
        raise LakeError(f"LAKE_GRACE_SECONDS is '{text}'; it has to be a number of seconds.")
    return seconds
