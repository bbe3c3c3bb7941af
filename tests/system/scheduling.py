"""Runs scripts/scheduler.py in a process of its own, over a lake of one's own.

ticks = Ticks(lake)
assert ticks.run().code == 0
assert ticks.run("--dry-run").says("Nothing new")
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.system import dbt_process
from tests.system.dbt_process import PROJECT
from tests.system.lake import Lake

SCRIPT = PROJECT / "scripts" / "scheduler.py"
_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Done:
    """What one process did."""

    code: int
    output: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        """The scheduler's own lines."""
        return [line for line in self.output.splitlines() if "  scheduler: " in line]

    def says(self, text: str) -> bool:
        """Whether a line of the scheduler has a text."""
        return any(text in line for line in self.lines)


@dataclass
class Running:
    """A scheduler that runs."""

    process: Any
    output: Path
    started: float

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until it has printed something."""
        end = time.monotonic() + seconds
        while text not in self.text():
            assert self.process.is_alive(), f"it ended before it said '{text}':\n{self.text()}"
            assert time.monotonic() < end, f"it did not say '{text}':\n{self.text()}"
            time.sleep(0.02)

    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process.exitcode is None:
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 240) -> Done:
        """Wait for its end."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"it still ran after {seconds} s:\n{self.text()}")
        return Done(self.process.exitcode, self.text(), time.monotonic() - self.started)


@dataclass
class Ticks:
    """Schedulers over one lake.

    Args:
        lake: The lake; its environment is theirs.
        environment: More variables.
    """

    lake: Lake
    environment: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """Start one, and return at once. A fork of a process that has imported dbt already."""
        self.runs += 1
        output = self.lake.home / f"tick-{self.runs}.txt"
        parsed = self.lake.parsed and self.lake.parsed / "scheduler.msgpack"
        self.lake.target.mkdir(parents=True, exist_ok=True)
        own = self.lake.target / "partial_parse.msgpack"
        if parsed and parsed.exists() and not own.exists():
            shutil.copy2(parsed, own)
        variables = {**self.lake.environment, **self.environment, **(environment or {})}
        process = _CONTEXT.Process(target=_run, args=(arguments, variables, str(output)))
        process.start()
        return Running(process, output, time.monotonic())

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, code: int = 0
    ) -> Done:
        """Run one to its end, which has to be with this exit code."""
        done = dbt_process.surviving(lambda: self.start(*arguments, environment=environment).wait())
        own = self.lake.target / "partial_parse.msgpack"
        if self.lake.parsed and own.exists():
            kept = self.lake.parsed / "scheduler.msgpack"
            if not kept.exists():
                arriving = kept.with_suffix(f".{os.getpid()}")
                shutil.copy2(own, arriving)
                arriving.replace(kept)
        assert done.code == code, done.output
        return done

    def command(
        self, *arguments: str, environment: Mapping[str, str] | None = None, code: int = 0
    ) -> Done:
        """The same as a person types it, in a new Python; and say which packages it imported."""
        started = time.monotonic()
        script = (
            "import runpy, sys\n"
            f"sys.argv = {[str(SCRIPT), *arguments]!r}\n"
            "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "finally:\n    heavy = {'dbt', 'pyarrow', 'boto3', 'rich', 'numpy'}\n"
            "    print('imported', sorted(heavy & set(sys.modules)))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={**self.lake.environment, **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        done = Done(ran.returncode, ran.stdout + ran.stderr, time.monotonic() - started)
        assert done.code == code, done.output
        return done

    def nodes(self) -> set[str]:
        """The nodes of the last dbt command."""
        results = json.loads((self.lake.target / "run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2] for result in results}


def _run(arguments: tuple[str, ...], environment: dict[str, str], output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(environment)
    # What a new process has; the test's own handlers are none of its business.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    sys.path.insert(0, str(PROJECT))
    dbt_process._share_parsed_projects()
    sys.argv = [str(SCRIPT), *arguments]
    runpy.run_path(str(SCRIPT), run_name="__main__")


@dataclass
class Webhook:
    """A server that takes messages."""

    url: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    delay: float = 0

    def take(self) -> list[dict[str, Any]]:
        """The messages since the last call."""
        found, self.messages[:] = list(self.messages), []
        return found


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Start such a server, and stop it at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(taker.delay)
            if taker.status == 200:
                taker.messages.append(json.loads(body))
            self.send_response(taker.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taker = Webhook(f"http://127.0.0.1:{server.server_port}/hooks/t0ps3cret")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield taker
    finally:
        server.shutdown()
        server.server_close()
