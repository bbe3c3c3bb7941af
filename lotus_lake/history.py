"""What a table said at an earlier moment, and which deliveries made it say what it says now.

The lake remembers all that is needed: its snapshots hold the table's rows, the position of each
model says which state of its inputs it had read, and the feeder's ledger says which files came in
between two states of a stream. So nothing is guessed from times.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect
from lotus_lake.diff.compare import Side, compare
from lotus_lake.diff.report import print_report
from lotus_lake.diff.sides import keys
from lotus_lake.scheduler.exits import Exit

_CATALOG = f"__ducklake_metadata_{ALIAS}"
# Of rows, steps and files, as many as a person reads.
_ROWS = 3
_STEPS = 20
_FILES = 6

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """A state of the lake."""

    number: int
    at: datetime

    def __str__(self) -> str:
        return f"snapshot {self.number} of {_time(self.at)}"


@dataclass(frozen=True)
class RowDiff:
    """Rows of a condition in two states.

    Args:
        columns: The columns that both states have.
        key: Places of the columns that name a row; empty when none are known.
        pairs: Rows that differ, before and after; None on the side that does not have it.
        same: Rows that do not differ, when there are few.
        rows_before, rows_after: How many rows match.
        new_columns, lost_columns: Columns that only one state has.
    """

    columns: list[str]
    key: tuple[int, ...]
    pairs: list[tuple[Row | None, Row | None]]
    same: list[Row]
    rows_before: int
    rows_after: int
    new_columns: list[str]
    lost_columns: list[str]


@dataclass(frozen=True)
class FedFile:
    """A file whose rows came into a stream, or left it."""

    stream: str
    path: str
    undone: bool
    rows: int | None
    at: datetime


@dataclass
class Step:
    """A snapshot that changed the table.

    Args:
        snapshot: Which.
        rebuilt: Why the table was made again from everything, or empty.
        change: What changed, in words.
        files: The files behind it.
        others: Other inputs behind it: tables that come from no stream.
        run: The run of dbt that wrote it, in words.
    """

    snapshot: Snapshot
    rebuilt: str = ""
    change: str = ""
    files: list[FedFile] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    run: str = ""


class History:
    """One table's past.

    Args:
        connection: Connection with the lake attached as ``lakehouse``.
        table: Its name, with or without its schema.
        where: A condition for the rows, in SQL; all rows if empty.
        key: The columns that name a row; empty if none are known.

    Raises:
        LakeError: There is no such table, or the condition is wrong.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: str, where: str, key: list[str]
    ) -> None:
        self._connection = connection
        self.where = where
        self._key = key
        self.oldest, self.newest = self._snapshot("min"), self._snapshot("max")
        self.name = self._find(table)
        self.schema, _, self.table = self.name.partition(".")
        self._check_where(self.newest)
        self._read_cache: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}

    # -- moments --------------------------------------------------------------------------------

    def at(self, text: str) -> Snapshot:
        """The state of a moment.

        Args:
            text: A date (its beginning), a time (in UTC unless it says), or a snapshot's number.

        Raises:
            LakeError: It is none of these, or the lake does not reach there.
        """
        text = text.strip()
        if re.fullmatch(r"\d{1,7}|\d{9,15}", text):
            found = self._all(
                f"select snapshot_id, snapshot_time::timestamptz from {_CATALOG}.ducklake_snapshot"
                f" where snapshot_id = {text}"
            )
            if int(text) < self.oldest.number:
                raise self._too_old(f"snapshot {text}")
            if not found:
                raise LakeError(
                    f"AT: there is no snapshot {text}; the lake has {self.oldest.number} to "
                    f"{self.newest.number}."
                )
            return self._there(Snapshot(*found[0]))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise LakeError(
                f"AT is '{text}': write a date (2026-03-01), a time (2026-03-01 14:30, in UTC "
                "unless it says otherwise) or the number of a snapshot."
            ) from error
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        if moment > datetime.now(UTC):
            raise LakeError(f"AT is {_time(moment)}, which is still to come: name an earlier time.")
        found = self._all(
            f"select snapshot_id, snapshot_time::timestamptz from {_CATALOG}.ducklake_snapshot"
            f" where snapshot_time::timestamptz <= ? order by snapshot_id desc limit 1",
            [moment],
        )
        if not found:
            raise self._too_old(_time(moment))
        return self._there(Snapshot(*found[0]))

    def _too_old(self, what: str) -> LakeError:
        return LakeError(
            f"AT: {what} is before the oldest state that the lake still has, {self.oldest}. "
            "Maintenance lets go of what is older than the variable snapshot_days."
        )

    def _there(self, then: Snapshot) -> Snapshot:
        if any(begin <= then.number < end for begin, end in self._lives()):
            self._check_where(then)
            return then
        first = min(begin for begin, _ in self._lives())
        later = f"it begins with snapshot {first}" if first > then.number else "it was dropped"
        raise LakeError(f"AT: {self.name} was not there in {then}: {later}.")

    def _snapshot(self, which: str) -> Snapshot:
        return Snapshot(
            *self._all(
                f"select {which}(snapshot_id), {which}_by(snapshot_time, snapshot_id)::timestamptz"
                f" from {_CATALOG}.ducklake_snapshot"
            )[0]
        )

    # -- the table ------------------------------------------------------------------------------

    def _find(self, table: str) -> str:
        known = [
            name
            for (name,) in self._all(
                f"select schema_name || '.' || table_name from {_CATALOG}.ducklake_table as tables"
                f" inner join {_CATALOG}.ducklake_schema as schemas using (schema_id)"
                " where tables.end_snapshot is null and schema_name <> 'meta' order by all"
            )
        ]
        for name in known:
            if table in (name, name.partition(".")[2]):
                return str(name)
        by_name = {name.partition(".")[2]: name for name in known}
        near = difflib.get_close_matches(table.rpartition(".")[2], by_name, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "docs/models.md lists the tables."
        raise LakeError(f"TABLE: the lake has no table {table}; {hint}")

    def _lives(self) -> list[tuple[int, float]]:
        """From and to which snapshot a table of this name was there: a rebuild is another table."""
        return self._all(
            f"select tables.begin_snapshot, coalesce(tables.end_snapshot, 'infinity'::double)"
            f" from {_CATALOG}.ducklake_table as tables"
            f" inner join {_CATALOG}.ducklake_schema as schemas using (schema_id)"
            " where schema_name = ? and table_name = ? order by 1",
            [self.schema, self.table],
        )

    def _relation(self, snapshot: int) -> str:
        return Side(ALIAS, snapshot, "").relation(self.name)

    def _matching(self, columns: str, snapshot: int) -> str:
        # The condition on lines of its own: it may end with a comment.
        rows = f"select {columns} from {self._relation(snapshot)}"
        return f"{rows} where (\n{self.where}\n)" if self.where else rows

    def _check_where(self, snapshot: Snapshot) -> None:
        if not self.where:
            return
        try:
            self._all(f"select count(*) from ({self._matching('*', snapshot.number)})")
        except duckdb.Error as error:
            said = " ".join(str(error).split(" LINE ")[0].split("\n")[0].split())
            raise LakeError(
                f"WHERE ({self.where}) does not fit {self.name} in {snapshot}: {said}"
            ) from error

    # -- what it said ---------------------------------------------------------------------------

    def difference(self, before: int, after: int) -> RowDiff:
        """The rows of the condition in two snapshots."""
        ours, theirs = self._columns(before), self._columns(after)
        columns = [name for name in theirs if name in ours]
        read = ", ".join(f'"{name}"' for name in columns)
        cast = {name: theirs[name] for name in columns}
        old = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in cast.items())
        was, now = self._matching(old, before), self._matching(read, after)
        key = tuple(columns.index(name) for name in self._key if name in columns)
        left = self._all(f"(from ({was})) except all (from ({now}))")
        right = self._all(f"(from ({now})) except all (from ({was}))")
        counts = self._all(
            f"select (select count(*) from ({was})), (select count(*) from ({now}))"
        )[0]
        same: list[Row] = []
        if max(counts) <= _ROWS:
            same = self._all(f"(from ({was})) intersect all (from ({now}))")
        return RowDiff(
            columns,
            key,
            list(_pairs(left, right, key)),
            same,
            rows_before=counts[0],
            rows_after=counts[1],
            new_columns=[name for name in theirs if name not in ours],
            lost_columns=[name for name in ours if name not in theirs],
        )

    def _columns(self, snapshot: int) -> dict[str, str]:
        return {row[0]: row[1] for row in self._all(f"describe from {self._relation(snapshot)}")}

    # -- what happened between ------------------------------------------------------------------

    def steps(self, then: int, now: int) -> list[Step]:
        """The snapshots after ``then`` and up to ``now`` that changed rows of the condition."""
        found = []
        for begin, end in self._lives():
            first, last = max(begin, then + 1), int(min(end - 1, now))
            if last < first:
                continue
            rebuilt = begin > then
            if rebuilt and any(finish == begin for _, finish in self._lives()):
                step = self._step(begin, "")
                if step:
                    step.rebuilt = self._why_rebuilt(begin)
                    found.append(step)
            condition = f"where (\n{self.where}\n)" if self.where else ""
            changed = self._all(
                f"select snapshot_id, count(*) filter (change_type in ('insert',"
                f" 'update_postimage')), count(*) filter (change_type in ('delete',"
                f" 'update_preimage')) from ducklake_table_changes('{ALIAS}', '{self.schema}',"
                # A file that was merged later brings rows of its older snapshots along.
                f" '{self.table}', {first + rebuilt}, {last}) {condition}"
                f" group by 1 having snapshot_id >= {first + rebuilt} order by 1"
                if last >= first + rebuilt
                else "select 0, 0, 0 where false"
            )
            for snapshot, written, deleted in changed:
                step = self._step(
                    snapshot, f"{counted(written, 'row')} written, {deleted:,} taken out"
                )
                if step:
                    found.append(step)
        return found

    def _step(self, snapshot: int, counted: str) -> Step | None:
        """One of them with what is behind it; None if it left the rows as they were."""
        at = self._all(
            "select snapshot_time::timestamptz from"
            f" {_CATALOG}.ducklake_snapshot where snapshot_id = {snapshot}"
        )
        step = Step(Snapshot(snapshot, at[0][0]), change=counted)
        if self.where:
            diff = self.difference(snapshot - 1, snapshot)
            if not diff.pairs and not diff.new_columns and not diff.lost_columns:
                return None
            step.change = "; ".join(_in_words(diff))
        before, after = self._read(self.table, snapshot - 1), self._read(self.table, snapshot)
        for name in sorted(after):
            low = before[name][0] if name in before else 0
            high = after[name][1]
            if high > low:
                self._add_input(step, name, low, high)
        step.run = self._run(step.snapshot)
        return step

    def _add_input(self, step: Step, name: str, low: int, high: int) -> None:
        """Add what came into a table that no model writes, between two of its states."""
        stream = self._streams().get(name)
        if stream is None:
            touched = self._all(
                f"select 1 from (select unnest(string_split(changes_made, ',')) as change from"
                f" {_CATALOG}.ducklake_snapshot_changes where snapshot_id > {low} and snapshot_id"
                f" <= {high}) inner join {_CATALOG}.ducklake_table as tables on"
                " split_part(change, ':', 2) = table_id::varchar where table_name = ? and"
                " split_part(change, ':', 1) like '%insert%' limit 1",
                [name],
            )
            if touched and name != self.table:
                step.others.append(name)
            return
        # What went into quarantine brought no rows; what was undone took some away. Entries are
        # unique, but the past of a table whose rows were inlined may be read twice (decision 0010).
        ledger = (
            "select path, cursor_version, status = 'quarantined', row_count, loaded_at"
            " from lakehouse.meta.feeder_files at (version => {}) where source = ? and stream = ?"
            " and (status = 'loaded' or starts_with(reason, 'undone'))"
        )
        for path, _, undone, rows, loaded_at in self._tolerant(
            f"{ledger.format(high)} except {ledger.format(max(low, self.oldest.number))}"
            " order by path",
            [*stream, *stream],
        ):
            step.files.append(FedFile(".".join(stream), path, undone, rows, loaded_at))

    def _why_rebuilt(self, snapshot: int) -> str:
        """Which model's code changed, if one did: its own, or that of one that it reads."""
        changed = self._code_changes(self.table, snapshot - 1, snapshot)
        if changed == [self.table]:
            return "its code, columns or variables changed"
        if changed:
            return f"the code, columns or variables of {', '.join(changed)} changed, which it reads"
        return "no code of it or of what it reads changed: a full refresh, or changes had expired"

    def _code_changes(self, model: str, before: int, after: int) -> list[str]:
        ours, theirs = self._cursors(model, before), self._cursors(model, after)
        own = ours.get(model), theirs.get(model)
        if own[0] and own[1] and own[0][2] != own[1][2]:
            return [model]
        found: list[str] = []
        for name, (uuid, position, _) in theirs.items():
            was = ours.get(name)
            if name != model and was and was[0] != uuid:
                found += self._code_changes(name, was[1], position)
        return list(dict.fromkeys(found))

    # -- what it was made of --------------------------------------------------------------------

    def _read(self, model: str, snapshot: int) -> dict[str, tuple[int, int]]:
        """The tables that no model writes behind a model's state: the oldest and the newest of
        their snapshots that it has read, over all ways that lead there."""
        known = self._read_cache.get((model, snapshot))
        if known is not None:
            return known
        inputs = {
            name: position
            for name, (_, position, _) in self._cursors(model, snapshot).items()
            if name != model
        }
        found: dict[str, tuple[int, int]] = {}
        for name, position in inputs.items():
            for leaf, (low, high) in self._read(name, position).items():
                lowest, highest = found.get(leaf, (low, high))
                found[leaf] = (min(lowest, low), max(highest, high))
        found = found or {model: (snapshot, snapshot)}
        self._read_cache[model, snapshot] = found
        return found

    def _cursors(self, model: str, snapshot: int) -> dict[str, tuple[str, int, str]]:
        """A model's positions in a state of the lake: input, position and fingerprint by name."""
        if snapshot < self.oldest.number:
            return {}
        return {
            name: (uuid, position, fingerprint)
            for name, uuid, position, fingerprint in self._tolerant(
                "select upstream, upstream_uuid, snapshot_id, fingerprint"
                f" from lakehouse.meta.model_cursors at (version => {snapshot}) where model = ?",
                [model],
            )
        }

    def _streams(self) -> dict[str, tuple[str, str]]:
        return {
            f"stg_{source}__{stream}": (source, stream)
            for source, stream in self._tolerant(
                "select source, stream from lakehouse.meta.feeder_cursors", []
            )
        }

    def _run(self, snapshot: Snapshot) -> str:
        found = self._tolerant(
            "select command, invocation_id, code_version from lakehouse.meta.invocations"
            " where started_at <= ? and finished_at >= ? order by started_at desc limit 1",
            [snapshot.at, snapshot.at],
        )
        if not found:
            return ""
        command, invocation, code = found[0]
        return f"dbt {command} {invocation[:8]}" + (f", code {code}" if code else "")

    def _tolerant(self, sql: str, values: list[Any]) -> list[Row]:
        """Rows of the bookkeeping; none where the lake had none yet."""
        try:
            return self._all(sql, values)
        except duckdb.CatalogException:
            return []

    def _all(self, sql: str, values: list[Any] | None = None) -> list[Row]:
        return self._connection.execute(sql, values or []).fetchall()


