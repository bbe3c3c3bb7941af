"""The sample landing zone: written only where it may be."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from sample import LandingError, generate

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_landing.py"


def test_command(tmp_path: Path) -> None:
    """It overwrites nothing but a landing zone, and that only when it is told to."""
    out = tmp_path / "raw"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--out", str(out), "--orders", "100", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--days", "6").returncode == 2
    written = run("--days", "7")
    assert written.returncode == 0 and "shopify/orders" in written.stdout, written.stderr
    refused = run("--days", "7")
    assert refused.returncode == 2 and "not empty" in refused.stderr
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(LandingError, match="more than a landing zone"):
        generate(out, orders=100, days=7, seed=5, start=date(2025, 1, 1), force=True)
    (out / "thesis.txt").unlink()
    assert run("--days", "7", "--force").returncode == 0
    assert list(tmp_path.iterdir()) == [out]
