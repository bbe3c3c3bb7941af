"""The scheduler's lines: for people, or one JSON object each."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from lotus_lake.escaping import printable


class Log:
    """Writes lines to standard output, ``human`` or ``json``."""

    def __init__(self, form: str = "human") -> None:
        self.form = form
        self.tick_id: str | None = None

    def info(self, message: str, **fields: Any) -> None:
        """Say what happens."""
        self._write("info", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        """Say what somebody should know."""
        self._write("warn", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Say what went wrong, and what to do."""
        self._write("error", message, fields)

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
            print(json.dumps(entry, default=str), flush=True)
            return
        mark = {"info": "", "warn": "WARNING ", "error": "ERROR "}[level]
        # In UTC, like dbt's.
        now = time.strftime("%H:%M:%S", time.gmtime())
        print(f"{now}  scheduler: {mark}{printable(message)}", flush=True)
