"""The process that scans: its limits, and the requests that it answers."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from typing import IO

import duckdb

from lotus_lake.config import is_s3, memory_limit
from lotus_lake.connection import CONNECT_CONFIG, s3_sql
from lotus_lake.landing import open_landing
from lotus_lake.probe import OUT_OF_MEMORY, OUT_OF_TIME, Limits, send
from lotus_lake.scan.scanner import Scanner

# What the process has before it reads anything: the interpreter, DuckDB, Arrow and their threads.
_IDLE_BYTES = 512 << 20
# For _watch(), in processor time.
_deadline = float("inf")


def serve() -> None:
    """Answer requests from standard input on standard output, until the former is closed.

    A request is a landing zone, a folder for rewritten texts, limits, seconds, and the name of a
    method of :class:`Scanner` with its arguments. An answer is the method's results, one by one,
    and then None. Whatever takes too much memory or time ends the process.
    """
    # Elsewhere only DuckDB's part is limited.
    if sys.platform == "linux":
        import resource

        most = memory_limit() + _IDLE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, OSError):
        while True:
            _answer(sys.stdin.buffer, answers)


def _answer(requests: IO[bytes], answers: IO[bytes]) -> None:
    landing_url, folder, limits, seconds, method, arguments = pickle.load(requests)
    _end_after(seconds)
    try:
        scanner = _scanner(landing_url, folder, limits)
        for result in getattr(scanner, method)(*arguments):
            send(result, answers)
    except (MemoryError, duckdb.OutOfMemoryException):
        os._exit(OUT_OF_MEMORY)
    _end_after(0)
    send(None, answers)


def _end_after(seconds: float) -> None:
    """End the process after so much processor time, which no slow store takes; 0 for never."""
    global _deadline
    if sys.platform != "win32":
        # Whatever the process is doing then.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return
    _deadline = time.process_time() + seconds if seconds else float("inf")
    if not any(thread.name == _watch.__name__ for thread in threading.enumerate()):
        threading.Thread(target=_watch, name=_watch.__name__, daemon=True).start()


def _watch() -> None:
    """Where there is no such signal: look every second."""
    while time.process_time() < _deadline:
        time.sleep(1)
    os._exit(OUT_OF_TIME)


def _scanner(landing_url: str, folder: str, limits: Limits) -> Scanner:
    # Half of the memory for DuckDB; what is read of a text is Python's, and then Arrow's.
    connection = duckdb.connect(
        config={
            **CONNECT_CONFIG,
            "memory_limit": f"{memory_limit() // 2}B",
            "threads": "1",
            "temp_directory": f"{folder}/spill",
        }
    )
    for statement in s3_sql() if is_s3(landing_url) else []:
        connection.execute(statement)
    return Scanner(connection, open_landing(landing_url), limits, folder)
