"""What is new, found out without dbt.

First the quick proof: the project's code, the catalog's newest snapshot and the listings of all
streams are those that the last good tick remembered, so nothing can be new. Only where the proof
fails is the landing zone compared with the ledger, stream by stream, through DuckDB.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from lotus_lake.config import LakeConfig, LakeError, is_s3
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.listing import Listing, plan_listing
from lotus_lake.scheduler.catalog import Catalog, Snapshot
from lotus_lake.scheduler.exits import Unreachable

T = TypeVar("T")

# What a build depends on; the places and limits of dbt_project.yml's vars are among it.
_CODE = (
    ("models", ""),
    ("macros", ""),
    ("seeds", ""),
    ("snapshots", ""),
    ("tests", ".sql"),
    ("lotus_lake", ".py"),
)
_CODE_FILES = ("dbt_project.yml", "profiles.yml", "packages.yml", "requirements.lock")

# The test that says which streams are late.
FRESHNESS = "streams_are_fresh"


@dataclass(frozen=True)
class StreamMemory:
    """A stream as the lake has it; what it takes to list it as the feeder would.

    Args:
        source, stream: Its names.
        cursor_path, cursor_version, files, swept_at, updated_at: Its cursor row; times in ISO form.
        backlog: Files that its last feed left.
        ledger_rows: Lines that the ledger has of it.
        lookback_days, sweep_hours, list_free_files: Its settings.
        quarantined: (path, etag, reason) of each file in quarantine, those undone left out.
    """

    source: str
    stream: str
    cursor_path: str | None
    cursor_version: int
    files: int
    swept_at: str | None
    updated_at: str | None
    backlog: int
    ledger_rows: int
    lookback_days: int
    sweep_hours: float
    list_free_files: int
    quarantined: list[list[str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.stream}"

    @property
    def folder(self) -> str:
        """Its folder in the landing zone, with a closing slash."""
        return f"{self.source}/{self.stream}/"

    def listing(self, swept_at: str | None) -> Listing:
        """How it has to be listed.

        Args:
            swept_at: When the scheduler itself last listed everything and found nothing new; the
                cursor does not know, because a tick with nothing new writes nothing into the lake.
        """
        swept = swept_at or self.swept_at
        return plan_listing(
            cursor_path=self.cursor_path,
            files=self.files,
            swept_at=datetime.fromisoformat(swept) if swept else None,
            updated_at=datetime.fromisoformat(self.updated_at) if self.updated_at else None,
            lookback_days=self.lookback_days,
            sweep_hours=self.sweep_hours,
            list_free_files=self.list_free_files,
        )

    def versions(self, landing: Landing, listing: Listing) -> set[tuple[str, str]]:
        """(path, etag) of the files that a listing shows, and of those in quarantine."""
        found = set(landing.versions(self.folder, listing.since, listing.changed_since))
        listed = {path for path, _ in found}
        others = [path for path, _, _ in self.quarantined if path not in listed]
        found.update((file.path, file.etag) for file in landing.again(others))
        return found


def _digest(listing: Listing, versions: set[tuple[str, str]]) -> str:
    lines = sorted([f"{path}\t{etag}" for path, etag in versions])
    text = "\n".join([str(listing.since), *lines])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class StreamNews:
    """Why a stream has to be built.

    Args:
        source, stream: Its names.
        files: Files that no feed has seen; none of a stream that cannot be listed.
        reason: In a few words.
    """

    source: str
    stream: str
    files: list[LandedFile]
    reason: str

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.stream}"

    @property
    def bytes(self) -> int:
        """How large those files are."""
        return sum(file.size for file in self.files)

    @property
    def selector(self) -> str:
        """dbt's selection of the stream and of everything that follows from it."""
        return f"stg_{self.source}__{self.stream}+"


