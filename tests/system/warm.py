"""Imported by the fork server before it forks: what dbt prepares at its first use is ready then.

dbt compiles its classes' readers and writers, its schemas and its macros when it first needs them.
In a process of its own that is more than a second of each run, for nothing that a run could change.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import dbt.adapters.duckdb  # noqa: F401
import pyarrow.parquet  # noqa: F401
from dbt.cli.main import dbtRunner

from tests.system.dbt_process import PROJECT

PARSE = ["--quiet", "parse"]


def warm() -> None:
    """Parse the project as most runs do: from what another process has parsed it to.

    That reads no file of a lake and opens no database. Nor may it start a thread, for which forks
    would wait for ever; parsing anew would, which is why the other process does that.
    """
    before, place, threads = dict(os.environ), os.getcwd(), _threads()
    with tempfile.TemporaryDirectory() as home, open(os.devnull, "w") as nowhere:
        os.environ.update(
            DBT_TARGET="local",
            DBT_TARGET_PATH=f"{home}/target",
            DBT_LOG_PATH=f"{home}/logs",
            LAKE_CATALOG=f"sqlite:{home}/catalog.sqlite",
            LAKE_DATA_URL=f"{home}/data",
            LAKE_LANDING_URL=f"{home}/landing",
        )
        os.chdir(PROJECT)
        command = Path(sys.executable).with_name("dbt")
        parsed = subprocess.run([command, *PARSE], stdout=nowhere, check=False)
        if parsed.returncode == 0:
            with redirect_stdout(nowhere):
                dbtRunner().invoke(PARSE)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(before)
    assert _threads() == threads, "a thread has started, for which forks would wait for ever"
    # What is here now stays; no fork has to look through it for garbage.
    gc.collect()
    gc.freeze()


def _threads() -> int:
    """How many there are, those of native code included; where there is no telling, none."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0


warm()
