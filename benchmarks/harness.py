"""What the benchmarks share: lakes of their own, and processes that are measured."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil
from rich.console import Console
from rich.table import Table

from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect, extension_file

PROJECT = Path(__file__).resolve().parent.parent
DBT = str(Path(sys.executable).with_name("dbt"))


@dataclass(frozen=True)
class Spent:
    """Seconds that passed while a process ran, processor seconds that it used, what it printed."""

    passed: float
    used: float
    output: str


def parser(description: str | None, repeat: int) -> argparse.ArgumentParser:
    """The options that benchmarks share."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--repeat", type=int, default=repeat, help="measurements of each kind")
    options.add_argument("--work", type=Path, default=PROJECT / ".lake/benchmark")
    return options


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, of figures but for its first column."""
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def ask(query: str, environment: Mapping[str, str] = os.environ) -> float:
    """What a SELECT of one number gives, from the lake of an environment."""
    with connect(LakeConfig.from_env(environment)) as connection:
        row = connection.execute(f"select {query}").fetchone()
    return float(row[0]) if row else 0


def plain_lake(place: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """An empty DuckLake in a folder, as plain DuckDB has it."""
    connection = duckdb.connect(config={"memory_limit": memory, "temp_directory": f"{place}/tmp"})
    for extension in ("sqlite_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(extension)}'")
    connection.execute(
        f"attach 'ducklake:sqlite:{place}/catalog.sqlite' as lakehouse"
        f" (data_path '{place}/data/', data_inlining_row_limit 0); use lakehouse"
    )
    return connection


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


def used(processes: Iterable[psutil.Process]) -> float:
    """Processor seconds of processes, and of their children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def peak_memory() -> int:
    """Megabytes. From /proc, because rusage keeps the peak of the process that forked this one."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
