"""What has to be built: asked of the lake and of the landing zone each time, without dbt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

import lotus_lake
from lotus_lake import settings
from lotus_lake.config import LakeConfig, LakeError, is_s3
from lotus_lake.connection import connect
from lotus_lake.exits import Unreachable
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.listing import first_day
from lotus_lake.wording import counted

# The test that says which streams are late.
FRESHNESS = "streams_are_fresh"

# A version of a file: (path, etag).
Version = tuple[str, str]

# What has to be built: reasons by dbt's selectors, of which this one means everything.
Pending = dict[str, str]
EVERYTHING = ""

_LAST_BUILD = """
    select
        tick_id,
        arg_max(code_digest, snapshot_id),
        greatest(
            max(snapshot_id),
            -- Compaction rewrites tables, and changes nothing in them.
            (select max(snapshot_id) from lakehouse.meta.invocations where command = 'maintain')
        ),
        bool_or(status = 'error'),
        min(started_at)
    from lakehouse.meta.invocations
    where code_digest is not null
    group by tick_id
    order by max(snapshot_id) desc
    limit 1
"""

# Those that the project still declares.
_STREAMS = """
    with fed as (
        select source, stream, max(loaded_at) as fed_at
        from lakehouse.meta.feeder_files
        where status = 'loaded'
        group by all
    ),
    quarantined as (
        select
            source,
            stream,
            list((source || '.' || stream, path, etag, reason) order by path) as bad
        from lakehouse.meta.quarantine
        group by all
    )
    select
        source, stream, cursor_path, cursor_version, files_loaded, backlog_files, swept_at,
        declaration, fed_at, bad
    from lakehouse.meta.feeder_cursors
    left join fed using (source, stream)
    left join quarantined using (source, stream)
    where declaration is not null
    order by all
"""

# As the feeder's ledger knows them (Ledger.known).
_UNKNOWN = """
    with known as (
        select path, etag from lakehouse.meta.feeder_files
        where status <> 'undone' or row_count is not null
    )
    select path from (select unnest(?::varchar[]) as path, unnest(?::varchar[]) as etag)
    anti join known using (path, etag)
"""

# Tables that were written after a snapshot, or that a model which reads them has not read since.
_CHANGED = """
    with
    -- Positions of models that the project has no more stay.
    nodes as (
        select distinct split_part(node, '.', -1) as name
        from lakehouse.meta.node_results
        inner join lakehouse.meta.invocations using (invocation_id)
        where code_digest = ? and resource_type in ('model', 'seed', 'snapshot')
    ),
    last_writes as (
        select tables.table_name as name, max(changes.snapshot_id) as snapshot_id
        from lakehouse.meta.table_changes as changes
        inner join __ducklake_metadata_lakehouse.ducklake_table as tables
            on changes.table_id = tables.table_id and tables.end_snapshot is null
        where
            changes.snapshot_id > (select min(snapshot_id) from lakehouse.meta.model_cursors)
            and tables.table_name in (from nodes)
        group by all
    )
    select name
    from last_writes
    where snapshot_id > ? or exists (
        select 1
        from lakehouse.meta.model_cursors as readers
        where
            readers.upstream = last_writes.name
            and readers.model <> readers.upstream
            and readers.model in (from nodes)
            and readers.snapshot_id < last_writes.snapshot_id
    )
    order by snapshot_id
"""


def selector(label: str) -> str:
    """dbt's selection of a stream and of everything downstream."""
    return f"stg_{label.replace('.', '__')}+"


def code_digest(project: Path, target: str, variables: str | None) -> str:
    """A digest of everything that a build and its site depend on, but for what has landed.

    Args:
        project: The dbt project's folder.
        target: dbt's target.
        variables: What the command line says of variables.
    """
    patterns = ["*.yml", "*.md", "*.lock", "docs/**/*"]
    for setting, paths in settings.folders(project).items():
        # Those of pytest are beside them.
        endings = ("*.sql", "*.yml") if setting == "test-paths" else ("*",)
        patterns += [f"{folder}/**/{ending}" for folder in paths for ending in endings]
    files = {(project, file) for pattern in patterns for file in project.glob(pattern)}
    engine = Path(lotus_lake.__file__).parent
    files |= {(engine, file) for file in engine.rglob("*")}
    digest = hashlib.sha256(json.dumps([target, variables]).encode())
    for folder, file in sorted(files):
        if file.is_file() and file.suffix != ".pyc":
            content = file.read_bytes()
            digest.update(f"\0{file.relative_to(folder)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True)
class LastBuild:
    """The newest tick that built something, from the run history."""

    tick_id: str
    code: str  # the digest of the code that it built with
    snapshot: int  # the lake's newest one when it, or maintenance since, ended
    failed: bool
    started_at: datetime


class BadFile(NamedTuple):
    """A version of a file that is in quarantine."""

    stream: str
    path: str
    etag: str
    reason: str


@dataclass(frozen=True)
class Stream:
    """A stream as the lake has it: its cursor row, when it was last fed, its quarantine."""

    source: str
    name: str
    cursor_path: str | None
    version: int
    files: int
    backlog: int
    swept_at: datetime | None
    settings: dict[str, Any]  # its declaration
    fed_at: datetime | None
    bad: list[BadFile]

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.name}"

    def bad_files(self, landing: Landing) -> list[LandedFile]:
        """The files in quarantine as they are now, without those that were removed since."""
        return landing.again(file.path for file in self.bad)

    @property
    def sweep_is_due(self) -> bool:
        """Whether a build has to list everything, and to remember that it did.

        A small stream is listed whole by every tick anyway, and so is one whose sweeps are always
        due.
        """
        is_small = self.files <= self.settings["feed_list_free_files"]
        return self.settings["feed_sweep_hours"] > 0 and not is_small and not self._since()

    def became_late(self, since: datetime) -> bool:
        """Whether it has become late between a moment and now."""
        hours = self.settings.get("freshness_hours")
        if not self.fed_at or not hours:
            return False
        return since < self.fed_at + timedelta(hours=hours) <= datetime.now(UTC)

    def versions(self, landing: Landing) -> list[Version]:
        """The files that may be new: those that the feeder lists, and those in quarantine."""
        listed = landing.files(f"{self.source}/{self.name}/", self._since())
        return [(file.path, file.etag) for file in [*listed, *self.bad_files(landing)]]

    def _since(self) -> date | None:
        return first_day(self.cursor_path, self.files, self.swept_at, self.settings)


