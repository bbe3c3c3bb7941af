"""What the lake says about itself: what each stream has fed, what waits, what is in quarantine.

    python -m lotus_lake.status

Exit codes: 0 shown, 40 the lake cannot be read, 64 the environment is wrong.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect
from lotus_lake.escaping import printable
from lotus_lake.scheduler.exits import Exit

Row = tuple[str | None, ...]

_SQL = Path(__file__).with_suffix(".sql")
_STREAMS = ("last day", "files", "rows", "waiting", "bad", "lag", "fed")
_DELIVERIES = ("version", "files", "rows", "bad", "at (UTC)")
_STYLES = {"waiting": "yellow", "bad": "bold red"}


@dataclass(frozen=True)
class LakeStatus:
    """What is shown, as text: every stream, what is in quarantine, and the last deliveries."""

    streams: list[Row]
    quarantine: list[Row]
    deliveries: list[Row]


def read(config: LakeConfig, now: datetime | None = None) -> LakeStatus:
    """Read the lake's own bookkeeping, all as of one moment.

    Raises:
        LakeError: There is none, or it cannot be read.
    """
    try:
        with connect(config) as connection:
            connection.execute("begin; set variable now = $now", {"now": now or datetime.now(UTC)})
            found = [
                connection.execute(statement).fetchall()
                for statement in duckdb.extract_statements(_SQL.read_text())
            ]
            return LakeStatus(*found[-3:])
    except duckdb.CatalogException as error:
        raise LakeError(
            "The lake has no bookkeeping (schema meta) of this release yet: run `make build` first."
        ) from error
    except duckdb.Error as error:
        raise LakeError(
            f"The lake ({config.catalog_name}) cannot be read: "
            f"{str(error).strip().splitlines()[0]} Check the catalog and LAKE_DATA_URL."
        ) from error


def render(status: LakeStatus) -> RenderableType:
    """Tables of the streams and of the last deliveries, no wider than 80 columns."""
    streams = _table("Streams", _STREAMS, status.streams)
    streams.caption = None if status.streams else "No stream is declared: see models/landing."
    deliveries = _table("Last deliveries", _DELIVERIES, status.deliveries)
    deliveries.caption = None if status.deliveries else "Nothing was fed yet."
    bad = (
        Text.assemble(("quarantined ", "bold red"), printable(line or ""), overflow="fold")
        for (line,) in status.quarantine
    )
    return Group(streams, *bad, Text(), deliveries)


def _table(title: str, figures: tuple[str, ...], rows: list[Row]) -> Table:
    """A table of streams; only their names give way where a terminal is narrow."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("stream", overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True, style=_STYLES.get(name))
    for row in rows:
        table.add_row(*(printable(value or "-") for value in row))
    return table


def main() -> int:
    """Print the lake's status; the exit code."""
    try:
        config = LakeConfig.from_env()
    except LakeError as error:
        print(f"status: {error}", file=sys.stderr)
        return Exit.USAGE
    try:
        status = read(config)
    except LakeError as error:
        print(f"status: {error}", file=sys.stderr)
        return Exit.UNREACHABLE
    Console(highlight=False).print(render(status))
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
