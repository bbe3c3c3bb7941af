"""DuckDB's own command line shell, started on the lake.

It gets the lake as the project's other readers do: extensions from wheels, the catalog read-only,
and a SQLite catalog as a copy, so that nothing it does reaches the lake or waits for a build.
"""

from __future__ import annotations

import importlib.resources
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import (
    ALIAS,
    CONNECT_CONFIG,
    attach_sql,
    connect,
    load_sql,
    make_spill_folder,
    with_copied_catalog,
)
from lotus_lake.scheduler.exits import Exit

# With these the shell runs what it is given, and ends.
_ONE_QUERY = {"-c", "-s", "-f"}


def main(arguments: Sequence[str]) -> int:
    """Run the shell until it is left.

    Args:
        arguments: For DuckDB's shell, such as ``-c QUERY`` or ``-csv``.

    Returns:
        The shell's exit code; 40 when the lake cannot be read, 64 for a wrong environment.
    """
    try:
        config = LakeConfig.from_env()
        if config.branch:
            branches.require(config)
        make_spill_folder()
        program = _program()
    except LakeError as error:
        print(f"sql: {error}", file=sys.stderr)
        return Exit.USAGE
    # So that the folder is removed too when the terminal's window is closed.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="lotus-lake-sql-") as folder:
        try:
            snapshot = _newest_snapshot(config)
            start = Path(folder) / "start.sql"
            read, environment = _for_the_shell(config, Path(folder))
            start.write_text(f"{start_sql(read)}\n")
        except (LakeError, duckdb.Error) as error:
            print(f"sql: {str(error).strip().splitlines()[0]}", file=sys.stderr)
            return Exit.UNREACHABLE
        if sys.stdin.isatty() and not _ONE_QUERY & set(arguments):
            print(banner(config, snapshot), flush=True)
        # Ctrl-C is for the query in the shell. A handler, unlike SIG_IGN, is not inherited by it.
        signal.signal(signal.SIGINT, lambda *_: None)
        # `.read`, because -init says what it reads, and keeps out the user's own ~/.duckdbrc.
        words = [program, "-cmd", f".read '{start}'", *arguments]
        return subprocess.run(words, env={**os.environ, **environment}, check=False).returncode


def start_sql(config: LakeConfig) -> str:
    """What the shell runs first: it makes the lake its current database, and read-only.

    Raises:
        LakeError: An extension's wheel is not installed.
    """
    spill = _spill().replace("'", "''")
    statements = [
        *(f"set {name} = {value}" for name, value in CONNECT_CONFIG.items()),
        *load_sql(config),
        # Without a folder of its own, a large query would spill into the current one.
        f"set temp_directory = '{spill}'",
        "set TimeZone = 'UTC'",
        attach_sql(config, ALIAS, read_only=True),
        f"use {ALIAS}",
    ]
    # Without `.output` the shell would show that there now is a secret.
    return "\n".join([".output /dev/null", *(f"{one};" for one in statements), ".output"])


def banner(config: LakeConfig, snapshot: int) -> str:
    """What a person sees first."""
    kept = (
        f"as of snapshot {snapshot}; start again to see what comes later"
        if config.sqlite_path
        else f"live, now at snapshot {snapshot}"
    )
    return (
        f"Lake: {config.catalog_name}, read-only, {kept}.\n"
        "Tables: `show all tables;`, `describe fct_sales;`, and docs/models.md.\n"
        "Leave with Ctrl-D or `.exit`; `.help` lists the shell's own commands."
    )


def _program() -> str:
    try:
        program = importlib.resources.files("duckdb_cli") / "duckdb"
    except ModuleNotFoundError as error:
        raise LakeError(
            "DuckDB's shell (duckdb-cli) is not installed: run `make setup` and use .venv."
        ) from error
    return str(program)


def _spill() -> str:
    return os.environ.get("LAKE_TEMP_DIR") or ".lake/tmp"


def _newest_snapshot(config: LakeConfig) -> int:
    with connect(config) as connection:
        row = connection.execute(
            f"select max(snapshot_id) from ducklake_snapshots('{ALIAS}')"
        ).fetchone()
    assert row
    return int(row[0])


def _for_the_shell(config: LakeConfig, folder: Path) -> tuple[LakeConfig, dict[str, str]]:
    """The lake as the shell reads it, and what it needs in its environment.

    A password goes into the environment, so that it never lies in a file or stands in the shell's
    list of databases.
    """
    if config.sqlite_path:
        return with_copied_catalog(config, folder / "catalog.sqlite"), {}
    from psycopg2.extensions import make_dsn, parse_dsn

    text = config.catalog.removeprefix("postgres:")
    if not text:
        return config, {}
    parts = parse_dsn(config.catalog if text.startswith("//") else text)
    password = parts.pop("password", None)
    return (
        replace(config, catalog=f"postgres:{make_dsn(**parts)}"),
        {"PGPASSWORD": password} if password else {},
    )
