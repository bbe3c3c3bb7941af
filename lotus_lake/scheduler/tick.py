"""One tick: lock, news, build, publish, remember, alert."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError, is_s3, names_no_bucket
from lotus_lake.landing import Landing, open_landing
from lotus_lake.scheduler import alerts, artifacts, build, news
from lotus_lake.scheduler.catalog import Catalog, open_catalog
from lotus_lake.scheduler.exits import Exit, Locked, Unreachable, worst
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.state import State
from lotus_lake.scheduler.stop import CUT_SHORT, Stop
from lotus_lake.scheduler.store import open_store

_ME = "python scripts/scheduler.py"
# What the id of a tick begins with: ids sort as ticks came.
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Settings:
    """What a tick needs to know.

    Args:
        project: The project's folder.
        config: Where the lake lies.
        full: Build everything, whether or not there is news.
        variables: dbt's ``--vars``, or None.
        artifacts_url: Where to publish what dbt wrote, or None.
        webhook: Where to send alerts, or None; a secret.
    """

    project: Path
    config: LakeConfig
    full: bool = False
    variables: str | None = None
    artifacts_url: str | None = None
    webhook: str | None = None

    @classmethod
    def from_env(cls, project: Path, *, full: bool, variables: str | None) -> Settings:
        """Read them from the environment.

        Raises:
            LakeError: A variable is wrong or missing.
        """
        config = LakeConfig.from_env()
        artifacts_url = os.environ.get("LAKE_ARTIFACTS_URL") or None
        webhook = os.environ.get("LAKE_ALERT_WEBHOOK") or None
        if webhook and not webhook.startswith(("http://", "https://")):
            raise LakeError("LAKE_ALERT_WEBHOOK has to begin with http:// or https://.")
        if artifacts_url and "://" in artifacts_url and not is_s3(artifacts_url):
            raise LakeError(
                f"LAKE_ARTIFACTS_URL is '{artifacts_url}': only local paths and s3://bucket/prefix "
                "are supported."
            )
        if artifacts_url and names_no_bucket(artifacts_url):
            raise LakeError("LAKE_ARTIFACTS_URL names no bucket: it has to be s3://bucket/prefix.")
        for url in (config.landing_url, config.data_url, artifacts_url or ""):
            if is_s3(url):
                s3.open_bucket(s3.split_url(url)[0])
        return cls(project, config, full, variables, artifacts_url, webhook)


@dataclass
class Report:
    """What a tick did.

    Args:
        code: What it exits with.
        idle: Nothing was built.
        streams: The streams that something is wrong with.
        reason: What is wrong, or what was done, in one line.
        command: What to type.
        files: (stream, path) of files that went into quarantine.
    """

    code: Exit
    idle: bool = False
    streams: list[str] = field(default_factory=list)
    reason: str = ""
    command: str = f"{_ME} --dry-run"
    files: list[tuple[str, str]] = field(default_factory=list)


class Tick:
    """One run of the scheduler.

    Args:
        settings: What to do, and where.
        log: Where to say what happens.
        stop: What ends it early.
    """

    def __init__(self, settings: Settings, log: Log, stop: Stop) -> None:
        self._settings = settings
        self._log = log
        self._stop = stop
        self._id = f"{datetime.now(UTC):{_TIME}}-{os.urandom(3).hex()}"
        self._state = State(settings.config)
        self._changed = False
        self._started = time.monotonic()
        log.tick_id = os.environ["LAKE_TICK_ID"] = self._id

    def run(self) -> Exit:
        """Run it, and say what to do when something is wrong."""
        return self._guarded(self._work)

    def maintain(self) -> Exit:
        """Run the lake's maintenance under the same lock."""
        return self._guarded(self._maintain)

    def preview(self) -> news.Look:
        """What a tick would find; nothing is locked, written or built.

        Raises:
            LakeError: The catalog or the landing zone cannot be read.
        """
        catalog = open_catalog(self._settings.config)
        try:
            for problem in self._state.load(catalog):
                self._log.warn(problem)
            return self._look(catalog, self._landing(), self._code())
        finally:
            catalog.close()

    # -- around the work ---------------------------------------------------------------------------

    def _guarded(self, work: Callable[[Catalog], Report]) -> Exit:
        catalog: Catalog | None = None
        try:
            try:
                catalog = open_catalog(self._settings.config)
                catalog.snapshot()  # refuses what is no lake's before a lock is left beside it
                catalog.lock()
                self._remember_from(catalog)
                report = work(catalog)
            except Locked as locked:
                self._say(Report(Exit.LOCKED, reason=str(locked)))
                return Exit.LOCKED
            except Unreachable as away:
                report = Report(Exit.UNREACHABLE, reason=str(away))
            except LakeError as wrong:
                report = Report(Exit.USAGE, reason=str(wrong))
            except Exception as error:
                traceback.print_exc()
                reason = f"The scheduler itself failed with {type(error).__name__}: {error}."
                report = Report(Exit.FAILED, reason=reason, command=_ME)
            if not self._state.data:
                self._remember_from(catalog)
            self._alert(report)
            if self._changed:
                for problem in self._state.save(catalog):
                    self._log.warn(problem)
            self._say(report)
            return report.code
        finally:
            if catalog:
                catalog.close()

    def _remember_from(self, catalog: Catalog | None) -> None:
        for problem in self._state.load(catalog):
            self._log.warn(problem)

    def _say(self, report: Report) -> None:
        seconds = time.monotonic() - self._started
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
        say(f"{report.reason}{advice} (exit code {int(report.code)}, {seconds:.1f} s)", **fields)

    def _alert(self, report: Report) -> None:
        """Tell the webhook when this is another state than the one that it was told last."""
        condition = self._condition(report)
        told = self._state.data.get("told")
        if not condition.worth_telling(told):
            return
        if self._settings.webhook:
            problem = alerts.post(self._settings.webhook, condition.payload(told, self._id))
            if problem:
                self._log.warn(f"LAKE_ALERT_WEBHOOK: {problem}. The next tick tries again.")
                return
        self._state.data["told"] = condition.remembered()
        self._changed = True

    def _condition(self, report: Report) -> alerts.Condition:
        """How things stand: a tick that is fine does not empty the quarantine."""
        standing = self._state.data.get("standing")
        if report.code == Exit.PARTIAL:
            files = {(stream, path) for stream, path in report.files}
            for stream, path in (standing or {}).get("files", []):
                if self._is_bad(stream, path):
                    files.add((stream, path))
            standing = {
                "files": sorted(files),
                "streams": sorted({*report.streams, *(stream for stream, _ in files)}),
                "reason": report.reason,
                "command": report.command,
            }
        elif report.code == Exit.OK and standing:
            files_left = [file for file in standing["files"] if self._is_bad(*file)]
            if not files_left and (standing["files"] or not report.idle):
                standing = None
        if self._state.data.get("standing") != standing:
            self._state.data["standing"] = standing
            self._changed = True
        if report.code == Exit.OK and standing:
            return alerts.Condition(
                Exit.PARTIAL, standing["streams"], standing["reason"], standing["command"]
            )
        return alerts.Condition(report.code, report.streams, report.reason, report.command)

    def _is_bad(self, stream: str, path: str) -> bool:
        streams = (self._state.data.get("memory") or {}).get("streams", {})
        return path in streams.get(stream, {}).get("bad", [])

    # -- the work ----------------------------------------------------------------------------------

    def _landing(self) -> Landing:
        try:
            return open_landing(self._settings.config.landing_url)
        except LakeError as error:
            raise Unreachable(str(error)) from error

    def _code(self) -> str:
        return news.code_digest(
            self._settings.project, self._settings.config, self._settings.variables
        )

    def _look(self, catalog: Catalog, landing: Landing, code: str) -> news.Look:
        found = news.look(
            self._state.data.get("memory"), code, self._settings.config, catalog, landing
        )
        everything = found.everything
        if self._settings.full:
            everything = "--full was asked for"
        elif self._state.data.get("running"):
            everything = f"the run {self._state.data['running']} failed or was cut short"
        return replace(found, everything=everything, late=self._late())

    def _late(self) -> str | None:
        """The stream that nothing has arrived of for too long since the last build, or None.

        Nothing has landed then, so nothing else would have a build say so.
        """
        waited = self._state.data.get("late")
        if not waited or datetime.fromisoformat(waited["at"]) > datetime.now(UTC):
            return None
        return str(waited["stream"])

    def _next_late(self) -> dict[str, str] | None:
        """The stream that will be late next if nothing arrives, and when."""
        from lotus_lake.freshness import limits, next_late

        try:
            allowed = limits(build.target_folder() / artifacts.MANIFEST)
            fed = news.last_fed(self._settings.config)
        except LakeError as error:
            self._log.warn(f"It is unknown when a stream will be late: {error}")
            return None
        found = next_late(fed, allowed, datetime.now(UTC))
        return {"at": found[0].isoformat(), "stream": found[1]} if found else None

    def _work(self, catalog: Catalog) -> Report:
        landing, code, data = self._landing(), self._code(), self._state.data
        certain = not (self._settings.full or data.get("running") or self._late())
        if certain and news.nothing_new(data.get("memory"), code, catalog.snapshot(), landing):
            self._retry_publishing()
            return Report(Exit.OK, idle=True, reason="Nothing new.")
        before = self._look(catalog, landing, code)
        if before.nothing:
            data["memory"], self._changed = before.memory, True
            self._retry_publishing()
            return Report(Exit.OK, idle=True, reason="Nothing new.")
        if self._stop.requested:
            return Report(Exit.FAILED, reason=CUT_SHORT, command=_ME)
        return self._build(catalog, landing, code, before)

    def _build(self, catalog: Catalog, landing: Landing, code: str, before: news.Look) -> Report:
        data = self._state.data
        # Whatever happens from here on: until a build ends well, the next tick builds everything.
        data["running"] = self._id
        self._changed = True
        for problem in self._state.save(catalog):
            self._log.warn(problem)
        for line in describe(before):
            self._log.info(line)
        results: list[build.Result] = []
        published: dict[str, bytes] = {}
        look, selectors, lost = before, before.selectors, False
        while True:
            arguments = build_arguments(selectors, self._settings.variables)
            results.append(build.run(arguments, self._log, self._stop))
            name = f"_{len(results)}" if len(results) > 1 else ""
            if content := artifacts.read(build.target_folder(), artifacts.RUN_RESULTS):
                published[f"{artifacts.RUNS}{self._id}/run_results{name}.json"] = content
            if results[-1].interrupted:
                break
            lost = not catalog.holds_lock()
            previous, look = (
                look,
                news.look(before.memory, code, self._settings.config, catalog, landing),
            )
            selectors = _waiting(previous, look)
            if not selectors or self._stop.requested or lost:
                break
            self._log.info(f"Round {len(results) + 1}: more files wait for {' '.join(selectors)}.")
        report = self._judge(results, before, look)
        if lost and report.code in (Exit.OK, Exit.PARTIAL):
            report = Report(
                Exit.LOCKED, reason="The lock was lost on the way, and another run holds it now."
            )
        if report.code in (Exit.OK, Exit.PARTIAL):
            data["running"] = None
            data["memory"] = self._accept(before, look)
            data["late"] = self._next_late()
        data["last_run"] = {
            "tick_id": self._id,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "exit_code": int(report.code),
            "rounds": len(results),
            "seconds": round(time.monotonic() - self._started, 1),
        }
        if not results[-1].interrupted:
            self._publish(published, code)
        return report

    def _judge(self, results: list[build.Result], before: news.Look, after: news.Look) -> Report:
        """The report of a build."""
        if any(result.interrupted for result in results):
            return Report(Exit.FAILED, reason=CUT_SHORT, command=_ME)
        errors = [problem for result in results for problem in result.errors]
        warnings = [problem for result in results for problem in result.warnings]
        bad = news.quarantined_since(before, after)
        codes, reasons, command = [Exit.OK], [], ""
        if errors:
            away = self._away() or next((one.said() for one in errors if one.away), None)
            first = errors[0]
            codes.append(exit_code(away, first))
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            reasons.append(away or first.said(more))
            nodes = " ".join(dict.fromkeys(one.node for one in errors if one.node))
            command = f"dbt build --select {nodes}" if nodes and not away else f"{_ME} --full"
            command = _ME if codes[-1] == Exit.USAGE else command
        if bad:
            codes.append(Exit.PARTIAL)
            _, path, reason = bad[0]
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            reasons.append(f"quarantined {path}: {reason}{more}.")
            command = command or "make status"
        if warnings:
            codes.append(Exit.PARTIAL)
            reasons.append(f"{warnings[0].node} warned: {warnings[0].message}.")
            command = command or f"dbt test --select {warnings[0].node}"
        if not reasons:
            rounds = f" in {len(results)} rounds" if len(results) > 1 else ""
            reasons.append(f"Built{rounds}: {sum(result.nodes for result in results)} nodes.")
        return Report(
            worst(codes),
            streams=sorted({*(stream for stream, _, _ in bad), *_streams_of(errors)}),
            reason=" ".join(reasons),
            command=command,
            files=[(stream, path) for stream, path, _ in bad],
        )

    def _away(self) -> str | None:
        """After a failure: which of the lake's places cannot be reached, or None."""
        config = self._settings.config
        try:
            catalog = open_catalog(config)
            try:
                catalog.snapshot()
            finally:
                catalog.close()
            self._landing().streams()
            open_store(config.data_url).has("is-it-there")
        except LakeError as error:
            return str(error)
        return None

    def _accept(self, before: news.Look, after: news.Look) -> dict[str, object] | None:
        """What to remember; files that were offered to the feeder and left by it are no news."""
        memory = after.memory
        offered = {stream.label: stream for stream in before.streams}
        for stream in after.streams:
            first = offered.get(stream.label)
            if first and stream.files and _versions(first) >= _versions(stream):
                self._log.warn(
                    f"{len(stream.files)} files of {stream.label} were not fed, the first is "
                    f"{stream.files[0].path}. Is the stream still declared in models/landing?"
                )
                if memory:
                    memory["streams"][stream.label]["news"] = False
        return memory

    def _maintain(self, catalog: Catalog) -> Report:
        catalog.snapshot()  # dbt would take ten seconds to find that it cannot be read
        arguments = ["run-operation", "maintain", *_variables(self._settings.variables)]
        result = build.run(arguments, self._log, self._stop)
        if result.interrupted:
            return Report(Exit.FAILED, reason=CUT_SHORT, command=f"{_ME} --maintain")
        if result.errors:
            away = self._away() or next((one.said() for one in result.errors if one.away), None)
            first = result.errors[0]
            reason = away or f"Maintenance failed: {first.said()}"
            return Report(exit_code(away, first), reason=reason, command=f"{_ME} --maintain")
        self._prune()
        return Report(Exit.OK, idle=True, reason="Maintained.")

    # -- publishing --------------------------------------------------------------------------------

    def _publish(self, runs: dict[str, bytes], code: str) -> None:
        """Publish artefacts; what fails is logged, and tried again by the next tick."""
        url, data = self._settings.artifacts_url, self._state.data
        if not url:
            return
        files = dict(runs)
        target = build.target_folder()
        for name in (artifacts.MANIFEST, artifacts.RUN_RESULTS):
            if content := artifacts.read(target, name):
                files[name] = content
        version = artifacts.site_version(self._settings.project, code)
        is_known = data.get("documented") == version and artifacts.is_there(url, artifacts.INDEX)
        files.update(self._status(target) if is_known else self._site(target))
        problem = artifacts.publish(url, files)
        if problem:
            self._log.warn(f"LAKE_ARTIFACTS_URL: {problem} The next tick tries again.")
        elif artifacts.INDEX in files:
            data["documented"] = version
        data["unpublished"] = sorted(runs) if problem else None

    def _site(self, target: Path) -> dict[str, bytes]:
        """The whole site, made anew; empty when it cannot be made."""
        from lotus_lake.site.build import build as build_site

        arguments = ["docs", "generate", *_variables(self._settings.variables)]
        result = build.run(arguments, self._log, self._stop)
        try:
            if not result.errors and not result.interrupted:
                build_site(self._settings.project, target, target / "site")
                return artifacts.files_of(target / "site", artifacts.SITE)
        except LakeError as error:
            self._log.warn(str(error))
        self._log.warn("The site could not be made; the lines above say why.")
        return {}

    def _status(self, target: Path) -> dict[str, bytes]:
        """The site's status page, made anew; empty when it cannot be made."""
        from lotus_lake.site import status

        try:
            page = status.page(self._settings.config, target / artifacts.MANIFEST)
        except LakeError as error:
            self._log.warn(f"The status page could not be made: {error}")
            return {}
        return {f"{artifacts.SITE}{status.PAGE}": page.encode()}

    def _prune(self) -> None:
        """Delete what was published of runs that the lake forgets too."""
        if url := self._settings.artifacts_url:
            days = timedelta(days=history_days(self._settings.project, self._settings.variables))
            if problem := artifacts.prune(url, f"{datetime.now(UTC) - days:{_TIME}}"):
                self._log.warn(f"LAKE_ARTIFACTS_URL: {problem} The next maintenance tries again.")

    def _retry_publishing(self) -> None:
        """Publish what an earlier tick could not."""
        data = self._state.data
        if self._settings.artifacts_url and data.get("unpublished"):
            self._changed = True
            content = artifacts.read(build.target_folder(), artifacts.RUN_RESULTS)
            runs = {name: content for name in data["unpublished"][-1:] if content}
            self._publish(runs, (data.get("memory") or {}).get("code", ""))


