"""Runs dbt, or `lake`, in a process of its own, without paying for its import each time.

Python's fork server imports dbt once; each run is a fork of it. So a run has its own environment,
its own DuckDB and its own exit code, can run beside others, and can be killed like any process.
"""

from __future__ import annotations

import faulthandler
import functools
import importlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

PROJECT = Path(__file__).resolve().parents[2]

_CONTEXT = multiprocessing.get_context("forkserver")
# dbt itself, and what it would otherwise make of itself in each of its processes anew.
_CONTEXT.set_forkserver_preload(["tests.system.warm"])


class Ended(Protocol):
    """What a process did."""

    code: int
    output: str


E = TypeVar("E", bound=Ended)


def surviving(run: Callable[[], E]) -> E:
    """Run a process to its end, and once more if DuckDB took it down.

    Native code may crash (seen once in some thousand runs: glibc's abort for a damaged heap). That
    is one more way to be killed at a random moment, after which the next run has to go on. It is
    told as a warning in pytest's closing lines, with the places in Python at which it happened.
    """
    ended = run()
    if ended.code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
        warnings.warn(f"a native crash, {ended.code}:\n{ended.output[-3000:]}", stacklevel=3)
        ended = run()
    return ended


@dataclass(frozen=True)
class Crash:
    """A place in the code at which the process kills itself with SIGKILL.

    Args:
        place: ``module:Class.method`` or ``module:function``.
        after: Die when the call has returned, not when it begins.
        call: Which call of it, counted from 1.
    """

    place: str
    after: bool = False
    call: int = 1

    def arm(self) -> None:
        """Put the crash in place, in the process that is to die."""
        module, _, path = self.place.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        original = getattr(owner, name)
        calls = 0

        @functools.wraps(original)
        def dying(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.call and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if calls == self.call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, dying)


def start(
    words: Sequence[str], environment: Mapping[str, str], output: Path, crash: Crash | None = None
) -> Any:
    """Start ``dbt`` or ``lake``, with an environment of its own, and a file for what it prints."""
    process = _CONTEXT.Process(
        target=_run, args=(list(words), dict(environment), str(output), crash), daemon=False
    )
    process.start()
    return process


def _run(words: list[str], environment: dict[str, str], output: str, crash: Crash | None) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(PROJECT)
    sys.path.insert(0, str(PROJECT))
    if crash:
        crash.arm()
    _share_parsed_projects()
    from dbt.cli.main import cli

    from lotus_lake.cli import main

    sys.argv = words
    (main if words[0] == "lake" else cli)(words[1:])


def _share_parsed_projects() -> None:
    """Let lakes in different places use each other's parsed project.

    dbt parses everything anew when the profile differs, which holds the places of each lake.
    Parsing depends on none of them, and takes longer than a small build.
    """
    from dbt.contracts.files import FileHash
    from dbt.parser.manifest import ManifestLoader

    original = ManifestLoader.build_manifest_state_check

    def build_manifest_state_check(self: Any) -> Any:
        state = original(self)
        state.profile_hash = FileHash.from_contents("any lake")
        return state

    ManifestLoader.build_manifest_state_check = build_manifest_state_check
