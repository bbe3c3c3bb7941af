"""The scheduler's lines: for people, or one JSON object each."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, cast

from lotus_lake.escaping import printable


class Log:
    """Writes lines to standard output, ``human`` or ``json``."""

    def __init__(self, form: str = "human") -> None:
        self.form = form
        self._out = sys.stdout
        self.tick_id: str | None = None

    def info(self, message: str, **fields: Any) -> None:
        self._write("info", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        self._write("warn", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write("error", message, fields)

    @contextlib.contextmanager
    def around_dbt(self) -> Iterator[None]:
        """Keep to the format while dbt and the feeder print."""
        if self.form != "json":
            yield
            return
        lines = _JsonLines(self)
        with contextlib.redirect_stdout(cast(IO[str], lines)):
            yield
        lines.flush()

    def raw(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        if self.form == "json":
            entry = {
                "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "level": level,
                "logger": "scheduler",
                "tick_id": self.tick_id,
                "msg": message,
                **fields,
            }
            self.raw(json.dumps(entry, default=str))
            return
        mark = {"info": "", "warn": "WARNING ", "error": "ERROR "}[level]
        # In UTC, like dbt's.
        now = time.strftime("%H:%M:%S", time.gmtime())
        self.raw(f"{now}  scheduler: {mark}{printable(message)}")


class _JsonLines(io.TextIOBase):
    """Passes lines of JSON on, and makes entries of others."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)
        return len(text)

    def flush(self) -> None:
        self._line(self._rest)
        self._rest = ""

    def writable(self) -> bool:
        return True

    def _line(self, line: str) -> None:
        if line.startswith('{"'):
            self._log.raw(line)
        elif line.strip():
            self._log.info(line.strip())
