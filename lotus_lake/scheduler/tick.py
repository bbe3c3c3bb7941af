"""Ticks: lock, pending changes, build, publish, alert; once, or every so many seconds."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError, check_place, is_s3
from lotus_lake.connection import is_catalog
from lotus_lake.exits import Exit, exit_code
from lotus_lake.landing import open_landing
from lotus_lake.locks import run_lock
from lotus_lake.scheduler import artifacts
from lotus_lake.scheduler.alerts import Alerts, Report
from lotus_lake.scheduler.build import Dbt, Problem, Result
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.pending import (
    EVERYTHING,
    BadFile,
    Lake,
    Pending,
    Stream,
    code_digest,
    reading,
    selector,
)
from lotus_lake.scheduler.stop import Stop
from lotus_lake.settings import is_current, project_folder, target_folder
from lotus_lake.wording import counted

_ME = "lake tick"
_CUT_SHORT = Report(
    Exit.FAILED,
    "The build was cut short. Nothing is half-written: what had not committed is not in the lake, "
    "and the next tick goes on from there.",
    _ME,
)


def run(
    full: bool,
    maintain: bool,
    dry_run: bool,
    loop: float | None,
    variables: str | None,
    log_format: str,
) -> Exit:
    """Run ticks, one each ``loop`` seconds if that is given; the exit code of the last one."""
    log = Log(log_format)
    try:
        scheduler = Scheduler(log, full, variables, keep_project=loop is not None)
        if dry_run:
            scheduler.dry_run()
            return Exit.OK
    except LakeError as error:
        code = exit_code(error)
        log.error(f"{error} (exit code {int(code)})", exit_code=int(code))
        return code
    return scheduler.run(maintain, loop)


class Scheduler:
    """Runs ticks as the environment says.

    Raises:
        LakeError: A variable is wrong or missing.
    """

    def __init__(self, log: Log, full: bool, variables: str | None, keep_project: bool) -> None:
        self._config = LakeConfig.from_env()
        self._artifacts_url = os.environ.get("LAKE_ARTIFACTS_URL") or ""
        self._serving_url = os.environ.get("LAKE_SERVING_URL") or ""
        webhook = os.environ.get("LAKE_ALERT_WEBHOOK") or None
        if webhook and not webhook.startswith(("http://", "https://")):
            raise LakeError("LAKE_ALERT_WEBHOOK has to begin with http:// or https://.")
        if self._artifacts_url:
            check_place("LAKE_ARTIFACTS_URL", self._artifacts_url)
        for place in (self._config.landing_url, self._config.data_url, self._artifacts_url):
            if is_s3(place):
                s3.open_bucket(s3.split_url(place)[0])
        self._log = log
        self._full = full
        self._variables = variables
        self._stop = Stop(log, _grace_seconds(), lambda: self._conclude(_CUT_SHORT))
        self._dbt = Dbt(log, variables, keep_project)
        self._alerts = Alerts(webhook, self._config, log)

    def dry_run(self) -> None:
        """Say what a tick would do; nothing is locked, written or built."""
        pending = self._find_pending()
        for line in pending.values():
            self._log.info(line)
        if pending:
            self._log.info(f"A tick would run: {' '.join(['dbt', *build_arguments(pending)])}")
        else:
            self._log.info("Nothing new: a tick would build nothing.")

    def run(self, maintain: bool, loop: float | None) -> Exit:
        """Do a tick, or the lake's upkeep under the same lock; again after so many seconds."""
        self._stop.listen()
        work = self._maintain if maintain else self._build_pending
        code, known = self._guarded(work), self._code() if loop else ""
        while loop and not self._stop.requested:
            self._stop.sleep(loop)
            if self._code() != known and not self._stop.requested:
                self._log.info("The project has changed: the scheduler starts again with it.")
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
            if not self._stop.requested:
                code = self._guarded(work)
        return code

    def _code(self) -> str:
        return code_digest(project_folder(), self._config.target, self._variables)

    # -- around the work ---------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], Report]) -> Exit:
        self._started = time.monotonic()
        tick_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
        self._log.tick_id = os.environ["LAKE_TICK_ID"] = tick_id
        with contextlib.ExitStack() as held:
            try:
                if self._config.sqlite_path:
                    is_catalog(self._config.sqlite_path)  # no lock is left beside another's file
                held.enter_context(run_lock(self._config))
                report = work()
            except LakeError as error:
                report = Report(exit_code(error), str(error))
            except Exception as error:
                traceback.print_exc()
                reason = f"The scheduler itself failed with {type(error).__name__}: {error}."
                report = Report(Exit.FAILED, reason, _ME)
            self._conclude(report)
        return report.code

    def _conclude(self, report: Report) -> None:
        """Tell and say how a tick ended."""
        with self._or_next_tick("Nobody was told"):
            self._alerts.tell(report, self._quarantined)
        seconds, code = time.monotonic() - self._started, int(report.code)
        fields = {
            "exit_code": code,
            "seconds": round(seconds, 3),
            "streams": report.streams,
            "command": report.command if code else None,
        }
        if report.code == Exit.OK:
            self._log.info(f"{report.reason} ({seconds:.1f} s)", **fields)
            return
        advice = "" if report.code == Exit.LOCKED else f" Type: {report.command}"
        say = self._log.warn if report.code in (Exit.PARTIAL, Exit.LOCKED) else self._log.error
        say(f"{report.reason}{advice} (exit code {code}, {seconds:.1f} s)", **fields)

    @contextlib.contextmanager
    def _or_next_tick(self, what: str) -> Iterator[None]:
        """Leave to the next tick what fails here: what was built stays built."""
        try:
            yield
        except LakeError as error:
            self._log.warn(f"{what}: {error} The next tick tries again.")

    # -- the work ----------------------------------------------------------------------------------

    def _find_pending(self) -> Pending:
        landing = open_landing(self._config.landing_url)
        if self._full:
            return {EVERYTHING: "Everything is built: --full was asked for."}
        with reading(self._config) as lake:
            if lake:
                return lake.pending(landing, self._code())
        return {EVERYTHING: "Everything is built: there is no lake yet."}

    def _streams(self) -> list[Stream]:
        with reading(self._config) as lake:
            return lake.streams() if lake else []

    def _quarantined(self) -> list[str]:
        """The streams with files in quarantine that nobody has removed since."""
        landing = open_landing(self._config.landing_url)
        return [stream.label for stream in self._streams() if stream.bad_files(landing)]

    def _build_pending(self) -> Report:
        pending = self._find_pending()
        if not pending:
            report = Report(Exit.OK, "Nothing new.", idle=True)
        elif self._stop.requested:
            return _CUT_SHORT
        else:
            report = self._build(pending)
        self._publish()
        return report

    def _build(self, pending: Pending) -> Report:
        """Build in as many rounds as the backlog needs."""
        for line in pending.values():
            self._log.info(line)
        os.environ["LAKE_CODE_DIGEST"] = self._code()
        streams = self._streams()
        before = {file for stream in streams for file in stream.bad}
        results: list[Result] = []
        selectors = list(pending)
        while True:
            results.append(self._dbt.run(*build_arguments(selectors)))
            if not results[-1].nodes:
                break
            versions = {stream.label: stream.version for stream in streams}
            streams = self._streams()
            selectors = [
                selector(stream.label)
                for stream in streams
                if stream.backlog and stream.version > versions.get(stream.label, 0)
            ]
            if not selectors or self._stop.requested:
                break
            self._log.info(f"Round {len(results) + 1}: more files wait for {' '.join(selectors)}.")
        bad = [file for stream in streams for file in stream.bad if file not in before]
        return judge(results, bad)

    def _maintain(self) -> Report:
        # What looks for pending changes starts faster without them.
        from lotus_lake import settings
        from lotus_lake.operations import upkeep
        from lotus_lake.operations.lake import opened

        try:
            with opened("maintain") as lake:
                given = settings.of_project(self._variables)
                self._log.info(upkeep.HEADER)
                for step in upkeep.maintain(lake, given, self._log.warn):
                    self._log.info(str(step))
        except duckdb.Error as error:
            problem = Problem("", str(error))
            reason = f"Maintenance failed: {problem.text()}"
            return Report(problem.exit, reason, f"{_ME} --maintain")
        return Report(Exit.OK, "Maintained.", idle=True)

    def _publish(self) -> None:
        if self._stop.requested or not (self._artifacts_url or self._serving_url):
            return
        with self._or_next_tick("Nothing is published"), reading(self._config) as lake:
            last = lake.last if lake else None
            if last and self._artifacts_url:
                with self._or_next_tick("LAKE_ARTIFACTS_URL"):
                    artifacts.publish_build(self._artifacts_url, self._config, last, self._dbt)
            if lake and last and self._serving_url and not last.failed:
                with self._or_next_tick("Not published"):
                    self._publish_marts(lake, last.code)

    def _publish_marts(self, lake: Lake, code: str) -> None:
        """Bring the tables that BI tools read to what the last build left."""
        from lotus_lake.publication.publish import publish

        if steps := publish(self._config, lake.connection, self._serving_url, code, self._manifest):
            rows = sum(step.written for step in steps)
            written = f"{counted(len(steps), 'table')}, {counted(rows, 'row')}"
            self._log.info(f"Published: {written} written.")

    def _manifest(self) -> Path:
        """dbt's manifest of the project as it is, which a new pod has not yet."""
        manifest = target_folder() / artifacts.MANIFEST
        if not is_current(manifest) and self._dbt.run("parse").errors:
            raise LakeError("dbt cannot parse the project; the lines above say why.")
        return manifest


