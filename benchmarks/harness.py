"""What the benchmarks share: lakes of their own, and processes that are measured."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DBT = str(Path(sys.executable).with_name("dbt"))


@dataclass(frozen=True)
class Spent:
    """Seconds that passed while a process ran, processor seconds that it used, what it printed."""

    passed: float
    used: float
    output: str


def fresh(place: Path) -> Path:
    """Return a path at which nothing is."""
    shutil.rmtree(place, ignore_errors=True)
    return place


def lake(work: Path, landing: Path, name: str = "lake") -> dict[str, str]:
    """Return the environment of a lake that does not exist yet."""
    place = fresh(work / name)
    return {
        **os.environ,
        "LAKE_LANDING_URL": str(landing),
        "LAKE_CATALOG": f"sqlite:{place}/catalog.sqlite",
        "LAKE_DATA_URL": f"{place}/data/",
        "LAKE_TEMP_DIR": f"{place}/tmp",
        "DBT_TARGET_PATH": f"{place}/target",
        "DBT_LOG_PATH": f"{place}/logs",
    }


def run(command: list[str], environment: dict[str, str] | None = None) -> Spent:
    """Run a process to its end, in the project's folder; stop everything if it fails."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    passed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(passed, used, done.stdout)


def peak_memory() -> int:
    """Megabytes. From /proc, because rusage keeps the peak of the process that forked this one."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
