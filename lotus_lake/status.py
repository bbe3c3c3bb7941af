"""What the lake says about itself: what each stream has fed, what waits, what is in quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect
from lotus_lake.escaping import printable
from lotus_lake.exits import Unreachable
from lotus_lake.wording import counted

Row = dict[str, Any]

_SQL = Path(__file__).with_suffix(".sql")
_PARTS = ("streams", "quarantine", "deliveries")
_STREAMS = ("last day", "files", "rows", "waiting", "bad", "lag", "fed")
_DELIVERIES = ("delivery", "files", "rows", "bad", "at (UTC)")
_STYLES = {"waiting": "yellow", "bad": "bold red"}
# The greatest of which there are two.
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def read(config: LakeConfig) -> dict[str, Any]:
    """Read the lake's own bookkeeping, all as of one moment, ``at``: the rows of ``_PARTS``.

    Raises:
        Unreachable: There is none, or it cannot be read.
    """
    found: dict[str, Any] = {"at": datetime.now(UTC)}
    try:
        with connect(config) as connection:
            connection.execute("begin")
            statements = duckdb.extract_statements(_SQL.read_text())
            for part, statement in zip(_PARTS, statements, strict=True):
                result = connection.execute(statement)
                names = [column[0] for column in result.description]
                found[part] = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
            return found
    except duckdb.CatalogException as error:
        raise Unreachable(
            "The lake has no bookkeeping (schema meta) of this release yet: run `dbt build` first."
        ) from error
    except duckdb.Error as error:
        raise Unreachable(
            f"The lake ({config.catalog_name}) cannot be read: "
            f"{str(error).strip().splitlines()[0]} Check the catalog and LAKE_DATA_URL."
        ) from error


def show(status: dict[str, Any]) -> None:
    """Print tables of the streams and of the last deliveries, no wider than 80 columns."""
    streams = _table("Streams", _STREAMS, [_stream(row, status["at"]) for row in status["streams"]])
    streams.caption = None if status["streams"] else "No stream is declared: see lake discover."
    deliveries = _table(
        "Last deliveries", _DELIVERIES, [_delivery(row) for row in status["deliveries"]]
    )
    deliveries.caption = None if status["deliveries"] else "Nothing was fed yet."
    bad = (
        Text.assemble(("quarantined ", "bold red"), printable(_bad(row)), overflow="fold")
        for row in status["quarantine"]
    )
    Console(highlight=False).print(Group(streams, *bad, Text(), deliveries))


def _stream(row: Row, now: datetime) -> list[str]:
    waiting = f"{_amount(row['backlog_files'])} ({_size(row['backlog_bytes'])})"
    return [
        row["stream"],
        row["last_day"] or "-",
        _amount(row["files_loaded"]),
        _amount(row["rows_loaded"]),
        waiting if row["backlog_files"] else "-",
        str(row["quarantined_files"] or "-"),
        _span(row["newest_file_at"], now),
        _span(row["fed_at"], now),
    ]


def _delivery(row: Row) -> list[str]:
    return [
        row["stream"],
        str(row["delivery"]),
        _amount(row["files"]),
        _amount(row["row_count"]),
        str(row["quarantined_files"] or "-"),
        f"{row['loaded_at'].astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    ]


def _bad(row: Row) -> str:
    more = f" (and {row['files'] - 1:,} more)" if row["files"] > 1 else ""
    return f"{row['path']}: {row['reason']}{more}"


def _amount(number: int) -> str:
    if number >= 10**10:
        return f"{number / 1e9:,.1f}bn"
    return f"{number / 1e6:,.1f}m" if number >= 10**7 else f"{number:,}"


def _size(number: int) -> str:
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return counted(number, "byte")


def _span(since: datetime | None, now: datetime) -> str:
    """How long ago; a file from the future is new."""
    if since is None:
        return "-"
    seconds = max(int((now - since).total_seconds()), 0)
    unit, name = next((unit, name) for unit, name in _UNITS if seconds >= 2 * unit or unit == 1)
    return f"{seconds // unit:,}{name}"


def _table(title: str, figures: tuple[str, ...], rows: list[list[str]]) -> Table:
    """A table of streams; only their names give way where a terminal is narrow."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("stream", overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True, style=_STYLES.get(name))
    for row in rows:
        table.add_row(*map(printable, row))
    return table