@dataclass(frozen=True)
class Look:
    """What a look at lake and landing zone has found.

    Args:
        everything: Why everything has to be built, or None.
        streams: Streams with news.
        tables: Tables whose readers have not read them yet, because somebody changed them by hand.
        late: The stream that has become late since the last build, or None.
        memory: What the next look compares with; ``None`` while there is no lake.
    """

    everything: str | None = None
    streams: list[StreamNews] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    memory: dict[str, Any] | None = None
    late: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to build."""
        return not (self.everything or self.streams or self.tables or self.late)

    @property
    def selectors(self) -> list[str]:
        """What dbt has to select; empty for everything."""
        if self.everything:
            return []
        return [
            *(stream.selector for stream in self.streams),
            *(f"{table}+" for table in self.tables),
            *([FRESHNESS] if self.late else []),
        ]

    @property
    def streams_known(self) -> dict[str, StreamMemory]:
        """The streams of the lake, by label."""
        return _streams(self.memory)


def code_digest(project: Path, config: LakeConfig, variables: str | None) -> str:
    """A digest of everything that a build depends on, but for what has landed.

    Args:
        project: The project's folder.
        config: Where the lake lies.
        variables: dbt's ``--vars``, as given.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([config.target, variables]).encode())
    files = [str(project / name) for name in _CODE_FILES]
    for folder, suffix in _CODE:
        files += sorted(_below(str(project / folder), suffix))
    for name in files:
        try:
            with open(name, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            continue
        digest.update(f"\0{name.removeprefix(str(project))}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _below(folder: str, suffix: str) -> Iterable[str]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name.startswith((".", "__pycache__")):
            continue
        if entry.is_dir():
            yield from _below(entry.path, suffix)
        elif entry.name.endswith(suffix):
            yield entry.path


def nothing_new(
    memory: dict[str, Any] | None, code: str, snapshot: Snapshot | None, landing: Landing
) -> bool:
    """The quick proof: whether code, snapshot and listings are the remembered ones.

    Raises:
        Unreachable: The landing zone cannot be read.
    """
    if not memory or (memory["code"], memory["snapshot"]) != (code, snapshot):
        return False
    streams = memory["streams"]

    def same(label: str) -> bool:
        entry = streams[label]
        if entry["news"]:
            return False
        stream = StreamMemory(**entry["stream"])
        listing = stream.listing(entry["swept_at"])
        return _digest(listing, stream.versions(landing, listing)) == str(entry["digest"])

    return all(found is True for found in _each(same, streams, landing))


def look(
    memory: dict[str, Any] | None,
    code: str,
    config: LakeConfig,
    catalog: Catalog,
    landing: Landing,
) -> Look:
    """Compare the landing zone with the ledger, wherever it may differ.

    A stream that cannot be listed while others can is news: its build fails with the reason, and
    the others are fed.

    Args:
        memory: What the last good tick remembered.
        code: The digest of the project's code.
        config: Where the lake lies.
        catalog: Its catalog; not locked by DuckDB in this process.
        landing: Its landing zone.

    Raises:
        Unreachable: The catalog or the landing zone cannot be read.
    """
    snapshot = catalog.snapshot()
    if snapshot is None:
        return Look("there is no lake yet")
    with _Lake(config) as lake:
        if not lake.is_complete():
            return Look("the lake has no streams yet, or an older release built it")
        streams = lake.streams()
        before = (memory or {}).get("streams", {})

        def compare(stream: StreamMemory) -> tuple[dict[str, Any], list[LandedFile]]:
            entry = before.get(stream.label) or {}
            same_row = entry.get("stream") == asdict(stream)
            swept_at = entry.get("swept_at") if same_row else None
            listing = stream.listing(swept_at)
            if listing.whole:
                swept_at = datetime.now(UTC).isoformat()
            # Taken before the files are compared: what lands in between then shows next time.
            usual = stream.listing(swept_at)
            versions = stream.versions(landing, usual)
            found = {
                "stream": asdict(stream),
                "digest": _digest(usual, versions),
                "swept_at": swept_at,
                "news": False,
                "bad": [path for path, etag, _ in stream.quarantined if (path, etag) in versions],
            }
            if (
                same_row
                and listing == usual
                and (False, found["digest"]) == (entry["news"], entry["digest"])
            ):
                return found, []
            files = landing.files(stream.folder, listing.since, listing.changed_since)
            others = {path for path, _, _ in stream.quarantined} - {file.path for file in files}
            return found, [*landing.again(sorted(others)), *files]

        entries, news = {}, []
        for stream, outcome in zip(streams, _each(compare, streams, landing), strict=True):
            if isinstance(outcome, LakeError):
                known: dict[str, Any] = {"digest": None, "swept_at": None, "bad": []}
                known |= before.get(stream.label) or {}
                entries[stream.label] = {**known, "stream": asdict(stream), "news": True}
                news.append(StreamNews(stream.source, stream.stream, [], str(outcome)))
                continue
            entries[stream.label], files = outcome
            if new := lake.unknown(stream, files) if files else []:
                entries[stream.label]["news"] = True
                news.append(StreamNews(stream.source, stream.stream, new, "files have landed"))
        changed = lake.unread_tables(int(memory["snapshot"][0])) if memory else []
    fed = {f"stg_{one.source}__{one.stream}" for one in news}
    everything = None
    if not memory:
        everything = "the scheduler does not remember a good tick of this lake"
    elif memory["code"] != code:
        everything = "the project or its settings changed"
    return Look(
        everything=everything,
        streams=news,
        tables=[table for table in changed if table not in fed],
        memory={"code": code, "snapshot": snapshot, "streams": entries},
    )


def quarantined_since(before: Look, after: Look) -> list[tuple[str, str, str]]:
    """(stream, path, reason) of each file that went into quarantine between two looks."""
    known = {
        (label, path, etag)
        for label, stream in before.streams_known.items()
        for path, etag, _ in stream.quarantined
    }
    return [
        (label, path, reason)
        for label, stream in after.streams_known.items()
        for path, etag, reason in stream.quarantined
        if (label, path, etag) not in known
    ]


def last_fed(config: LakeConfig) -> dict[str, datetime]:
    """When rows of each stream were last fed, by label; those that never were are left out.

    Raises:
        Unreachable: The catalog cannot be read.
    """
    with _Lake(config) as lake:
        return lake.last_fed()


def _streams(memory: dict[str, Any] | None) -> dict[str, StreamMemory]:
    entries = (memory or {}).get("streams", {})
    return {label: StreamMemory(**entry["stream"]) for label, entry in entries.items()}


def _each(
    function: Callable[[Any], T], items: Iterable[Any], landing: Landing
) -> list[T | LakeError]:
    """A function of each item, or why the landing zone cannot be read where that looks.

    They run side by side where that means to wait for a store.

    Raises:
        Unreachable: The landing zone can be read nowhere.
    """

    def outcome(item: Any) -> T | LakeError:
        try:
            return function(item)
        except LakeError as error:
            return error

    if is_s3(landing.url):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=12) as pool:
            found = list(pool.map(outcome, items))
    else:
        found = [outcome(item) for item in items]
    errors = [one for one in found if isinstance(one, LakeError)]
    if errors and len(errors) == len(found):
        raise Unreachable(str(errors[0])) from errors[0]
    return found


class _Lake:
    """A reading connection to the lake.

    Raises:
        Unreachable: It cannot be read.
    """

    def __init__(self, config: LakeConfig) -> None:
        self._config = config

    def __enter__(self) -> _Lake:
        from lotus_lake.connection import connect

        try:
            self._connection = connect(self._config)
        except LakeError as error:
            raise Unreachable(str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def is_complete(self) -> bool:
        """Whether the bookkeeping has all columns that a look needs."""
        return bool(
            self._rows(
                "select 1 from duckdb_columns() where database_name = 'lakehouse' and"
                " schema_name = 'meta' and table_name = 'feeder_cursors'"
                " and column_name = 'declaration'"
            )
        )

    def last_fed(self) -> dict[str, datetime]:
        """When rows of each stream were last fed, by label."""
        return dict(
            self._rows(
                "select source || '.' || stream, max(loaded_at) from lakehouse.meta.feeder_files"
                " where status = 'loaded' group by all"
            )
        )

    def streams(self) -> list[StreamMemory]:
        """Every stream with a cursor and a declaration."""
        quarantined: dict[tuple[str, str], list[list[str]]] = {}
        for source, stream, *file in self._rows(
            "select source, stream, path, arg_max(etag, cursor_version),"
            " arg_max(reason, cursor_version) from lakehouse.meta.feeder_files group by all"
            " having arg_max(status, cursor_version) = 'quarantined'"
            " and arg_max(reason, cursor_version) not like 'undone%' order by all"
        ):
            quarantined.setdefault((source, stream), []).append(file)
        found = []
        for source, stream, declaration, swept_at, updated_at, *counts in self._rows(
            "select source, stream, declaration, swept_at::varchar, updated_at::varchar,"
            " cursor_path, cursor_version, files_loaded, backlog_files,"
            " (select count(*) from lakehouse.meta.feeder_files as files"
            "  where files.source = cursors.source and files.stream = cursors.stream)"
            " from lakehouse.meta.feeder_cursors as cursors where declaration is not null"
            " order by all"
        ):
            settings = json.loads(declaration)
            found.append(
                StreamMemory(
                    source=source,
                    stream=stream,
                    cursor_path=counts[0],
                    cursor_version=counts[1],
                    files=counts[2],
                    swept_at=swept_at,
                    updated_at=updated_at,
                    backlog=counts[3],
                    ledger_rows=counts[4],
                    lookback_days=int(settings["feed_lookback_days"]),
                    sweep_hours=float(settings["feed_sweep_hours"]),
                    list_free_files=int(settings["feed_list_free_files"]),
                    quarantined=quarantined.get((source, stream), []),
                )
            )
        return found

    def unknown(self, stream: StreamMemory, files: list[LandedFile]) -> list[LandedFile]:
        """Those of the files that the ledger does not have."""
        paths = [file.path for file in files]
        known = set(
            self._rows(
                "select path, etag from lakehouse.meta.feeder_files"
                " where source = ? and stream = ? and path between ? and ?",
                [stream.source, stream.stream, min(paths), max(paths)],
            )
        )
        return [file for file in files if (file.path, file.etag) not in known]

    def unread_tables(self, since: int) -> list[str]:
        """Tables that changed after a snapshot, and that some reader has not read since.

        A person did that: undid a delivery, or built a part of the lake. ``build_plan`` decides in
        the same way.
        """
        catalog = "__ducklake_metadata_lakehouse"
        rows = self._rows(
            f"""with changes as (
                select snapshot_id, unnest(string_split(changes_made, ',')) as change
                from {catalog}.ducklake_snapshot_changes
                where snapshot_id > {since}
            ),
            last_changes as (
                select split_part(change, ':', 2) as table_id, max(snapshot_id) as snapshot_id
                from changes
                where split_part(change, ':', 1) in (
                    'inserted_into_table', 'deleted_from_table', 'inlined_insert', 'inlined_delete'
                )
                group by all
            )
            select distinct tables.table_name
            from last_changes
            inner join {catalog}.ducklake_table as tables
                on tables.table_id::varchar = last_changes.table_id
                and tables.end_snapshot is null
            inner join lakehouse.meta.model_cursors as readers
                on readers.upstream = tables.table_name
                and readers.model <> readers.upstream
                and readers.snapshot_id < last_changes.snapshot_id
            order by all"""
        )
        return [name for (name,) in rows]

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            return self._connection.execute(sql, values).fetchall()
        except duckdb.Error as error:
            raise Unreachable(
                f"The lake cannot be read: {str(error).splitlines()[0]}. Check the catalog and "
                "LAKE_DATA_URL."
            ) from error
