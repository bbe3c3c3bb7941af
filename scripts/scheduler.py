"""Feed what has landed and build what follows from it: one tick, or one every so many seconds."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.arguments import Parser
from lotus_lake.config import LakeError
from lotus_lake.scheduler.exits import Exit, Unreachable
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.stop import Stop
from lotus_lake.scheduler.tick import Scheduler, Settings, build_arguments

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
A tick takes the run lock, looks for new files without starting dbt, and ends when there are none.
Otherwise it runs `dbt build` of the streams with new files and of everything downstream, in as many
rounds as the backlog needs. It builds everything when the project has changed, or when the last
build did not end well.

examples:
  python scripts/scheduler.py                  one tick, as a CronJob runs it
  python scripts/scheduler.py --dry-run        what would it do, and why?
  python scripts/scheduler.py --full           build everything, whether or not something is new
  python scripts/scheduler.py --loop 60        a tick a minute, in one process
  python scripts/scheduler.py --maintain       merge, expire and clean up, under the same lock

exit codes:
   0  built, or nothing new
  10  partial: files went into quarantine, or a test warned at error level; the rest is built
  20  a model or a test failed, the project does not compile, or the build was cut short
  30  another run holds the lock
  40  the catalog or the object store cannot be reached
  64  wrong usage or configuration

environment, beside the lake's own (README.md):
  LAKE_ARTIFACTS_URL  folder or s3://bucket/prefix to publish manifest, run results and docs to
  LAKE_ALERT_WEBHOOK  gets one message when things turn bad, and one when they are good again
  LAKE_GRACE_SECONDS  how long SIGTERM lets a build go on before it is rolled back (25)

docs/scheduler.md says what to do about each exit code.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--full", action="store_true", help="build everything")
    what.add_argument("--maintain", action="store_true", help="run `dbt run-operation maintain`")
    parser.add_argument("--dry-run", action="store_true", help="say what a tick would do")
    parser.add_argument("--loop", type=float, metavar="SECONDS", help="a tick, a pause, a tick, …")
    parser.add_argument("--vars", metavar="YAML", help="passed on to dbt")
    parser.add_argument("--log-format", choices=("human", "json"), default="human")
    options = parser.parse_args(arguments)
    if options.loop is not None and not options.loop > 0:
        parser.error(f"--loop is {options.loop:g}; it has to be more than 0 seconds")
    if options.dry_run and (options.loop is not None or options.maintain):
        parser.error("--dry-run goes with neither --loop nor --maintain")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    os.chdir(PROJECT)  # dbt wants to be there; the lake's relative paths begin there too
    log = Log(options.log_format)
    try:
        stop = Stop(log, grace_seconds())
        settings = Settings.from_env(PROJECT, full=options.full, variables=options.vars)
        scheduler = Scheduler(settings, log, stop, keep_project=options.loop is not None)
        if options.dry_run:
            dry_run(scheduler, log)
            return Exit.OK
    except LakeError as error:
        code = Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
        log.error(f"{error} (exit code {int(code)})", exit_code=int(code))
        return code
    stop.listen()
    run = scheduler.maintain if options.maintain else scheduler.tick
    code, known = run(), settings.code() if options.loop else ""
    while options.loop and not stop.requested:
        stop.sleep(options.loop)
        if settings.code() != known and not stop.requested:
            log.info("The project's code has changed: the scheduler starts again with it.")
            os.execv(sys.executable, [sys.executable, *sys.argv])
        if not stop.requested:
            code = run()
    return code


def dry_run(scheduler: Scheduler, log: Log) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
