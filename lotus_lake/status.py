"""What the lake says about itself: what each stream has fed, what waits, what is in quarantine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect
from lotus_lake.escaping import printable
from lotus_lake.landing import day_of
from lotus_lake.scheduler.exits import Exit

_DELIVERIES_SHOWN = 10


@dataclass(frozen=True)
class StreamStatus:
    """One stream, as its last feed left it.

    Args:
        name: Source and stream.
        cursor_path: Of the files that were looked at, the one that sorts last; None before the
            first feed, as are the times below.
        files, rows: What is in the lake.
        backlog_files, backlog_bytes: New files that the last feed left for the next one.
        quarantined: Files in quarantine.
        bad_path, bad_reason: The one of them that was met last, and why it is there.
        newest_file_at: When the newest file in the lake was written.
        fed_at: When a feed last changed the stream.
    """

    name: str
    cursor_path: str | None
    files: int
    rows: int
    backlog_files: int
    backlog_bytes: int
    quarantined: int
    bad_path: str | None
    bad_reason: str | None
    newest_file_at: datetime | None
    fed_at: datetime | None


@dataclass(frozen=True)
class Delivery:
    """The files of one feed: those that it fed, their rows, and those that it quarantined."""

    stream: str
    cursor_version: int
    loaded_at: datetime
    files: int
    rows: int
    quarantined: int


@dataclass(frozen=True)
class LakeStatus:
    """Every declared stream by name, and the last deliveries, newest first."""

    streams: list[StreamStatus]
    deliveries: list[Delivery]


_STREAMS = f"""
with quarantine as (
    select
        source,
        stream,
        count(*) as files,
        arg_max(path, (quarantined_at, path)) as path,
        arg_max(reason, (quarantined_at, path)) as reason
    from {ALIAS}.meta.quarantine
    group by source, stream
),
loaded as (
    select source, stream, max(last_modified) as newest_file_at
    from {ALIAS}.meta.feeder_files
    where status = 'loaded'
    group by source, stream
)
select
    source || '.' || stream as name,
    cursor_path,
    files_loaded,
    rows_loaded,
    backlog_files,
    backlog_bytes,
    coalesce(quarantine.files, 0),
    quarantine.path,
    quarantine.reason,
    loaded.newest_file_at,
    updated_at
from {ALIAS}.meta.feeder_cursors
left join quarantine using (source, stream)
left join loaded using (source, stream)
order by name
"""

_DELIVERIES = f"""
select
    source || '.' || stream as name,
    cursor_version,
    max(loaded_at),
    count(*) filter (status = 'loaded'),
    coalesce(sum(row_count) filter (status = 'loaded'), 0)::bigint,
    count(*) filter (status = 'quarantined')
from {ALIAS}.meta.feeder_files
group by name, cursor_version
order by max(loaded_at) desc, name
limit {_DELIVERIES_SHOWN}
"""


def read(config: LakeConfig) -> LakeStatus:
    """Read the lake's own bookkeeping, all as of one moment.

    Raises:
        LakeError: There is none, or it cannot be read.
    """
    try:
        with connect(config) as connection:
            connection.execute("begin")
            return LakeStatus(
                [StreamStatus(*row) for row in connection.execute(_STREAMS).fetchall()],
                [Delivery(*row) for row in connection.execute(_DELIVERIES).fetchall()],
            )
    except duckdb.CatalogException as error:
        raise LakeError(
            "The lake has no bookkeeping (schema meta) of this release yet: run `make build` first."
        ) from error
    except duckdb.Error as error:
        raise LakeError(
            f"The lake ({config.catalog_name}) cannot be read: "
            f"{str(error).strip().splitlines()[0]} Check the catalog and LAKE_DATA_URL."
        ) from error


# -- how it looks ----------------------------------------------------------------------------------


def render(status: LakeStatus, now: datetime | None = None) -> RenderableType:
    """Tables of the streams and of the last deliveries, no wider than 80 columns."""
    parts: list[RenderableType] = [_stream_table(status, now or datetime.now(UTC))]
    for stream in status.streams:
        if stream.quarantined:
            more = f" (and {stream.quarantined - 1:,} more)" if stream.quarantined > 1 else ""
            bad = printable(f"{stream.bad_path}: {stream.bad_reason}{more}")
            parts.append(Text.assemble(("quarantined ", "bold red"), bad, overflow="fold"))
    return Group(*parts, Text(), _delivery_table(status))


def _stream_table(status: LakeStatus, now: datetime) -> Table:
    table = _table("Streams", "last day", "files", "rows", "waiting", "bad", "lag", "fed")
    for stream in status.streams:
        day = day_of(stream.cursor_path) if stream.cursor_path else None
        waiting = f"{stream.backlog_files:,} ({size(stream.backlog_bytes)})"
        table.add_row(
            stream.name,
            str(day or "-"),
            number(stream.files),
            number(stream.rows),
            Text(waiting, style="yellow") if stream.backlog_files else "-",
            Text(str(stream.quarantined), style="bold red") if stream.quarantined else "-",
            age(now - stream.newest_file_at if stream.newest_file_at else None),
            age(now - stream.fed_at if stream.fed_at else None),
        )
    if not status.streams:
        table.caption = "No stream is declared: see models/landing."
    return table


def _delivery_table(status: LakeStatus) -> Table:
    table = _table("Last deliveries", "version", "files", "rows", "bad", "at (UTC)")
    for delivery in status.deliveries:
        table.add_row(
            delivery.stream,
            str(delivery.cursor_version),
            number(delivery.files),
            number(delivery.rows),
            Text(str(delivery.quarantined), style="red") if delivery.quarantined else "-",
            f"{delivery.loaded_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        )
    if not status.deliveries:
        table.caption = "Nothing was fed yet."
    return table


def _table(title: str, *figures: str) -> Table:
    """A table of streams; only their names give way where a terminal is narrow."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("stream", overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def number(count: int) -> str:
    """A count in at most eight characters: in full, from ten million on in millions."""
    for unit, one in (("bn", 10**9), ("m", 10**6)):
        if count >= 10 * one:
            return f"{count / one:,.1f}{unit}"
    return f"{count:,}"


def size(size_bytes: int) -> str:
    """A number of bytes, in a unit that keeps it short."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def age(span: timedelta | None) -> str:
    """A span of time in the greatest unit of which it has two; ``-`` for none.

    A file from the future is new.
    """
    if span is None:
        return "-"
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,}{unit}"
    return f"{seconds}s"


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
