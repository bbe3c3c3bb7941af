"""`lake watch`: a build on each save, that starts at once and is in nobody's way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.small_project import MODELS, Shop

pytestmark = pytest.mark.slow

MODEL = "models/fct_statuses.sql"
COMMAND = [sys.executable, "-m", "lotus_lake", "watch"]


class Watch:
    """A running `lake watch`, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        self._read = 0

    def next(self, text: str = "Waiting for a save") -> str:
        """What it prints until the end of its next build."""
        end = time.monotonic() + 180
        while text not in (new := self.output.read_text()[self._read :]):
            assert self.process.poll() is None, f"it ended:\n{new}"
            assert time.monotonic() < end, f"'{text}' did not come:\n{new}"
            time.sleep(0.05)
        self._read += new.index(text) + len(text)
        return new


@contextmanager
def watching(shop: Shop, *select: str) -> Iterator[Watch]:
    """Start it, and end it as a person does."""
    output = shop.lake.home / "watch.txt"
    with open(output, "wb") as file:
        process = subprocess.Popen(
            [*COMMAND, *select],
            cwd=shop.project,
            env=shop.lake.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Watch(process, output)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "No longer watching." in output.read_text()
        assert "Traceback" not in output.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_build_on_each_save(shop: Shop, small_project: Path) -> None:
    """A save builds; mistakes are shown and do not end it; in between, the lake is free."""
    good, branch = MODELS[MODEL], shop.lake.branch("watch_ann")
    shop.lake.environment["USER"] = "ann"
    shop.write(MODEL, good)
    with watching(shop, "fct_statuses") as watch:
        first = watch.next()
        assert "on branch watch_ann" in first
        assert re.search(r"Done\. PASS=\d+ WARN=0 ERROR=0", first), first

        shop.write(MODEL, good.replace("select", "selct"))
        assert "ERROR=1" in watch.next()
        shop.write(MODEL, good.replace("group by", "{{ nope( }} group by"))
        broken = watch.next()
        assert "Compilation Error" in broken

        # While it waits it has nothing of the lake open, and others do as they like.
        opened = Path(f"/proc/{watch.process.pid}/fd")
        assert not [
            name for file in opened.iterdir() if "catalog.sqlite" in (name := os.readlink(file))
        ]
        others = {"DBT_PROJECT_DIR": str(small_project)}
        assert shop.lake.build_quickly("--full-refresh", environment=others).ok

        shop.write(MODEL, good.replace("count(*)", "count(*) + 1000"))
        last = watch.next()
        assert "Saved: fct_statuses.sql" in last
        assert "ERROR=0" in last, last
    found = "select min(orders) from fct_statuses"
    assert branch.value(found) > 1000 > shop.lake.value(found)
    assert shop.lake.command("branch", "drop", "watch_ann").code == 0


def test_nothing_to_watch(shop: Shop) -> None:
    """It says how to name something; a name that selects nothing at the start is a mistake."""
    for select, said in (
        ([], "Missing argument 'SELECT...'"),
        (["fct_none"], "fct_none selects nothing"),
    ):
        done = subprocess.run(
            [*COMMAND, *select],
            cwd=shop.project,
            env=shop.lake.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 64, done.stdout
        assert said in done.stderr
