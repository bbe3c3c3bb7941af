"""One tick: lock, pending changes, build, publish, alert."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError, is_s3, names_no_bucket
from lotus_lake.exits import Exit, Locked, Unreachable
from lotus_lake.landing import open_landing
from lotus_lake.scheduler import artifacts
from lotus_lake.scheduler.alerts import Alerts, Report
from lotus_lake.scheduler.build import Dbt, Problem, Result
from lotus_lake.scheduler.catalog import Catalog, open_catalog
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.pending import (
    EVERYTHING,
    BadFile,
    Lake,
    Pending,
    Stream,
    code_digest,
    find_pending,
    selector,
)
from lotus_lake.scheduler.stop import CUT_SHORT, Stop
from lotus_lake.wording import counted

_ME = "lake tick"


@dataclass(frozen=True)
class Settings:
    """What a tick needs to know."""

    project: Path
    config: LakeConfig
    full: bool = False  # build everything, whether or not something is pending
    variables: str | None = None  # dbt's --vars
    artifacts_url: str | None = None
    webhook: str | None = None  # a secret

    @classmethod
    def from_env(cls, project: Path, *, full: bool, variables: str | None) -> Settings:
        """Read them from the environment; LakeError says which variable is wrong or missing."""
        config = LakeConfig.from_env()
        url = os.environ.get("LAKE_ARTIFACTS_URL") or None
        webhook = os.environ.get("LAKE_ALERT_WEBHOOK") or None
        if webhook and not webhook.startswith(("http://", "https://")):
            raise LakeError("LAKE_ALERT_WEBHOOK has to begin with http:// or https://.")
        if url and (names_no_bucket(url) or ("://" in url and not is_s3(url))):
            raise LakeError(
                f"LAKE_ARTIFACTS_URL is '{url}'; it has to be a local path or s3://bucket/prefix."
            )
        for place in (config.landing_url, config.data_url, url or ""):
            if is_s3(place):
                s3.open_bucket(s3.split_url(place)[0])
        return cls(project, config, full, variables, url, webhook)

    def code(self) -> str:
        """The digest of what a build would be made with now."""
        return code_digest(self.project, self.config.target, self.variables)


class Scheduler:
    """Runs ticks; with ``keep_project``, dbt parses the project once for all of them."""

    def __init__(self, settings: Settings, log: Log, stop: Stop, keep_project: bool) -> None:
        self._settings = settings
        self._config = settings.config
        self._log = log
        self._stop = stop
        self._dbt = Dbt(log, stop, settings.variables, keep_project)
        self._alerts = Alerts(settings.webhook, settings.config, log)

    def tick(self) -> Exit:
        """Build what is pending, and say what to do when something is wrong."""
        return self._guarded(self._build_pending)

    def maintain(self) -> Exit:
        """Run the lake's maintenance under the same lock."""
        return self._guarded(self._maintain)

    def pending(self) -> Pending:
        """What a tick would build; nothing is locked, written or built."""
        catalog = open_catalog(self._config)
        try:
            return self._find_pending(catalog)
        finally:
            catalog.close()

    # -- around the work ---------------------------------------------------------------------------

    def _guarded(self, work: Callable[[Catalog], Report]) -> Exit:
        started = time.monotonic()
        tick_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
        self._log.tick_id = os.environ["LAKE_TICK_ID"] = tick_id
        catalog: Catalog | None = None
        try:
            catalog = open_catalog(self._config)
            catalog.snapshot()  # refuses what is no lake's before a lock is left beside it
            catalog.lock()
            report = work(catalog)
        except LakeError as error:
            report = Report(_exit_of(error), str(error))
        except Exception as error:
            traceback.print_exc()
            reason = f"The scheduler itself failed with {type(error).__name__}: {error}."
            report = Report(Exit.FAILED, reason, _ME)
        try:
            self._alerts.tell(report, lambda: self._quarantined(catalog), tick_id)
        except LakeError as error:
            self._log.warn(f"Nobody was told: {error} The next tick tries again.")
        finally:
            if catalog:
                catalog.close()
        self._say(report, time.monotonic() - started)
        return report.code

    def _say(self, report: Report, seconds: float) -> None:
        fields = {
            "exit_code": int(report.code),
            "seconds": round(seconds, 3),
            "streams": report.streams,
            "command": report.command if report.code else None,
        }
        if report.code == Exit.OK:
            self._log.info(f"{report.reason} ({seconds:.1f} s)", **fields)
            return
        advice = "" if report.code == Exit.LOCKED else f" Type: {report.command}"
        say = self._log.warn if report.code in (Exit.PARTIAL, Exit.LOCKED) else self._log.error
        code = f"(exit code {int(report.code)}, {seconds:.1f} s)"
        say(f"{report.reason}{advice} {code}", **fields)

    # -- the work ----------------------------------------------------------------------------------

    def _find_pending(self, catalog: Catalog) -> Pending:
        landing = open_landing(self._config.landing_url)
        if catalog.snapshot() is None:
            return {EVERYTHING: "Everything is built: there is no lake yet."}
        if self._settings.full:
            return {EVERYTHING: "Everything is built: --full was asked for."}
        with Lake(self._config) as lake:
            return find_pending(lake, landing, self._settings.code())

    def _streams(self, catalog: Catalog) -> list[Stream]:
        if catalog.snapshot() is None:
            return []
        with Lake(self._config) as lake:
            return lake.streams()

    def _quarantined(self, catalog: Catalog | None) -> list[str]:
        """The streams with files in quarantine that nobody has removed since."""
        streams = self._streams(catalog) if catalog else []
        landing = open_landing(self._config.landing_url)
        return [stream.label for stream in streams if stream.bad_files(landing)]

    def _build_pending(self, catalog: Catalog) -> Report:
        pending = self._find_pending(catalog)
        if not pending:
            report = Report(Exit.OK, "Nothing new.", idle=True)
        elif self._stop.requested:
            return Report(Exit.FAILED, CUT_SHORT, _ME)
        else:
            report = self._build(catalog, pending)
        self._publish(catalog)
        return report

    def _build(self, catalog: Catalog, pending: Pending) -> Report:
        """Build in as many rounds as the backlog needs."""
        for line in pending.values():
            self._log.info(line)
        os.environ["LAKE_CODE_DIGEST"] = self._settings.code()
        streams = self._streams(catalog)
        before = {file for stream in streams for file in stream.bad}
        results: list[Result] = []
        selectors = list(pending)
        while True:
            results.append(self._dbt.run(*build_arguments(selectors)))
            if results[-1].interrupted:
                return Report(Exit.FAILED, CUT_SHORT, _ME)
            if not results[-1].nodes:
                break
            versions = {stream.label: stream.version for stream in streams}
            streams = self._streams(catalog)
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

    def _maintain(self, catalog: Catalog) -> Report:
        # What looks for pending changes starts faster without them.
        import duckdb

        from lotus_lake import maintenance, settings
        from lotus_lake.operations import upkeep
        from lotus_lake.operations.lake import opened

        command = f"{_ME} --maintain"
        try:
            with self._stop.build(KeyboardInterrupt()), opened("maintain") as lake:
                given = settings.of_project(self._settings.variables)
                self._log.info(maintenance.HEADER)
                for step in upkeep.maintain(lake, given, self._log.warn):
                    self._log.info(str(step))
        except (KeyboardInterrupt, RuntimeError, duckdb.Error) as error:
            if self._stop.is_interrupted:
                return Report(Exit.FAILED, CUT_SHORT, command)
            if not isinstance(error, duckdb.Error):
                raise
            problem = Problem("", str(error))
            return Report(problem.exit, f"Maintenance failed: {problem.text()}", command)
        return Report(Exit.OK, "Maintained.", idle=True)

    def _publish(self, catalog: Catalog) -> None:
        """Publish the last build's artifacts; what fails is tried again by the next tick."""
        url = self._settings.artifacts_url
        if not url or self._stop.requested or catalog.snapshot() is None:
            return
        try:
            with Lake(self._config) as lake:
                last = lake.last
            if last:
                artifacts.publish_build(url, self._settings.project, self._config, last, self._dbt)
        except LakeError as error:
            self._log.warn(f"LAKE_ARTIFACTS_URL: {error} The next tick tries again.")


def build_arguments(selectors: Iterable[str]) -> list[str]:
    """dbt's arguments for a build."""
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


def _exit_of(error: LakeError) -> Exit:
    if isinstance(error, Locked):
        return Exit.LOCKED
    return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