def _pairs(
    before: list[Row], after: list[Row], key: tuple[int, ...]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows that differ, put together by their key."""
    if not key:
        if len(before) == len(after) == 1:
            yield before[0], after[0]
            return
        yield from ((row, None) for row in before)
        yield from ((None, row) for row in after)
        return

    def of(row: Row) -> Row:
        return tuple(row[place] for place in key)

    later = {of(row): row for row in after}
    for row in sorted(before, key=lambda one: repr(of(one))):
        yield row, later.pop(of(row), None)
    yield from ((None, row) for row in later.values())


# -- how it looks ----------------------------------------------------------------------------------


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(number: int, thing: str) -> str:
    """A number of things."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _value(value: Any) -> str:
    return "null" if value is None else str(value)


def _named(diff: RowDiff, row: Row) -> str:
    return ", ".join(_value(row[place]) for place in diff.key)


def _in_words(diff: RowDiff) -> Iterator[str]:
    """What changed, one part for each of the first rows."""
    for before, after in diff.pairs[:_ROWS]:
        some = before or after
        assert some
        name = f"{_named(diff, some)}: " if diff.key and len(diff.pairs) > 1 else ""
        if before is None or after is None:
            yield f"{name}row {'added' if before is None else 'removed'}"
            continue
        yield name + ", ".join(
            f"{column} {_value(old)} → {_value(new)}"
            for column, old, new in zip(diff.columns, before, after, strict=True)
            if old != new
        )
    if len(diff.pairs) > _ROWS:
        yield f"and {len(diff.pairs) - _ROWS:,} more rows"
    if diff.new_columns:
        yield f"new columns {', '.join(diff.new_columns)}"
    if diff.lost_columns:
        yield f"without {', '.join(diff.lost_columns)}"


def print_difference(diff: RowDiff, console: Console) -> None:
    """Rows side by side, a mark before each column that differs."""
    differing = len(diff.pairs)
    if not diff.rows_before and not diff.rows_after:
        console.print("No row matched then, and none does now.")
        return
    console.print(
        f"{counted(diff.rows_before, 'row')} then, {diff.rows_after:,} now: "
        + (f"{counted(differing, 'row')} changed." if differing else "nothing changed.")
    )
    shown = [*diff.pairs, *((row, row) for row in diff.same)][:_ROWS]
    for before, after in shown:
        table = Table("", "column", "then", "now", box=None, padding=(0, 1), pad_edge=False)
        table.columns[2].justify = table.columns[3].justify = "right"
        for place, column in enumerate(diff.columns):
            old = "-" if before is None else _value(before[place])
            new = "-" if after is None else _value(after[place])
            changed = old != new
            table.add_row(
                "≠" if changed else "",
                escape(column),
                escape(old),
                escape(new),
                style="bold yellow" if changed else "",
            )
        console.print(table)
        console.print()
    if len(diff.pairs) > _ROWS:
        console.print(f"and {len(diff.pairs) - _ROWS:,} more rows that differ.\n")


def print_steps(steps: list[Step], console: Console) -> None:
    """What happened, oldest first."""
    if not steps:
        console.print("Nothing has changed these rows since.")
        return
    console.print("[bold]What changed it[/]")
    if len(steps) > _STEPS:
        console.print(f"({len(steps) - _STEPS:,} earlier changes are left out)")
    for step in steps[-_STEPS:]:
        console.print(f"\n{step.snapshot}" + (f", by {escape(step.run)}" if step.run else ""))
        if step.rebuilt:
            console.print(f"  [bold]made again from everything:[/] {escape(step.rebuilt)}")
        if step.change:
            console.print(f"  {escape(step.change)}")
        for name in step.others:
            console.print(f"  table {escape(name)} was written")
        for file in step.files[:_FILES]:
            brought = "it was taken out" if file.undone else counted(file.rows or 0, "row")
            # Paths are for copying: they are not broken into lines.
            console.print(
                f"  {file.stream}, {brought}, {_time(file.at)}:\n    {escape(file.path)}",
                soft_wrap=True,
            )
        if len(step.files) > _FILES:
            console.print(f"  and {counted(len(step.files) - _FILES, 'more file')}")
        if not step.files and not step.rebuilt and not step.others:
            console.print("  no file came in between: see the run")


# -- the command -----------------------------------------------------------------------------------


def main(table: str, at: str, where: str, manifest: Path, console: Console | None = None) -> int:
    """Print what a table said then and says now, and what changed it.

    Args:
        table: Its name, with or without its schema.
        at: See :meth:`History.at`.
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
        of_models = keys(manifest)
    except LakeError as error:
        return _failed(error, Exit.USAGE)
    try:
        connection = connect(config)
    except (LakeError, duckdb.Error) as error:
        return _failed(error, Exit.UNREACHABLE)
    with connection:
        try:
            key = list(of_models.get(table.rpartition(".")[2], ()))
            history = History(connection, table, where, key)
            then, now = history.at(at), history.newest
        except LakeError as error:
            return _failed(error, Exit.USAGE)
        try:
            _print(history, then, now, of_models, connection, console)
        except duckdb.Error as error:
            return _failed(error, Exit.UNREACHABLE)
    return Exit.OK


def _print(
    history: History,
    then: Snapshot,
    now: Snapshot,
    of_models: dict[str, list[str]],
    connection: duckdb.DuckDBPyConnection,
    console: Console,
) -> None:
    condition = f" where {history.where}" if history.where else ""
    console.print(f"[bold]{history.name}[/]{escape(condition)}")
    console.print(f"then: {then}\nnow:  {now}\n")
    if history.where:
        print_difference(history.difference(then.number, now.number), console)
    else:
        before, after = (Side(ALIAS, one.number, history.table) for one in (then, now))
        print_report(compare(connection, before, after, of_models, [history.table]), console)
        console.print()
    print_steps(history.steps(then.number, now.number), console)


def _failed(error: Exception, code: Exit) -> int:
    print(f"as-of: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return code
