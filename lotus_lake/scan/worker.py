"""The process that scans: its limits, and the requests that it answers."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from multiprocessing.connection import Connection

import duckdb

from lotus_lake.config import is_s3, memory_limit
from lotus_lake.connection import CONNECT_CONFIG, s3_sql
from lotus_lake.landing import open_landing
from lotus_lake.probe import OUT_OF_MEMORY, Limits
from lotus_lake.scan.scanner import Scanner

# What the process has before it reads anything: the interpreter, DuckDB, Arrow and their threads.
_IDLE_BYTES = 512 << 20


def serve(channel_number: int) -> None:
    """Answer requests until the other end of the channel is closed.

    A request is a landing zone, a folder for rewritten texts, limits, seconds, and the name of a
    method of :class:`Scanner` with its arguments. An answer is the method's results, one by one,
    and then None. Whatever takes too much memory or time ends the process.
    """
    most = memory_limit() + _IDLE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(channel_number) as channel, contextlib.suppress(EOFError, ConnectionError):
        while True:
            _answer(channel)


def _answer(channel: Connection) -> None:
    landing_url, folder, limits, seconds, method, arguments = channel.recv()
    # Processor time, so that a slow store is no file's fault. The signal ends the process, whatever
    # it is doing.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        scanner = _scanner(landing_url, folder, limits)
        for result in getattr(scanner, method)(*arguments):
            channel.send(result)
    except (MemoryError, duckdb.OutOfMemoryException):
        os._exit(OUT_OF_MEMORY)
    signal.setitimer(signal.ITIMER_PROF, 0)
    channel.send(None)


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
