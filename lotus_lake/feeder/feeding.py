"""The feed of a stream: its steps, its transaction, and what happens when it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.escaping import printable
from lotus_lake.feeder import drift
from lotus_lake.feeder.batch import (
    Batch,
    check_still_there,
    check_unchanged,
    find_batch,
    scan,
)
from lotus_lake.feeder.fitting import Fitter, Group
from lotus_lake.feeder.ledger import Cursor, Ledger
from lotus_lake.feeder.plan import Plan, Planner
from lotus_lake.feeder.rows import Writer
from lotus_lake.feeder.staging import Staging
from lotus_lake.landing import Landing, open_landing
from lotus_lake.probe import OUT_OF_MEMORY_REASON, Prober, is_out_of_memory, is_transient, reason_of
from lotus_lake.races import FileChanged, LostRace, attempts, is_conflict, roll_back, sign
from lotus_lake.schema.plain_json import register as register_plain_json
from lotus_lake.streams import Stream
from lotus_lake.wording import counted

# What a file can cause that can be read; everything else is the lake's fault, or the store's.
_FILES_FAULT = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.NotSupportedError,
    duckdb.ProgrammingError,
)


def feed(connection: duckdb.DuckDBPyConnection, source: str, name: str) -> str | None:
    """Feed what is new of a stream, over dbt's connection; the materialization ``feed`` calls it.

    What stops the feed is returned as text: dbt would wrap an exception of a Python model in its
    traceback, and the materialization raises this text as it is. Bad files stop nothing: they are
    quarantined.
    """
    try:
        row = connection.execute(
            f"select declaration from {ALIAS}.meta.feeder_cursors where source = ? and stream = ?",
            [source, name],
        ).fetchone()
        if not row or not row[0]:
            raise LakeError(
                f"Stream {source}.{name} is not declared: give it `meta: feeder:` in its source's"
                " YAML (docs/feeder.md)."
            )
        stream = Stream.from_declaration(row[0])
        outcome = Feeder(connection, stream, open_landing(LakeConfig.from_env().landing_url)).feed()
        for line in outcome.lines(stream):
            print(printable(line), flush=True)
    except LakeError as error:
        return str(error)
    except duckdb.Error as error:
        return str(_unusable(f"{source}.{name}", error))
    return None


def _unusable(label: str, error: duckdb.Error) -> LakeError:
    return LakeError(
        f"Stream {label}: the lake cannot be used: {str(error).splitlines()[0]}. Nothing of this "
        "feed was written."
    )


class _TooMuch(Exception):
    """So many files cannot be fed at once."""


@dataclass(frozen=True)
class Outcome:
    """What one feed did."""

    files: int = 0
    rows: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)  # paths with their reasons
    # paths that are still being written, left for the next run
    changing: list[str] = field(default_factory=list)
    backlog_files: int = 0  # new files left for the next run
    backlog_bytes: int = 0

    def lines(self, stream: Stream) -> list[str]:
        """What to tell the person who watches the run; nothing when there was nothing."""
        told = [
            f"QUARANTINED {path}: {reason}. Its rows are not in the lake; a repaired file is fed "
            "by the next run (lake status)."
            for path, reason in self.quarantined
        ]
        told += [
            f"WAITS {path}: it changed each time it was read, as if it is still being written. "
            "The next run feeds it."
            for path in self.changing
        ]
        if self.files or self.backlog_files:
            fed = f"fed {stream.label}: {counted(self.files, 'file')}, {counted(self.rows, 'row')}"
            if self.backlog_files:
                waits = "waits" if self.backlog_files == 1 else "wait"
                size = f"{self.backlog_bytes / 1e6:,.1f} MB"
                fed += f"; {counted(self.backlog_files, 'file')} ({size}) {waits} for the next run"
            told.append(fed)
        return told


class Feeder:
    """Feeds one stream; no transaction may be open."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, stream: Stream, landing: Landing
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._landing = landing
        self._prober = Prober(landing, stream.limits)
        self._ledger = Ledger(connection, stream)
        self._staging = Staging(connection, stream)
        self._most_files = stream.feed_max_files
        self._changes: Counter[str] = Counter()
        register_plain_json(connection)
        fitter = Fitter(connection, stream, self._prober)
        self._planner = Planner(stream, self._staging, fitter)
        self._writer = Writer(connection, stream, self._prober)

    def feed(self) -> Outcome:
        """Feed one bounded batch of new files, oldest first.

        Raises:
            LakeError: The lake or the landing zone cannot be used.
        """
        # A feed that lost a race is planned again from what the winner left.
        for _ in attempts():
            try:
                return self._feed_fewer_files()
            except FileChanged as changed:
                self._changes[str(changed)] += 1
            except LostRace:
                continue
            except duckdb.Error as error:
                roll_back(self._connection)
                if not is_conflict(error):
                    raise _unusable(self._stream.label, error) from error
        raise LakeError(
            f"Stream {self._stream.label}: other runs kept changing it while it was fed. Nothing "
            "of this feed was written; let the other runs finish and run again."
        )

    def _feed_fewer_files(self) -> Outcome:
        while True:
            try:
                return self._feed_once()
            except _TooMuch:
                continue
            finally:
                self._prober.clear()

    def _feed_once(self) -> Outcome:
        cursor = self._ledger.cursor()
        if cursor.version == 0:
            self._staging.create()
        # A file that changed twice is still being written: the others do not wait for it.
        changing = [path for path, times in self._changes.items() if times > 1]
        batch = find_batch(
            self._landing,
            self._ledger,
            replace(self._stream, feed_max_files=self._most_files),
            cursor,
            changing,
        )
        if not batch.files:
            if batch.swept or cursor.backlog:
                self._ledger.note_idle(cursor, batch.swept)
            return Outcome(changing=changing)

        quarantine, probes = scan(self._prober, self._stream, batch.files)
        before = self._staging.columns()
        plan = Plan([], {}, [])
        while True:
            try:
                plan = self._planner.plan(probes, quarantine)
                # What the first delivery brings is how the stream is.
                changes = drift.growths(before, plan.columns, plan.groups) if cursor.files else []
                self._commit(cursor, batch, plan, quarantine, changes)
                break
            except BaseException as error:
                roll_back(self._connection)
                if not isinstance(error, duckdb.Error | MemoryError):
                    raise
                quarantine.update(self._bad_files(error, batch, plan))
                probes = [probe for probe in probes if probe.file.path not in quarantine]
        return Outcome(
            files=len(plan.loaded),
            rows=sum(probe.rows for probe in plan.loaded),
            quarantined=sorted(quarantine.items()),
            changing=changing,
            backlog_files=len(batch.rest),
            backlog_bytes=sum(file.size for file in batch.rest),
        )

    def _commit(
        self,
        cursor: Cursor,
        batch: Batch,
        plan: Plan,
        quarantine: Mapping[str, str],
        changes: Sequence[Mapping[str, str | None]],
    ) -> None:
        """Write everything of this feed in one transaction; the caller rolls back."""
        version = cursor.version + 1
        self._connection.execute("begin")
        fed = counted(len(plan.loaded), "file")
        sign(self._connection, f"feed {version} of {self._stream.label}: {fed}")
        # First of all the cursor: of two feeds that change its row only one can commit.
        self._ledger.move_cursor(cursor, batch, plan.loaded)
        self._writer.write(plan.ddl, plan.groups, version)
        self._ledger.write_files(batch, plan, quarantine, version)
        self._ledger.write_changes(changes, version)
        check_unchanged(self._landing, batch.files)
        self._connection.execute("commit")

    def _bad_files(
        self, error: duckdb.Error | MemoryError, batch: Batch, plan: Plan
    ) -> dict[str, str]:
        """The files that made a feed fail, with the reasons by path; never none.

        Raises:
            LostRace: Another run was faster, or a file was replaced.
            _TooMuch: Half of the files have to be fed at once.
            LakeError: It was no file's fault.
        """
        if is_conflict(error):
            raise LostRace from error
        check_still_there(self._landing, batch.files)
        bad = {}
        memory_failed = is_out_of_memory(error)
        if memory_failed:
            if len(batch.files) == 1:
                bad = {batch.files[0].path: OUT_OF_MEMORY_REASON}
        elif not is_transient(error):
            bad = self._unreadable(plan.groups) or self._unfit(plan.groups)
        # A damaged file may fail only beside others, where DuckDB does not trust its statistics.
        if not bad and len(batch.files) > 1 and (memory_failed or isinstance(error, _FILES_FAULT)):
            self._most_files = len(batch.files) // 2
            raise _TooMuch from error
        if not bad:
            raise LakeError(
                f"Stream {self._stream.label}: the feed failed and nothing of it was "
                f"written: {str(error).splitlines()[0]}"
            ) from error
        return bad

    def _unreadable(self, groups: Sequence[Group]) -> dict[str, str]:
        """After a feed failed: which files cannot be read to their end, and why?"""
        bad = {}
        for group in groups:
            for probe in group.probes:
                try:
                    self._writer.read_through(group, [probe])
                except duckdb.Error as error:
                    if not is_transient(error):
                        bad[probe.file.path] = reason_of(error, "it cannot be read")
        return bad

    def _unfit(self, groups: Sequence[Group]) -> dict[str, str]:
        """After a feed failed though every file can be read: which of them fail alone, and why?"""
        bad = {}
        for probe in (probe for group in groups for probe in group.probes):
            alone = self._planner.plan([probe], quarantine={})
            try:
                self._connection.execute("begin")
                self._writer.write(alone.ddl, alone.groups, version=0)
            except _FILES_FAULT as error:
                bad[probe.file.path] = reason_of(error, "it cannot be fed")
            except duckdb.Error:
                pass  # the lake's fault, or the store's
            finally:
                roll_back(self._connection)
        return bad