def build_arguments(selectors: list[str], variables: str | None) -> list[str]:
    """dbt's arguments for a build; no selectors for everything."""
    arguments = ["build", "--exclude-resource-type", "unit_test", *_variables(variables)]
    return [*arguments, "--select", *selectors] if selectors else arguments


def history_days(project: Path, variables: str | None) -> int:
    """For how many days runs are remembered: dbt's variable ``history_days``.

    Args:
        project: The project's folder.
        variables: dbt's ``--vars``, which win; maintenance has judged them by now.
    """
    # Takes a moment to import, which an idle tick has no use for.
    import yaml

    declared = yaml.safe_load((project / "dbt_project.yml").read_bytes())["vars"]
    given = yaml.safe_load(variables) if variables else {}
    return int({**declared, **given}["history_days"])


def describe(look: news.Look) -> list[str]:
    """What is to be built and why, one line each."""
    lines = [f"Everything is built: {look.everything}."] if look.everything else []
    for stream in look.streams:
        new = f"{len(stream.files):,} new files ({stream.bytes / 1e6:,.1f} MB)."
        lines.append(f"{stream.label}: {new if stream.files else stream.reason}")
    lines += [f"{table}: changed since its readers read it." for table in look.tables]
    if look.late:
        lines.append(f"{look.late}: nothing arrives for longer than its freshness allows.")
    return lines


def _variables(variables: str | None) -> list[str]:
    return ["--vars", variables] if variables else []


def exit_code(away: str | None, first: build.Problem) -> Exit:
    """What a build exits with whose first problem this is.

    Args:
        away: Which of the lake's places cannot be reached, or None.
        first: The problem.
    """
    if away:
        return Exit.UNREACHABLE
    return Exit.USAGE if first.usage else Exit.FAILED


def _waiting(previous: news.Look, now: news.Look) -> list[str]:
    """Selections for the next round: streams that the last one has fed in part."""
    known = previous.streams_known
    after = now.streams_known
    return [
        stream.selector
        for stream in now.streams
        if after[stream.label].backlog
        and (
            stream.label not in known
            or after[stream.label].cursor_version > known[stream.label].cursor_version
        )
    ]


def _versions(stream: news.StreamNews) -> set[tuple[str, str]]:
    return {(file.path, file.etag) for file in stream.files}


def _streams_of(problems: list[build.Problem]) -> set[str]:
    """The streams whose feeding failed."""
    return {
        one.node.removeprefix("stg_").replace("__", ".", 1)
        for one in problems
        if one.node.startswith("stg_")
    }
