"""What a table said at an earlier moment, what it says now, and what changed it: ``lake as-of``.

The lake's snapshots hold the rows, each with the run that made it in its commit message; the
feeder's ledger, as of two snapshots, says which files came in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect, lock_down
from lotus_lake.diff.personal import HIDDEN, shown
from lotus_lake.diff.sides import keys
from lotus_lake.escaping import plain
from lotus_lake.wording import counted

# As many as a person reads, of rows that differ, files behind a step, and steps.
_ROW_LIMIT, _FILE_LIMIT, _STEP_LIMIT = 10, 6, 20

_FILES = Path(__file__).with_suffix(".sql").read_text()
_WRITTEN_BEFORE = f"""
    select max(changes.snapshot_id)
    from {ALIAS}.meta.table_changes as changes
    inner join __ducklake_metadata_{ALIAS}.ducklake_table as tables
        on changes.table_id = tables.table_id
    where tables.table_name = $table and changes.snapshot_id < $now
"""


def look(table: str, at: str, where: str, manifest: Path) -> dict[str, Any]:
    """Look at what a table said at a moment and says now, and what changed it.

    ``at`` is a date (its beginning), a time (in UTC unless it says) or a snapshot's number;
    ``where`` a condition in SQL, or empty; the manifest says which columns are keys and which
    personal. The answer has ``then`` and ``now`` (``snapshot``, ``time``, ``rows``),
    ``differences`` in words, and ``steps``.

    Raises:
        LakeError: A wrong environment, table, moment or condition.
        Unreachable: The lake cannot be read.
    """
    config = LakeConfig.from_env()
    if config.branch:
        branches.require(config)
    keys_of, shown_of = keys(manifest), shown(manifest)
    with connect(config) as connection:
        if where:
            lock_down(connection, config)
        past = _Past(connection, table, where, keys_of, shown_of)
        now = past.at(past.newest)
        then = past.at(past.number_at(at.strip()))
        return {
            "table": past.name,
            "where": where,
            "then": then,
            "now": now,
            "differences": past.differences(then["snapshot"], past.newest),
            "steps": list(past.steps(then["snapshot"])),
        }


def show(found: dict[str, Any]) -> None:
    # Paths are for copying: nothing is broken into lines.
    console = Console(highlight=False, soft_wrap=True)
    then, now, steps = found["then"], found["now"], found["steps"]
    condition = plain(f" where {found['where']}" if found["where"] else "")
    console.print(f"[bold]{found['table']}[/]{condition}")
    console.print(f"then: {_name(then)}\nnow:  {_name(now)}\n")
    console.print(f"Rows: {then['rows']:,} then, {now['rows']:,} now.")
    for line in found["differences"] or ["Nothing differs."]:
        console.print(f"  {plain(line)}")
    console.print("\n[bold]What changed it[/]" if steps else "\nNothing has changed these rows.")
    if len(steps) > _STEP_LIMIT:
        console.print(f"(left out: {counted(len(steps) - _STEP_LIMIT, 'earlier change')})")
    for step in steps[-_STEP_LIMIT:]:
        by = f", by {step['made_by']}" if step["made_by"] else ""
        console.print(f"\n{_name(step)}{plain(by)}")
        for line in filter(None, [step["message"], *step["changes"]]):
            console.print(f"  {plain(line)}")


def _name(snapshot: dict[str, Any]) -> str:
    return f"snapshot {snapshot['snapshot']} of {_in_utc(snapshot['time'])}"


def _in_utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _made_by(author: str, extra: str | None) -> str:
    """A run in words, of what ``races.sign`` wrote; empty for a transaction that did not say."""
    if not extra or not extra.startswith('{"invocation_id"'):
        return ""
    run = json.loads(extra)
    code = f", code {run['code_version']}" if run.get("code_version") else ""
    return f"{author} {run['invocation_id'][:8]}{code}"


class _Past:
    """One table's past, in all rows or those of a condition."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        where: str,
        keys: dict[str, list[str]],
        shown: dict[str, set[str]],
    ) -> None:
        self._connection = connection
        self._where = where
        # On lines of its own: it may end with a comment.
        self._condition = f"where (\n{where}\n)" if where else ""
        snapshots = self._rows(
            "select snapshot_id, snapshot_time, author, commit_message, commit_extra_info"
            f" from ducklake_snapshots('{ALIAS}')"
        )
        self.snapshots: dict[int, dict[str, Any]] = {
            number: {
                "snapshot": number,
                "time": time,
                "made_by": _made_by(author, extra),
                "message": message,
            }
            for number, time, author, message, extra in snapshots
        }
        self.oldest, self.newest = min(self.snapshots), max(self.snapshots)
        known = self._rows(
            "select schema_name, table_name from duckdb_tables() where database_name = ?"
            " and schema_name <> 'meta' and ? in (table_name, schema_name || '.' || table_name)"
            " order by all",
            [ALIAS, table],
        )
        if not known:
            raise LakeError(
                f"TABLE: the lake has no table {table}; docs/models.md lists the tables."
            )
        self._schema, self._table = known[0]
        self.name = f"{self._schema}.{self._table}"
        self._key = keys.get(self._table, [])
        # Whoever names rows knows them; of all others it is only said that they differ.
        self._shown = None if where else shown.get(self._table, ())

    def number_at(self, text: str) -> int:
        """The snapshot of a moment, see :func:`look`."""
        number = int(text) if re.fullmatch(r"\d{1,7}|\d{9,15}", text) else self._last_until(text)
        if number < self.oldest:
            oldest = _name(self.snapshots[self.oldest])
            raise LakeError(
                f"AT: {text} is before the oldest state that the lake still has, {oldest}."
                " Maintenance lets go of what is older than the variable snapshot_days."
            )
        if number not in self.snapshots:
            raise LakeError(
                f"AT: there is no snapshot {number}; the lake has {self.oldest} to {self.newest}."
            )
        return number

    def at(self, number: int) -> dict[str, Any]:
        """A snapshot, with the number of rows that match in it; the newest one first."""
        sql = f"select count(*) from ({self._matching('*', number)})"
        try:
            if len(duckdb.extract_statements(sql)) > 1:
                raise LakeError(f"WHERE ({self._where}) is more than one condition.")
            return {**self.snapshots[number], "rows": self._rows(sql)[0][0]}
        except duckdb.Error as error:
            moment = _name(self.snapshots[number])
            if isinstance(error, duckdb.CatalogException) and number != self.newest:
                raise LakeError(f"AT: {self.name} was not there in {moment}.") from error
            if not self._where:
                raise
            said = " ".join(str(error).split(" LINE ")[0].split("\n")[0].split())
            raise LakeError(
                f"WHERE ({self._where}) does not fit {self.name} in {moment}: {said}"
            ) from error

    def differences(self, before: int, after: int) -> list[str]:
        """What differs between two snapshots, in words: columns, then a line for each row."""
        old, new = self._columns(before), self._columns(after)
        both = [column for column in new if column in old]
        cast = ", ".join(f'try_cast("{column}" as {new[column]}) as "{column}"' for column in both)
        was = self._matching(cast, before)
        now = self._matching(", ".join(f'"{column}"' for column in both), after)
        same = [f'gone."{key}" is not distinct from come."{key}"' for key in self._key]
        found = self._rows(
            f"with gone as (select true as is_row, * from (from ({was}) except all from ({now}))),"
            f" come as (select true as is_row, * from (from ({now}) except all from ({was})))"
            " select count(*) over (), if(gone.is_row, gone, null), if(come.is_row, come, null)"
            f" from gone full join come on {' and '.join(same) or 'false'}"
            f" order by all limit {_ROW_LIMIT}"
        )
        lines = [f"new column {column}" for column in new if column not in old]
        lines += [f"without column {column}" for column in old if column not in new]
        lines += [self._in_words(gone, come) for _, gone, come in found]
        if found and found[0][0] > len(found):
            lines.append(f"and {counted(found[0][0] - len(found), 'more row')}")
        return lines

    def steps(self, then: int) -> Iterator[dict[str, Any]]:
        """The snapshots since that changed these rows: what changed, and in which files it landed,
        in words."""
        for number in self._changed(then + 1):
            if changes := self.differences(number - 1, number):
                files = self._files_behind(number)
                if (more := len(files) - _FILE_LIMIT) > 0:
                    files[_FILE_LIMIT:] = [f"and {counted(more, 'more file')}"]
                yield {**self.snapshots[number], "changes": [*changes, *files]}

    def _changed(self, first: int) -> list[int]:
        """Snapshots that wrote or took out rows of the condition, or made the table again."""
        # A table that was made again is another one for DuckLake: only between two of these
        # snapshots can it be asked for changes.
        made = self._rows(
            f"select snapshot_id from ducklake_snapshots('{ALIAS}') where snapshot_id between"
            " ? and ? and list_contains(changes['tables_created'], ?)",
            [first, self.newest, self.name],
        )
        found = {number for (number,) in made}
        for before, until in pairwise([first - 1, *sorted(found), self.newest + 1]):
            if until - before > 1:
                changes = self._rows(
                    f"select distinct snapshot_id from ducklake_table_changes('{ALIAS}',"
                    f" '{self._schema}', '{self._table}', {before + 1}, {until - 1})"
                    f" {self._condition}"
                )
                # A file that was merged later brings rows of its older snapshots along.
                found.update(number for (number,) in changes if number > before)
        return sorted(found)

    def _files_behind(self, number: int) -> list[str]:
        """What came into the streams behind the table, or left them, since it was last written."""
        written = self._rows(_WRITTEN_BEFORE, {"table": self._table, "now": number})[0][0] or 0
        sql = _FILES.format(now=number, before=max(written, self.oldest))
        try:
            files = self._rows(sql, {"table": self._table})
        except duckdb.CatalogException:
            return []  # the lake had no ledger yet
        return [
            f"{path} ({brought}, fed at {_in_utc(loaded_at)})" for path, brought, loaded_at in files
        ]

    def _in_words(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
        row = before or after or {}
        name = ", ".join(self._text(row, column) for column in self._key or list(row)[1:])
        if before is None or after is None:
            return f"{name}: row {'added' if before is None else 'removed'}"
        return f"{name}: " + ", ".join(
            f"{column} {self._text(before, column)} → {self._text(after, column)}"
            for column in before
            if before[column] != after[column]
        )

    def _text(self, row: dict[str, Any], column: str) -> str:
        return str(row[column]) if self._shown is None or column in self._shown else HIDDEN

    def _matching(self, columns: str, snapshot: int) -> str:
        return f"select {columns} from {self._relation(snapshot)} {self._condition}"

    def _relation(self, snapshot: int) -> str:
        return f'{ALIAS}.{self._schema}."{self._table}" at (version => {snapshot})'

    def _columns(self, snapshot: int) -> dict[str, str]:
        described = self._rows(f"describe from {self._relation(snapshot)}")
        return {name: kind for name, kind, *_ in described}

    def _last_until(self, text: str) -> int:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise LakeError(
                f"AT is '{text}': write a date (2026-03-01), a time (2026-03-01 14:30, in UTC "
                "unless it says otherwise) or the number of a snapshot."
            ) from error
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        if moment > datetime.now(UTC):
            raise LakeError(f"AT is {text}, which is still to come: name an earlier time.")
        until = [number for number, one in self.snapshots.items() if one["time"] <= moment]
        return max(until, default=-1)

    def _rows(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values or []).fetchall()
