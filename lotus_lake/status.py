"""What the lake says about itself: what each stream has fed, what waits, what is in quarantine.

:func:`collect` reads the lake, and only the lake; :func:`render` turns what it found into tables.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect
from lotus_lake.escaping import printable
from lotus_lake.landing import day_of

UNREACHABLE = 40
BAD_CONFIGURATION = 64

DELIVERIES = 10


@dataclass(frozen=True)
class StreamStatus:
    """One stream, as its last feed left it.

    Args:
        source: Name of the source.
        stream: Name of the stream.
        last_day: Newest day folder of which a file was looked at; None before the first feed.
        files: Files whose rows are in the lake.
        rows: Their rows.
        backlog_files: New files that the last feed left for the next one.
        backlog_bytes: Their bytes.
        quarantined: Files whose newest version is not in the lake.
        quarantined_path: The one of them that was met last.
        quarantined_reason: Why it is there.
        newest_file_at: When the newest file in the lake was written; None before the first feed.
        fed_at: When a feed last changed the stream; None before the first feed.
    """

    source: str
    stream: str
    last_day: date | None
    files: int
    rows: int
    backlog_files: int
    backlog_bytes: int
    quarantined: int
    quarantined_path: str | None
    quarantined_reason: str | None
    newest_file_at: datetime | None
    fed_at: datetime | None

    @property
    def name(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.stream}"

    def lag(self, now: datetime) -> timedelta | None:
        """How old the newest file in the lake is; None before the first feed."""
        return now - self.newest_file_at if self.newest_file_at else None


@dataclass(frozen=True)
class Delivery:
    """The files of one feed.

    Args:
        source: Name of the source.
        stream: Name of the stream.
        cursor_version: Number of the feed, counted for each stream.
        loaded_at: When it was committed.
        files: Files whose rows it wrote.
        rows: Those rows.
        quarantined: Files that it put into quarantine.
    """

    source: str
    stream: str
    cursor_version: int
    loaded_at: datetime
    files: int
    rows: int
    quarantined: int


@dataclass(frozen=True)
class LakeStatus:
    """The whole lake.

    Args:
        streams: Every stream that a run has seen declared, by name.
        deliveries: The newest ones, newest first.
    """

    streams: list[StreamStatus]
    deliveries: list[Delivery]


_STREAMS = f"""
with newest_versions as (
    select
        source,
        stream,
        path,
        max_by(status, (cursor_version, loaded_at)) as status,
        max_by(reason, (cursor_version, loaded_at)) as reason,
        max(loaded_at) as loaded_at
    from {ALIAS}.meta.feeder_files
    group by source, stream, path
),
quarantine as (
    select
        source,
        stream,
        count(*) as files,
        max_by(path, (loaded_at, path)) as path,
        max_by(reason, (loaded_at, path)) as reason
    from newest_versions
    where status = 'quarantined'
    group by source, stream
),
newest_files as (
    select source, stream, max(last_modified) as written_at
    from {ALIAS}.meta.feeder_files
    where status = 'loaded'
    group by source, stream
)
select
    cursors.source,
    cursors.stream,
    cursors.cursor_path,
    cursors.files_loaded,
    cursors.rows_loaded,
    cursors.backlog_files,
    cursors.backlog_bytes,
    coalesce(quarantine.files, 0),
    quarantine.path,
    quarantine.reason,
    newest_files.written_at,
    cursors.updated_at
from {ALIAS}.meta.feeder_cursors as cursors
left join quarantine using (source, stream)
left join newest_files using (source, stream)
order by cursors.source, cursors.stream
"""

_DELIVERIES = f"""
select
    source,
    stream,
    cursor_version,
    max(loaded_at),
    count(*) filter (where status = 'loaded'),
    coalesce(sum(row_count) filter (where status = 'loaded'), 0)::bigint,
    count(*) filter (where status = 'quarantined')
