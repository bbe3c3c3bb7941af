"""What is known of a landed file before it is fed: its columns and rows, or why it cannot be.

Files are scanned by a process of its own (``lotus_lake.scan``), so that one that crashes its
reader, or takes too much memory or time, is a bad file and not the end of the run.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import duckdb

from lotus_lake import s3
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.schema.types import Type, literal
from lotus_lake.scratch import Scratch
from lotus_lake.wording import counted

# The exit codes of a scanning process that met its limit of memory, or of processor time where no
# signal says so.
OUT_OF_MEMORY, OUT_OF_TIME = 77, 78
OUT_OF_MEMORY_REASON = (
    "it takes more memory to read than LAKE_MEMORY_LIMIT allows. Raise that, and then have it "
    "scanned again with `lake release`"
)
_TOO_LONG = (OUT_OF_TIME, -getattr(signal, "SIGPROF", 0))
_TOO_MUCH = (OUT_OF_MEMORY, -getattr(signal, "SIGKILL", 0))
# A crash counts when it comes again: it may have been the machine's.
_CRASHES = 2
# Files scanned by one request; more would have to be scanned again, one by one, after a crash.
_FILES_AT_ONCE = 256

# What SQL's error() begins with where a row is refused.
CHECK_FAILED = "refused: "

# How pyarrow and DuckDB say that the store did not answer as it should, and the system that DuckDB
# cannot spill or write. An answer of 503 that is longer than what was asked for is an "internal
# failure" to pyarrow, which then does not retry.
_TRANSIENT = re.compile(
    r"AWS Error (NETWORK_CONNECTION|INTERNAL_FAILURE|SLOW_DOWN|SERVICE_UNAVAILABLE|THROTTLING"
    r"|REQUEST_TIMEOUT|UNKNOWN \(HTTP status 5)"
    r"|curlCode|error for HTTP (GET|HEAD|PUT|POST)|\bHTTP (408|429|5\d\d)\b"
    r"|Content-Length from server mismatches"
    r"|(?i:no space left|file too large|quota exceeded)"
)


@dataclass(frozen=True)
class Limits:
    """What a landed file may ask of its reader; docs/feeder.md has them as settings."""

    depth: int = 64  # levels of objects and lists inside each other
    columns: int = 2000  # and fields inside them
    ratio: int = 500  # how many times as large as the file its content may be
    value_bytes: int = 128 << 20  # characters of a line of text, or of a value of a CSV
    seconds: int = 120  # of processor time, beside one for each megabyte of the file


class Unreadable(Exception):
    """A file that cannot be fed, and why; a transient reason says nothing about the file."""

    def __init__(self, reason: str, is_transient: bool = False) -> None:
        super().__init__(reason, is_transient)
        self.is_transient = is_transient

    def __str__(self) -> str:
        return str(self.args[0])


def is_transient(error: BaseException | None) -> bool:
    """Whether an error is the store's or the machine's, and not the file's."""
    return bool(_TRANSIENT.search(str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, and not too little disk to spill to."""
    return isinstance(error, duckdb.OutOfMemoryException | MemoryError) and not is_transient(error)


@dataclass(frozen=True)
class Probe:
    file: LandedFile
    format: str  # parquet, csv or jsonl
    schema: dict[str, Type] = field(default_factory=dict)  # in the file's order
    rows: int = 0
    generation: int | None = None  # the greatest, by the footer's statistics
    content_bytes: int = 0  # of its rows, before compression
    rewritten: str = ""  # where a text's rows are, as Parquet

    @property
    def group(self) -> tuple[str, tuple[tuple[str, Type], ...]]:
        """Files with the same group can be read in one statement."""
        return (self.format, tuple(self.schema.items()))


def relation(probes: Sequence[Probe], landing: Landing) -> str:
    """SQL of the rows of files of one group: their columns, ``__uri`` and ``__row``."""
    first = probes[0]
    if first.format == "parquet":
        uris = ", ".join(literal(landing.uri(probe.file.path)) for probe in probes)
        return (
            f"(select * rename (file_row_number as __row) from read_parquet([{uris}],"
            " hive_partitioning = false, union_by_name = false, filename = '__uri',"
            " file_row_number = true))"
        )
    files = ", ".join(literal(probe.rewritten) for probe in probes)
    rows = f"read_parquet([{files}], hive_partitioning = false)"
    if first.format == "csv":
        return f"(select * from {rows})"
    structure = json.dumps(Type.struct(list(first.schema.items())).json_structure())
    return f"(select unnest(from_json(json, {literal(structure)})), __uri, __row from {rows})"


class Prober:
    """Has files scanned; what was rewritten of texts stays until it is cleared."""

    def __init__(self, landing: Landing, limits: Limits | None = None) -> None:
        self.landing = landing
        self._limits = limits or Limits()
        self._scratch: Scratch | None = None

    def probe(self, files: Sequence[LandedFile]) -> list[tuple[LandedFile, Probe | Unreadable]]:
        """Scan files; a file's result never depends on the others'.

        Raises:
            LakeError: The folder for rewritten texts cannot be made.
        """
        results: list[Probe | Unreadable] = []
        for start in range(0, len(files), _FILES_AT_ONCE):
            part = files[start : start + _FILES_AT_ONCE]
            results += self._ask(part, "scan", part)
            # If some file ended the process, those without a result are scanned one by one.
            results += [
                self._alone(file, "scan", [file])
                for file in files[len(results) : start + len(part)]
            ]
        return list(zip(files, results, strict=True))

    def json_type(self, probe: Probe, column: str, path: tuple[str, ...]) -> Type:
        """The type of the JSON in a text column of a file, or in a field of a column.

        Raises:
            Unreadable: It is no JSON, or cannot be read.
        """
        found: Type | Unreadable = self._alone(probe.file, "json_type", probe, column, path)
        if isinstance(found, Unreadable):
            raise found
        return found

    def relation(self, probes: Sequence[Probe]) -> str:
        return relation(probes, self.landing)

    def clear(self) -> None:
        """Remove what was rewritten of texts; their probes cannot be read any more."""
        if self._scratch:
            self._scratch.remove()
            self._scratch = None

    def _alone(self, file: LandedFile, method: str, *arguments: Any) -> Any:
        """The result for one file, or why it ends the process."""
        for _ in range(_CRASHES):
            if results := list(self._ask([file], method, *arguments)):
                return results[0]
            code = _process(_environment()).exit_code
            if code in _TOO_LONG:
                return Unreadable(
                    f"it takes more than {counted(self._limits.seconds, 'second')} of processor "
                    "time to read, and one more for each megabyte (feed_max_seconds)"
                )
            if code == OUT_OF_MEMORY:
                break
        if code in _TOO_MUCH:
            return Unreadable(OUT_OF_MEMORY_REASON)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Unreadable(f"it crashes its reader ({name})")

    def _ask(self, files: Sequence[LandedFile], method: str, *arguments: Any) -> Iterator[Any]:
        """The results of a method of ``scan.scanner.Scanner``, up to the end of the process."""
        if self._scratch is None:
            self._scratch = Scratch()
        seconds = self._limits.seconds + sum(file.size for file in files) // 10**6
        question = (self.landing.url, self._scratch.path, self._limits, seconds)
        yield from _process(_environment()).ask(*question, method, arguments)


class _Process:
    """The process that scans; it is started when it is needed, and ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_code = 0

    def ask(self, *request: Any) -> Iterator[Any]:
        """Send a request and receive the results, until there are no more or the process ends."""
        with self._lock:
            process = self._process = self._process or _started()
            assert process.stdin and process.stdout
            try:
                send(request, process.stdin)
                while (result := pickle.load(process.stdout)) is not None:
                    yield result
            except (EOFError, OSError, pickle.UnpicklingError):
                # It has ended, perhaps in the middle of an answer.
                self._end()
            except BaseException:
                # What is still to come would be taken for the next answer.
                process.kill()
                self._end()
                raise

    def _end(self) -> None:
        """Forget the process; it ends as its pipes are closed."""
        process, self._process = self._process, None
        assert process and process.stdin and process.stdout
        for pipe in (process.stdout, process.stdin):
            with contextlib.suppress(OSError):
                pipe.close()
        self.exit_code = process.wait()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lotus_lake.scan"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Interrupted by its pipes alone, which end with this process.
        start_new_session=True,
    )


def send(message: Any, pipe: IO[bytes]) -> None:
    pickle.dump(message, pipe)
    pipe.flush()


@functools.lru_cache(maxsize=1)
def _process(_: tuple[str, ...]) -> _Process:
    """The process of this environment, which it has inherited."""
    return _Process()


def _environment() -> tuple[str, ...]:
    return tuple(
        os.environ.get(name, "") for name in (*s3.VARIABLES, "LAKE_MEMORY_LIMIT", "LAKE_TEMP_DIR")
    )


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line, without the value that could not be converted."""
    text = str(error).strip()
    if isinstance(error, duckdb.ConversionException):
        text = re.sub("'.*'", "'...'", text, flags=re.DOTALL)
    return next(iter(text.splitlines()), type(error).__name__)


def reason_of(error: duckdb.Error, what: str) -> str:
    """Why a file is in quarantine: the check that refused a row, or what failed and how."""
    line = in_a_line(error)
    _, is_check, reason = line.partition(CHECK_FAILED)
    return reason if is_check else f"{what}: {line}"
