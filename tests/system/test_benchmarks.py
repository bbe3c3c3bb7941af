"""Benchmarks still run; what they measure is no test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.conftest import PROJECT


@pytest.mark.slow
def test_first_load(tmp_path: Path) -> None:
    """The plain script writes the same tables as the lake, from the models as they are now."""
    small = ("--orders", "300", "--days", "10", "--repeat", "1", "--work", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_load", *small],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "first load of 300 orders" in done.stdout
