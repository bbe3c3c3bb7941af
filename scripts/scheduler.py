"""Feed what has landed and build what follows from it: one tick, or one every so many seconds."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.config import LakeError
from lotus_lake.escaping import printable
from lotus_lake.scheduler.exits import Exit
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.stop import Stop
from lotus_lake.scheduler.tick import Settings, Tick, build_arguments

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
A tick takes the run lock, looks for new files without starting dbt, and ends when there are none.
Otherwise it runs `dbt build` of the streams with news and of everything downstream, in as many
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


class Parser(argparse.ArgumentParser):
    """Exits with the scheduler's own code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}. See --help.", file=sys.stderr)
        sys.exit(Exit.USAGE)


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
    found = parser.parse_args(arguments)
    if found.loop is not None and not found.loop > 0:
        parser.error(f"--loop is {found.loop:g}; it has to be more than 0 seconds")
    if problem := _variables_problem(found.vars):
        parser.error(problem)
    if found.dry_run and (found.loop is not None or found.maintain):
        parser.error("--dry-run goes with neither --loop nor --maintain")
    return found


def _variables_problem(text: str | None) -> str | None:
    """Why dbt could not take these variables, or None."""
    if not text:
        return None
    # Takes a moment to import, which a tick without variables has no use for.
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if isinstance(found, dict):
        return None
    return f"--vars is '{text}'; it has to be YAML like '{{feed_max_files: 100}}'"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    os.chdir(PROJECT)  # dbt wants to be there; the lake's relative paths begin there too
    log = Log(options.log_format)
    try:
        stop = Stop(log, _grace())
        settings = Settings.from_env(PROJECT, full=options.full, variables=options.vars)
    except LakeError as error:
        log.error(f"{error} (exit code {int(Exit.USAGE)})", exit_code=int(Exit.USAGE))
        return Exit.USAGE
    if options.dry_run:
        return dry_run(settings, log, stop)
    stop.listen()
    if options.loop is None:
        return once(settings, log, stop, options.maintain)
    return loop(settings, log, stop, options.loop, options.maintain)


def once(settings: Settings, log: Log, stop: Stop, maintain: bool) -> Exit:
    """One tick."""
    tick = Tick(settings, log, stop)
    return tick.maintain() if maintain else tick.run()


def loop(settings: Settings, log: Log, stop: Stop, seconds: float, maintain: bool) -> Exit:
    """Ticks until somebody asks for the end; one that goes wrong does not end it."""
    from lotus_lake.scheduler.news import code_digest

    code, known = Exit.OK, code_digest(settings.project, settings.config, settings.variables)
    while not stop.requested:
        started = time.monotonic()
        try:
            code = once(settings, log, stop, maintain)
        except Exception as error:
            code = Exit.FAILED
            log.error(f"The tick ended with {type(error).__name__}: {error}", exit_code=int(code))
        stop.sleep(max(0.0, seconds - (time.monotonic() - started)))
        digest = code_digest(settings.project, settings.config, settings.variables)
        if digest != known and not stop.requested:
            log.info("The project's code has changed: starting anew with it.")
            os.execv(sys.executable, [sys.executable, *sys.argv])
    return code


def dry_run(settings: Settings, log: Log, stop: Stop) -> Exit:
    """Say what a tick would do."""
    from lotus_lake.scheduler.exits import Unreachable

    try:
        look = Tick(settings, log, stop).preview()
    except LakeError as error:
        code = Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
        log.error(f"{error} (exit code {int(code)})", exit_code=int(code))
        return code
    command = " ".join(["dbt", *build_arguments(look.selectors, settings.variables)])
    if log.form == "json":
        log.info(
            "dry run",
            everything=look.everything,
            streams=[
                {
                    "stream": one.label,
                    "files": len(one.files),
                    "bytes": one.bytes,
                    "why": one.reason,
                }
                for one in look.streams
            ],
            tables=look.tables,
            late=look.late,
            command=None if look.nothing else command,
        )
        return Exit.OK
    if look.nothing:
        print("Nothing new: a tick would build nothing.")
        return Exit.OK
    rows = [("stream", "new files", "bytes", "why")]
    rows += [(s.label, f"{len(s.files):,}", f"{s.bytes:,}", s.reason) for s in look.streams]
    rows += [(table, "", "", "changed since its readers read it") for table in look.tables]
    if look.late:
        rows.append((look.late, "", "", "nothing arrives for longer than its freshness allows"))
    if look.everything:
        rows.append(("everything", "", "", look.everything))
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for stream, files, size, why in rows:
        line = f"{stream:<{widths[0]}}  {files:>{widths[1]}}  {size:>{widths[2]}}  {why}"
        print(printable(line))
    print(f"\nA tick would run: {command}")
    return Exit.OK


def _grace() -> float:
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
