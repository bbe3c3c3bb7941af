"""DuckDB's own command line shell, started on the lake.

It gets the lake as the project's other readers do: extensions from wheels, the catalog read-only,
and a SQLite catalog as a copy, so that nothing it does reaches the lake or waits for a build. What
is typed or pasted there reads the lake and the landing zone; it writes only temporary files.
"""

from __future__ import annotations

import functools
import importlib.resources
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
    lock_down,
    make_spill_folder,
    readable_sql,
    with_copied_catalog,
)
from lotus_lake.escaping import printable_lines
from lotus_lake.sandbox import write_only_in
from lotus_lake.schema.types import literal

# With these the shell runs what it is given, and ends.
_ONE_QUERY = {"-c", "-s", "-f"}
_WRITING = {b"attach", b"copy", b"export", b"import", b"install", b"load"}
_HISTORY = Path(os.environ.get("DUCKDB_HISTORY") or "~/.duckdb_history").expanduser()


def run(arguments: Sequence[str]) -> int:
    """Run the shell with DuckDB's own arguments until it is left; its exit code.

    Raises:
        LakeError: The environment is wrong, or a query could write.
        Unreachable: The lake cannot be read.
    """
    config = LakeConfig.from_env()
    if config.branch:
        branches.require(config)
    _refuse_writing(arguments)
    spill = make_spill_folder()
    program = _program()
    if not program:
        return _print_rows(config, arguments)
    # So that the folder is removed too when the terminal's window is closed.
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="lotus-lake-sql-", dir=spill) as name:
        folder = Path(name)
        with connect(config) as connection:
            newest = f"select max(snapshot_id) from ducklake_snapshots('{ALIAS}')"
            ((snapshot,),) = connection.execute(newest).fetchall()
            readable = readable_sql(connection, config)
        read = config
        if config.sqlite_path:
            read = with_copied_catalog(config, folder / "catalog.sqlite")
        start = folder / "start.sql"
        start.write_text(f"{start_sql(read, folder / 'spill', readable)}\n")
        if sys.stdin.isatty() and not _ONE_QUERY & set(arguments):
            print(banner(config, snapshot), flush=True)
        # Ctrl-C is for the query in the shell. A handler, unlike SIG_IGN, is not inherited by it.
        signal.signal(signal.SIGINT, lambda *_: None)
        # `.read`, because -init says what it reads, and keeps out the user's own ~/.duckdbrc.
        words = [program, "-cmd", f".read '{start}'", *arguments]
        # DuckDB's own settings, below, do not reach into the SQLite that it attaches catalogs with.
        limited = functools.partial(write_only_in, folder, Path("/dev"), _HISTORY)
        before = limited if sys.platform == "linux" else None
        return subprocess.run(words, preexec_fn=before, check=False).returncode


def start_sql(config: LakeConfig, spill: Path, readable: str) -> str:
    """What the shell runs first: it makes the lake its current database, and read-only."""
    statements = [
        *(f"set {name} = {value}" for name, value in CONNECT_CONFIG.items()),
        *load_sql(config),
        # Without a folder of its own, a large query would spill into the current one.
        f"set temp_directory = {literal(str(spill))}",
        "set TimeZone = 'UTC'",
        attach_sql(config, ALIAS, read_only=True),
        f"use {ALIAS}",
        readable,
        "set allowed_configs = ['memory_limit', 'threads', 'TimeZone']",
    ]
    # Without `.output` the shell would show that there now is a secret. In safe mode it refuses
    # `.shell` and its like, other files, extensions and changed settings.
    return "\n".join(
        [f".output {os.devnull}", *(f"{one};" for one in statements), ".output", ".safe_mode"]
    )


def _refuse_writing(arguments: Sequence[str]) -> None:
    """Refuse queries that could write beside the lake, where the lake's read-only mode ends."""
    for flag, query in itertools.pairwise(arguments):
        text = query.encode() if flag in ("-c", "-s", "-cmd") else b""
        for start, kind in duckdb.tokenize(text.decode()):
            word = re.match(rb"\w*", text[start:])
            if kind == duckdb.token_type.keyword and word and word[0].lower() in _WRITING:
                raise LakeError(
                    f"The shell only reads the lake: {word[0].decode().upper()} is not for it. "
                    'Write a column of that name in quotes, as in "copy".'
                )


def banner(config: LakeConfig, snapshot: int) -> str:
    kept = (
        f"as of snapshot {snapshot}; start again to see what comes later"
        if config.sqlite_path
        else f"live, now at snapshot {snapshot}"
    )
    return (
        f"Lake: {config.catalog_name}, read-only, {kept}.\n"
        "Tables: `show all tables;`, `describe fct_orders;`, and docs/models.md.\n"
        "Leave with Ctrl-D or `.exit`; `.help` lists the shell's own commands."
    )


def _program() -> str | None:
    """DuckDB's shell, a package of 60 MB that the lake itself does not need."""
    try:
        folder = importlib.resources.files("duckdb_cli")
    except ModuleNotFoundError:
        return None
    return str(folder / ("duckdb.exe" if sys.platform == "win32" else "duckdb"))


def _print_rows(config: LakeConfig, arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or arguments[0] != "-c":
        raise LakeError(
            "DuckDB's shell is not installed: pip install duckdb-cli=="
            f'{duckdb.__version__}. Without it there is `lake sql "QUERY"`.'
        )
    with connect(config) as connection:
        connection.execute(f"use {ALIAS}")
        lock_down(connection, config)
        try:
            rows = connection.sql(arguments[1])
        except duckdb.Error as error:
            print(printable_lines(str(error)), file=sys.stderr)
            return 1
        if rows is not None:
            rows.show()
    return 0