class Lake:
    """A reading connection to the lake, for ``with``; LakeError says why there is none."""

    def __init__(self, config: LakeConfig) -> None:
        self._connection = connect(config)
        try:
            rows = self._rows(_LAST_BUILD)
        except (duckdb.BinderException, duckdb.CatalogException):
            rows = []
        # None too for a lake that an older release built.
        self.last = LastBuild(*rows[0]) if rows else None

    def __enter__(self) -> Lake:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def streams(self) -> list[Stream]:
        """The streams of the project as it was last built."""
        rows = self._rows(_STREAMS) if self.last else []
        streams = []
        for *cursor, declaration, fed_at, bad in rows:
            files = [BadFile(*file) for file in bad or []]
            streams.append(Stream(*[*cursor, json.loads(declaration), fed_at, files]))
        return streams

    def pending(self, landing: Landing, code: str) -> Pending:
        """What has to be built, of what has landed and with this code.

        Raises:
            Unreachable: The lake cannot be read, or the landing zone nowhere.
        """
        last = self.last
        if last is None:
            return {EVERYTHING: "Everything is built: no tick has built this lake yet."}
        pending: Pending = {}
        if last.code != code:
            pending[EVERYTHING] = "Everything is built: the project or its settings changed."
        elif last.failed:
            pending[EVERYTHING] = "Everything is built: the last build failed."
        # By a person (who undid a delivery, built a part of the lake), or by a build.
        elif changed := self._rows(_CHANGED, [code, last.snapshot]):
            pending[EVERYTHING] = (
                f"Everything is built: {changed[0][0]} changed after the last build, or that was "
                "cut short."
            )
        streams = self.streams()
        if late := [stream.label for stream in streams if stream.became_late(last.started_at)]:
            pending[FRESHNESS] = (
                f"{', '.join(late)}: nothing arrives for longer than its freshness allows."
            )
        reasons = self._with_new_files(landing, streams)
        return pending | {selector(label): f"{label}: {why}." for label, why in reasons.items()}

    def _with_new_files(self, landing: Landing, streams: Sequence[Stream]) -> dict[str, str]:
        """The streams that have to be fed, each with the reason.

        A stream that cannot be listed while others can is one of them: its build fails with the
        reason, and the others are fed.
        """

        def versions(stream: Stream) -> list[Version] | LakeError:
            try:
                return stream.versions(landing)
            except LakeError as error:
                return error

        due = {stream.label: "a full sweep is due" for stream in streams if stream.sweep_is_due}
        rest = [stream for stream in streams if stream.label not in due]
        # Side by side where that means to wait for a store.
        with ThreadPoolExecutor(max_workers=12 if is_s3(landing.url) else 1) as pool:
            found = list(pool.map(versions, rest))
        errors = [outcome for outcome in found if isinstance(outcome, LakeError)]
        if errors and len(errors) == len(found):
            raise Unreachable(str(errors[0])) from errors[0]
        listed = [file for outcome in found if isinstance(outcome, list) for file in outcome]
        paths, etags = ([file[part] for file in listed] for part in (0, 1))
        unknown = {path for (path,) in self._rows(_UNKNOWN, [paths, etags])}
        reasons = {}
        for stream, outcome in zip(rest, found, strict=True):
            if isinstance(outcome, LakeError):
                reasons[stream.label] = str(outcome).rstrip(".")
            elif count := len({path for path, _ in outcome} & unknown):
                reasons[stream.label] = counted(count, "new file")
        return reasons | due

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except (duckdb.BinderException, duckdb.CatalogException):
            raise
        except duckdb.Error as error:
            raise Unreachable(
                f"The lake cannot be read: {str(error).splitlines()[0]}. Check the catalog and "
                "LAKE_DATA_URL."
            ) from error
