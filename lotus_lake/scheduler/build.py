"""dbt, run inside this process, and what came of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lotus_lake.config import LakeConfig, LakeError, full_places
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.stop import Stop

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

# Where macros refuse what a person has set: dbt names the macro that raised the error first.
_REFUSED = re.compile(r"> in macro (_refuse_variable|declare_streams) ")


@dataclass(frozen=True)
class Problem:
    """A node, or dbt as a whole, that did not end well.

    Args:
        node: Its name; empty for dbt as a whole.
        message: What it says, in one line.
        usage: A variable, or a stream's declaration, was refused before anything was built.
    """

    node: str
    message: str
    usage: bool = False

    @property
    def away(self) -> bool:
        """Whether it says that the catalog or a store is away."""
        return bool(_AWAY.search(self.message))

    @property
    def advice(self) -> str:
        """What to do before the command, if anything."""
        if _FULL.search(self.message):
            places = " and ".join(full_places(LakeConfig.from_env()))
            there = f"in {places}" if places else "there"
            return f"Free space {there}, or name another place (LAKE_DATA_URL, LAKE_TEMP_DIR)."
        if "out of memory" in self.message.lower():
            return "Raise LAKE_MEMORY_LIMIT."
        return "Check that PostgreSQL and S3 are well (PG*, AWS_*)." if self.away else ""

    def said(self, more: str = "") -> str:
        """All of it, in sentences."""
        text = f"{self.node or 'dbt'}: {self.message}{more}".rstrip(".")
        return f"{text}. {self.advice}".rstrip()


@dataclass(frozen=True)
class Result:
    """What one dbt command did.

    Args:
        command: What a person would type for it.
        errors: What failed.
        warnings: Tests of severity error that warned.
        nodes: How many nodes ran.
        interrupted: Whether it was cut short.
    """

    command: str
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    nodes: int = 0
    interrupted: bool = False


def target_folder() -> Path:
    """Where dbt writes its artefacts."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target")


def run(arguments: Sequence[str], log: Log, stop: Stop) -> Result:
    """Run a dbt command in this process, and let go of the lake afterwards.

    Args:
        arguments: The command and its options.
        log: Whose format dbt's lines keep to.
        stop: What ends it early.
    """
    from dbt.cli.main import dbtRunner
    from dbt_common.exceptions import DbtBaseException

    _trace_to_the_file_only()
    said: list[str] = []

    def listen(event: Any) -> None:
        """Keep what dbt says of an operation that failed: its result does not."""
        if event.info.name == "RunningOperationCaughtError":
            said.append(event.data.exc)

    class CutShort(KeyboardInterrupt, DbtBaseException):
        """Cancels queries as Ctrl-C does, without dbt's traceback."""

    words = [*arguments, *(["--log-format", "json"] if log.form == "json" else [])]
    command = " ".join(["dbt", *(f"'{word}'" if " " in word else word for word in arguments)])
    try:
        with log.around_dbt(), stop.build(CutShort("cut short")):
            outcome = dbtRunner(callbacks=[listen]).invoke(words)
    except CutShort:  # in between
        return Result(command, interrupted=True)
    finally:
        _let_go()
    for place in full_places(LakeConfig.from_env()):
        log.warn(f"No space is left in {place}.")
    errors, warnings = [], []
    results = getattr(outcome.result, "results", None) or []
    for one in results:
        # An operation has a result without a node.
        node = getattr(one, "node", None)
        message = one.message or "".join(said[-1:]) or "dbt's lines above say why"
        problem = Problem(node.name if node else "", _line(message), _is_refused(message))
        severity = str(getattr(node.config, "severity", "")).lower() if node else ""
        if str(one.status) in ("error", "fail", "runtime error"):
            errors.append(problem)
        elif str(one.status) == "warn" and severity == "error":
            warnings.append(problem)
    interrupted = isinstance(outcome.exception, CutShort)
    if outcome.exception is not None and not interrupted:
        message = str(outcome.exception)
        usage = _is_refused(message) or isinstance(outcome.exception.__context__, LakeError)
        errors.append(Problem("", _line(message), usage))
    elif not outcome.success and not errors and not interrupted:
        errors.append(Problem("", "dbt failed; its lines above say why."))
    return Result(command, errors, warnings, len(results), interrupted)


def _is_refused(message: str) -> bool:
    """Whether dbt says that a macro refused what a person has set."""
    return bool(_REFUSED.search(message))


def _line(text: str) -> str:
    """The line of a dbt message that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    others = re.compile(r"(\w+ Error|Error) in |>|compiled code at |(Database|Runtime) Error$")
    said = [line for line in lines if not others.match(line)]
    return " ".join((said or lines)[:2])[:500]


def _trace_to_the_file_only() -> None:
    """Keep dbt's traceback out of the scheduler's lines.

    dbt prints one when DuckDB gives itself up in the middle (its PostgreSQL client does when the
    server goes away at certain moments). What happened is in the lines above it, and what to do in
    the scheduler's last line, which a person called at night should not have to look for.
    """
    from dbt.events.types import MainStackTrace
    from dbt_common.events.base_types import EventLevel

    MainStackTrace.level_tag = lambda self: EventLevel.DEBUG  # type: ignore[method-assign]


def _let_go() -> None:
    """Close dbt's DuckDB, which otherwise stays attached to the lake as long as the process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager as Manager

    environment = Manager._ENV
    if environment is not None:
        environment.close()
    Manager._ENV = None
