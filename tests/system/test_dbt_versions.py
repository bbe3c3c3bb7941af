"""The lake on the oldest dbt that `require-dbt-version` allows; all else runs on the newest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.dbt_process import PROJECT
from tests.system.lake import Lake

# What of the locked packages is another one for it.
OLDEST = ("dbt-core==1.11.16", "dbt-semantic-interfaces==0.9.0")

SELECTED = ("+dim_jaffle_shop__customers", "jaffle_shop_payment_methods")


@pytest.mark.slow
def test_the_oldest_dbt(new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """It feeds a stream, builds what reads it with its tests, and then finds nothing to do."""
    lake = new_lake()
    folder = lake.landing / "jaffle_shop/orders/year=2024/month=01/day=01"
    folder.mkdir(parents=True)
    (folder / "orders.csv").write_text("id,user_id,order_date,status\n1,7,2024-01-01,placed\n")
    uv, python = Path(sys.executable).with_name("uv"), tmp_path / "venv/bin/python"
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"],
        [*install, "--require-hashes", "-r", PROJECT / "requirements.lock"],
        [*install, *OLDEST],
    ):
        subprocess.run(command, check=True, timeout=300)
    for _ in range(2):
        built = subprocess.run(
            [python.with_name("dbt"), "build", "--select", *SELECTED],
            cwd=PROJECT,
            env=lake.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert built.returncode == 0, built.stdout
        assert "Running with dbt=1.11" in built.stdout
    assert "not run, because" in built.stdout
    assert lake.query("select order_id, status from fct_jaffle_shop__orders") == [(1, "placed")]
    shutil.rmtree(tmp_path / "venv")