def build_arguments(selectors: Iterable[str]) -> list[str]:
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    return arguments if EVERYTHING in selectors else [*arguments, "--select", *selectors]


def judge(results: list[Result], quarantined: list[BadFile]) -> Report:
    """The report of a build, from its rounds and the files that it put into quarantine."""
    errors = [problem for result in results for problem in result.errors]
    warnings = [problem for result in results for problem in result.warnings]
    codes, reasons, commands = [Exit.OK], [], []
    if errors:
        worst = max(errors, key=lambda problem: problem.exit)
        codes.append(worst.exit)
        reasons.append(worst.text(_more(errors)))
        nodes = " ".join(dict.fromkeys(problem.node for problem in errors if problem.node))
        is_failure = nodes and worst.exit == Exit.FAILED
        commands.append(f"dbt build --select {nodes}" if is_failure else _ME)
    if quarantined:
        codes.append(Exit.PARTIAL)
        first = quarantined[0]
        reasons.append(f"quarantined {first.path}: {first.reason}{_more(quarantined)}.")
        commands.append("lake status")
    if warnings:
        codes.append(Exit.PARTIAL)
        reasons.append(f"{warnings[0].node} warned: {warnings[0].line}.")
        commands.append(f"dbt test --select {warnings[0].node}")
    if not reasons:
        rounds = f" in {len(results)} rounds" if len(results) > 1 else ""
        built = counted(sum(result.nodes for result in results), "node")
        reasons.append(f"Built{rounds}: {built}.")
    failed = [problem.node for problem in errors if problem.node.startswith("stg_")]
    streams = {node.removeprefix("stg_").replace("__", ".", 1) for node in failed}
    streams |= {file.stream for file in quarantined}
    return Report(max(codes), " ".join(reasons), "".join(commands[:1]), sorted(streams))


def _more(things: Sequence[object]) -> str:
    return f" (and {len(things) - 1} more)" if len(things) > 1 else ""


def _grace_seconds() -> float:
    text = os.environ.get("LAKE_GRACE_SECONDS") or "25"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e6:
        raise LakeError(f"LAKE_GRACE_SECONDS is '{text}'; it has to be a number of seconds.")
    return seconds
