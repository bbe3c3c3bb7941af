"""What has to be built: asked of the lake and of the landing zone each time, without dbt."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

import lotus_lake
from lotus_lake import settings
from lotus_lake.config import LakeConfig, LakeError, is_s3
from lotus_lake.connection import NoLakeError, connect
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

_LAST_BUILD, _STREAMS, _UNKNOWN, _CHANGED = duckdb.extract_statements(
    Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
)


def selector(label: str) -> str:
    """dbt's selection of a stream and of everything downstream."""
    return f"stg_{label.replace('.', '__')}+"


def code_digest(project: Path, target: str, variables: str | None) -> str:
    """A digest of everything that a build and its site depend on, but for what has landed;
    ``variables`` is what the command line says of them."""
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
        return f"{self.source}.{self.name}"

    def bad_files(self, landing: Landing) -> list[LandedFile]:
        """The files in quarantine as they are now, without those that were removed since."""
        return landing.again(file.path for file in self.bad)

    @property
    def sweep_is_due(self) -> bool:
        """Whether a build has to list everything, and to remember that it did; of a small stream,
        and where sweeps are always due, every tick does."""
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


@contextlib.contextmanager
def reading(config: LakeConfig) -> Iterator[Lake | None]:
    """The lake, to be read; None where there is none yet.

    Raises:
        Unreachable: It cannot be read.
    """
    try:
        connection = connect(config)
    except NoLakeError:
        yield None
        return
    with contextlib.closing(connection):
        yield Lake(connection)


class Lake:
    """What a tick knows from."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        try:
            rows = self._rows(_LAST_BUILD)
        except (duckdb.BinderException, duckdb.CatalogException):
            rows = []
        # None too for a lake that an older release built.
        self.last = LastBuild(*rows[0]) if rows else None

    def streams(self) -> list[Stream]:
        """The streams of the project as it was last built."""
        streams = []
        for *cursor, declaration, fed_at, bad in self._rows(_STREAMS) if self.last else ():
            files = [BadFile(*file) for file in bad or ()]
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
        elif changed := self._rows(_CHANGED, {"code": code, "snapshot": last.snapshot}):
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
        """The streams that have to be fed, each with the reason. One that cannot be listed while
        others can is among them: its build fails with the reason, and the others are fed."""

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
        asked = {"paths": [path for path, _ in listed], "etags": [etag for _, etag in listed]}
        unknown = {path for (path,) in self._rows(_UNKNOWN, asked)}
        reasons = {}
        for stream, outcome in zip(rest, found, strict=True):
            if isinstance(outcome, LakeError):
                reasons[stream.label] = str(outcome).rstrip(".")
            elif count := len({path for path, _ in outcome} & unknown):
                reasons[stream.label] = counted(count, "new file")
        return reasons | due

    def _rows(
        self, sql: duckdb.Statement, values: dict[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        try:
            return self.connection.execute(sql, values).fetchall()
        except (duckdb.BinderException, duckdb.CatalogException):
            raise
        except duckdb.Error as error:
            raise Unreachable(
                f"The lake cannot be read: {str(error).splitlines()[0]}. Check the catalog and "
                "LAKE_DATA_URL."
            ) from error
