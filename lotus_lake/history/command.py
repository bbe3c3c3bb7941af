"""The command behind ``scripts/as_of.py``: then, now, and what happened in between."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from rich.console import Console

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect, lock_down
from lotus_lake.diff.compare import compare
from lotus_lake.diff.personal import Shown, shown
from lotus_lake.diff.relations import Side
from lotus_lake.diff.report import print_report
from lotus_lake.diff.sides import keys
from lotus_lake.escaping import plain
from lotus_lake.history.catalog import Snapshot
from lotus_lake.history.past import History
from lotus_lake.history.report import print_difference, print_steps
from lotus_lake.history.rows import difference
from lotus_lake.history.steps import steps_between
from lotus_lake.scheduler.exits import Exit


def main(table: str, at: str, where: str, manifest: Path, console: Console | None = None) -> int:
    """Print what a table said then and says now, and what changed it.

    Args:
        table: Its name, with or without its schema.
        at: See :meth:`lotus_lake.history.past.History.at`.
        where: A condition for the rows, in SQL; empty for a comparison of the whole table.
        manifest: dbt's ``manifest.json``, which says what the key is.
        console: Where to print.

    Returns:
        0; 40 when the lake cannot be read; 64 for a wrong environment, table, moment or condition.
    """
    console = console or Console(highlight=False, soft_wrap=False)
    try:
        config = LakeConfig.from_env()
        if config.branch:
            branches.require(config)
        of_models, columns = keys(manifest), shown(manifest)
    except LakeError as error:
        return _failed(error, Exit.USAGE)
    try:
        connection = connect(config)
        if where:
            lock_down(connection, config)
    except (LakeError, duckdb.Error) as error:
        return _failed(error, Exit.UNREACHABLE)
    with connection:
        try:
            key = list(of_models.get(table.rpartition(".")[2], ()))
            history = History(connection, table, where, key)
            then, now = history.at(at), history.catalog.newest
        except LakeError as error:
            return _failed(error, Exit.USAGE)
        try:
            _print(history, then, now, of_models, columns, connection, console)
        except duckdb.Error as error:
            return _failed(error, Exit.UNREACHABLE)
    return Exit.OK


def _print(
    history: History,
    then: Snapshot,
    now: Snapshot,
    of_models: dict[str, list[str]],
    columns: Shown,
    connection: duckdb.DuckDBPyConnection,
    console: Console,
) -> None:
    condition = f" where {history.where}" if history.where else ""
    console.print(f"[bold]{history.name}[/]{plain(condition)}")
    console.print(f"then: {then}\nnow:  {now}\n")
    if history.where:
        print_difference(difference(history, then.number, now.number), console)
    else:
        before, after = (Side(ALIAS, one.number, history.table) for one in (then, now))
        diff = compare(connection, before, after, of_models, columns, [history.table])
        print_report(diff, console)
        console.print()
    print_steps(steps_between(history, then.number, now.number), console)


def _failed(error: Exception, code: Exit) -> int:
    print(f"as-of: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return code