from {ALIAS}.meta.feeder_files
group by source, stream, cursor_version
order by max(loaded_at) desc, source, stream
limit ?
"""


def collect(connection: duckdb.DuckDBPyConnection, deliveries: int = DELIVERIES) -> LakeStatus:
    """Read the lake's own bookkeeping, both tables as of one moment.

    Args:
        connection: Connection with the lake attached as ``lakehouse``.
        deliveries: How many deliveries to look back.

    Raises:
        LakeError: The bookkeeping is not there or cannot be read.
    """
    try:
        connection.execute("begin")
        streams = connection.execute(_STREAMS).fetchall()
        newest = connection.execute(_DELIVERIES, [deliveries]).fetchall()
        connection.execute("rollback")
    except duckdb.CatalogException as error:
        raise LakeError(
            "The lake has no bookkeeping (meta.feeder_cursors) yet: run `make build` first."
        ) from error
    except duckdb.Error as error:
        raise LakeError(
            f"The lake's bookkeeping cannot be read: {str(error).strip().splitlines()[0]} "
            "Check the catalog and LAKE_DATA_URL."
        ) from error
    return LakeStatus(
        streams=[
            StreamStatus(source, stream, day_of(path) if path else None, *rest)
            for source, stream, path, *rest in streams
        ],
        deliveries=[Delivery(*row) for row in newest],
    )


# -- how it looks ----------------------------------------------------------------------------------


def render(status: LakeStatus, now: datetime | None = None) -> RenderableType:
    """Tables of the streams and of the last deliveries, no wider than 80 columns."""
    now = now or datetime.now(UTC)
    parts: list[RenderableType] = [_stream_table(status, now)]
    for stream in status.streams:
        if stream.quarantined:
            parts.append(_quarantine_line(stream))
    parts += [Text(), _delivery_table(status, now)]
    return Group(*parts)


def _stream_table(status: LakeStatus, now: datetime) -> Table:
    table = _table("Streams", "last day", "files", "rows", "waiting", "bad", "lag", "fed")
    for stream in status.streams:
        waiting = (
            f"{stream.backlog_files:,} ({size(stream.backlog_bytes)})"
            if stream.backlog_files
            else "-"
        )
        table.add_row(
            stream.name,
            str(stream.last_day) if stream.last_day else "-",
            number(stream.files),
            number(stream.rows),
            Text(waiting, style="yellow" if stream.backlog_files else ""),
            Text(str(stream.quarantined or "-"), style="bold red" if stream.quarantined else ""),
            age(stream.lag(now)),
            age(now - stream.fed_at if stream.fed_at else None),
        )
    if not status.streams:
        table.caption = "No stream is declared: see models/landing."
    return table


def _quarantine_line(stream: StreamStatus) -> Text:
    more = f" (and {stream.quarantined - 1:,} more)" if stream.quarantined > 1 else ""
    return Text.assemble(
        ("quarantined ", "bold red"),
        printable(f"{stream.quarantined_path}: {stream.quarantined_reason}{more}"),
        overflow="fold",
    )


def _delivery_table(status: LakeStatus, now: datetime) -> Table:
    table = _table("Last deliveries", "version", "files", "rows", "bad", "at (UTC)")
    for delivery in status.deliveries:
        table.add_row(
            f"{delivery.source}.{delivery.stream}",
            str(delivery.cursor_version),
            number(delivery.files),
            number(delivery.rows),
            Text(str(delivery.quarantined or "-"), style="red" if delivery.quarantined else ""),
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


# -- the command -----------------------------------------------------------------------------------


def main(console: Console | None = None) -> int:
    """Print the lake's status.

    Returns:
        0; 40 when the lake cannot be read; 64 when the environment names none.
    """
    try:
        config = LakeConfig.from_env()
    except LakeError as error:
        print(f"status: {error}", file=sys.stderr)
        return BAD_CONFIGURATION
    try:
        status = read(config)
    except LakeError as error:
        print(f"status: {error}", file=sys.stderr)
        return UNREACHABLE
    (console or Console(highlight=False)).print(render(status))
    return 0


def read(config: LakeConfig) -> LakeStatus:
    """Open the lake for reading, and collect.

    Raises:
        LakeError: It is not there, or cannot be read.
    """
    try:
        connection = connect(config)
    except duckdb.Error as error:
        raise LakeError(
            f"The lake ({config.catalog_name}) cannot be opened: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    with connection:
        return collect(connection)
