"""`make watch`: a build on each save, that starts at once and is in nobody's way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.lake import PROJECT, Lake

MODEL = "models/enriched/sales/fct_daily_sales.sql"


class Watch:
    """A running `make watch`, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        self._read = 0

    def next(self, text: str = "Waiting for a save") -> str:
        """What it prints until the end of its next build."""
        end = time.monotonic() + 60
        while text not in (new := self.output.read_text()[self._read :]):
            assert self.process.poll() is None, f"it ended:\n{new}"
            assert time.monotonic() < end, f"'{text}' did not come:\n{new}"
            time.sleep(0.05)
        self._read += new.index(text) + len(text)
        return new


@contextmanager
def watching(lake: Lake, project: Path, *select: str) -> Iterator[Watch]:
    """Start it, and end it as a person does."""
    output = lake.home / "watch.txt"
    with open(output, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "scripts/watch.py", *select],
            cwd=project,
            env=lake.environment,
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


def copied(project: Path) -> Path:
    """The project, with models of its own."""
    project.mkdir()
    for part in PROJECT.iterdir():
        if part.name not in ("models", "target", "logs", ".lake"):
            (project / part.name).symlink_to(part)
    shutil.copytree(PROJECT / "models", project / "models")
    return project


def test_a_build_on_each_save(reference_copy: Lake, tmp_path: Path) -> None:
    """A save builds; mistakes are shown and do not end it; in between, the lake is free."""
    lake = reference_copy
    project = copied(tmp_path / "project")
    model = project / MODEL
    good = model.read_text()
    with watching(lake, project, "fct_daily_sales") as watch:
        first = watch.next()
        assert re.search(r"Done. PASS=\d+ WARN=0 ERROR=0", first), first

        model.write_text(good.replace("select * from final", "selct * from final"))
        assert "ERROR=1" in watch.next()
        model.write_text(good.replace("is_counted and", "is_counted {{ nope( }} and"))
        broken = watch.next()
        assert "Compilation Error" in broken

        # While it waits it has nothing of the lake open, and others do as they like.
        opened = Path(f"/proc/{watch.process.pid}/fd")
        assert not [
            name for file in opened.iterdir() if "catalog.sqlite" in (name := os.readlink(file))
        ]
        assert lake.build_quickly("--select", "fct_sales", "--full-refresh").ok

        model.write_text(good.replace("as returning_customers", "+ 1000 as returning_customers"))
        failed = watch.next()
        assert "ERROR=1" in failed
        assert "new_and_returning_customers_of_a_day" in failed, "the unit test has to fail"

        model.write_text(f"{good}\n-- A comment at the end.\n")
        last = watch.next()
        assert "Saved: fct_daily_sales.sql" in last
        assert "ERROR=0" in last, last
    assert lake.value("select max(returning_customers) from fct_daily_sales") < 1000


def test_nothing_named(lake: Lake, tmp_path: Path) -> None:
    """It says how to name something."""
    done = subprocess.run(
        [sys.executable, "scripts/watch.py"],
        cwd=PROJECT,
        env=lake.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    assert "make watch SELECT=fct_sales" in done.stderr


def test_nothing_selected(reference_copy: Lake, tmp_path: Path) -> None:
    """A name that selects nothing at the start is a mistake."""
    done = subprocess.run(
        [sys.executable, "scripts/watch.py", "fct_none"],
        cwd=copied(tmp_path / "project"),
        env=reference_copy.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64, done.stdout
    assert "fct_none: selects nothing" in done.stderr
