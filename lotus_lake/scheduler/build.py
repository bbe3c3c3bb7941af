"""dbt, run inside this process, and what came of it."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass, field
from typing import Any

from lotus_lake.config import LakeConfig, LakeError, full_places
from lotus_lake.exits import Exit
from lotus_lake.scheduler.logs import Log

# How DuckDB, libpq and HTTP clients say that the other side is away. Only looked for in errors.
_AWAY = re.compile(
    r"connection (to server|refused|reset|timed out)|could not (connect|establish connection)"
    r"|server closed the connection|terminating connection|no connection to the server"
    r"|cannot be (listed|attached|read at)|too many (connections|clients)"
    r"|remaining connection slots"
    r"|(http|curl) error|HTTP (GET|PUT|HEAD|POST) error|error for HTTP (GET|PUT|HEAD|POST)"
    r"|AWS Error|status code 5\d\d|SSL SYSCALL",
    re.IGNORECASE,
)

_FULL = re.compile(
    r"no space left|file too large|quota exceeded|max_temp_directory_size|disk is full",
    re.IGNORECASE,
)

# How a run says that it refuses what a person has set.
_REFUSED = re.compile(
    r"\bVariable \w+ is '|> in macro _operate .*\s+> called by macro _declare_streams "
)


@dataclass(frozen=True)
class Problem:
    """A node, or dbt as a whole, that did not end well."""

    node: str  # empty for dbt as a whole
    message: str
    refused: bool = False  # before anything was built, something that a person has set

    @property
    def exit(self) -> Exit:
        if self.refused or _REFUSED.search(self.message):
            return Exit.USAGE
        return Exit.UNREACHABLE if _AWAY.search(self.message) else Exit.FAILED

    @property
    def line(self) -> str:
        """The line of the message that says what happened."""
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        others = re.compile(r"(\w+ Error|Error) in |>|compiled code at |(Database|Runtime) Error$")
        telling = [line for line in lines if not others.match(line)]
        return " ".join((telling or lines)[:2])[:500]

    def text(self, more: str = "") -> str:
        """What happened and what to check, in sentences."""
        sentence = f"{self.node or 'dbt'}: {self.line}{more}".rstrip(".")
        return f"{sentence}. {self._advice()}".rstrip()

    def _advice(self) -> str:
        if _FULL.search(self.message):
            places = " and ".join(full_places(LakeConfig.from_env()))
            there = f"in {places}" if places else "there"
            return f"Free space {there}, or name another place (LAKE_DATA_URL, LAKE_TEMP_DIR)."
        if "out of memory" in self.message.lower():
            return "Raise LAKE_MEMORY_LIMIT."
        if self.exit == Exit.UNREACHABLE:
            return "Check that PostgreSQL and S3 are well (PG*, AWS_*)."
        return ""


@dataclass(frozen=True)
class Result:
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)  # tests of severity error that warned
    nodes: int = 0


class Dbt:
    """Runs dbt commands; with ``keep_project``, it parses the project once for all of them."""

    def __init__(self, log: Log, variables: str | None, keep_project: bool) -> None:
        self._log = log
        self._variables = ["--vars", variables] if variables else []
        self._keep_project = keep_project
        self._project = b""

    def run(self, *words: str) -> Result:
        """Run a command, and release the lake afterwards."""
        _trace_to_the_file_only()
        try:
            with self._log.around_dbt():
                outcome = self._invoke([*words, *self._variables])
        finally:
            close_duckdb()
        for place in full_places(LakeConfig.from_env()):
            self._log.warn(f"No space is left in {place}.")
        return _result(outcome)

    def _invoke(self, words: list[str]) -> Any:
        from dbt.cli.main import dbtRunner

        if self._log.form == "json":
            words += ["--log-format", "json"]
        if self._keep_project and not self._project:
            parsed = dbtRunner().invoke(["--quiet", "parse", *self._variables]).result
            self._project = pickle.dumps(parsed) if parsed else b""
        # A command writes into what it was given. Its own deepcopy() fails at saved queries.
        project = pickle.loads(self._project) if self._project else None
        return dbtRunner(project).invoke(words)


def _result(outcome: Any) -> Result:
    from dbt.cli.exceptions import DbtUsageException

    errors, warnings = [], []
    results = getattr(outcome.result, "results", None) or []
    for result in results:
        # An operation has a result without a node.
        node = getattr(result, "node", None)
        message = result.message or "dbt's lines above say why"
        problem = Problem(node.name if node else "", message)
        severity = str(getattr(node.config, "severity", "")).lower() if node else ""
        if str(result.status) in ("error", "fail", "runtime error"):
            errors.append(problem)
        elif str(result.status) == "warn" and severity == "error":
            warnings.append(problem)
    if outcome.exception is not None:
        causes = (outcome.exception, outcome.exception.__context__)
        refused = any(isinstance(cause, LakeError | DbtUsageException) for cause in causes)
        errors.append(Problem("", str(outcome.exception), refused))
    elif not outcome.success and not errors:
        errors.append(Problem("", "dbt failed; its lines above say why."))
    return Result(errors, warnings, len(results))


def _trace_to_the_file_only() -> None:
    """Keep dbt's traceback out of the scheduler's lines: dbt prints one when DuckDB's PostgreSQL
    client gives up in the middle, below the line that says what happened."""
    from dbt.events.types import MainStackTrace
    from dbt_common.events.base_types import EventLevel

    MainStackTrace.level_tag = lambda self: EventLevel.DEBUG  # type: ignore[method-assign]


def close_duckdb() -> None:
    """Close dbt's DuckDB, which otherwise stays attached to the lake as long as the process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager as Manager

    environment = Manager._ENV
    if environment is not None:
        environment.close()
    Manager._ENV = None
