"""One table's past: the moments that can be asked for, and the table's rows in each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.diff.personal import HIDDEN, Shown
from lotus_lake.wording import counted

# Of rows that differ, as many as a person reads.
_ROW_LIMIT = 10


@dataclass(frozen=True)
class Snapshot:
    """A state of the lake, with what its transaction said of itself (``races.sign``)."""

    number: int
    at: datetime
    author: str | None
    message: str | None
    run: str | None

    def __str__(self) -> str:
        return f"snapshot {self.number} of {in_utc(self.at)}"

    @property
    def made_by(self) -> str:
        """The run that made it, in words; empty for a transaction that did not say."""
        if not self.run or not self.run.startswith('{"invocation_id"'):
            return ""
        run = json.loads(self.run)
        code = f", code {run['code_version']}" if run.get("code_version") else ""
        return f"{self.author} {run['invocation_id'][:8]}{code}"


class Past:
    """One table's past.

    Args:
        connection: Connection with the lake attached as ``lakehouse``.
        table: Its name, with or without its schema.
        where: A condition for the rows, in SQL; all rows if empty.
        keys: The columns that name a row, by table.
        shown: The columns without personal data, by table. Without a condition, of all others it
            is only said that they differ.

    Raises:
        LakeError: There is no such table, or the condition is wrong.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        where: str,
        keys: dict[str, list[str]],
        shown: Shown,
    ) -> None:
        self._connection = connection
        self.where = where
        snapshots = self.rows(
            "select snapshot_id, snapshot_time, author, commit_message, commit_extra_info"
            f" from ducklake_snapshots('{ALIAS}')"
        )
        self.snapshots = {number: Snapshot(number, *rest) for number, *rest in snapshots}
        self.oldest, self.newest = min(self.snapshots), max(self.snapshots)
        self.schema, self.table = self._found(table)
        self.name = f"{self.schema}.{self.table}"
        self._key = keys.get(self.table, [])
        self._shown = None if where else shown.get(self.table, ())
        self._check_where(self.newest)

    def rows(self, sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection.execute(sql, values or []).fetchall()

    @property
    def condition(self) -> str:
        """The condition as a clause; empty when all rows are meant."""
        # On lines of its own: it may end with a comment.
        return f"where (\n{self.where}\n)" if self.where else ""

    def at(self, text: str) -> Snapshot:
        """The state of a moment.

        Args:
            text: A date (its beginning), a time (in UTC unless it says), or a snapshot's number.

        Raises:
            LakeError: It is none of these, or the lake does not reach there.
        """
        number = int(text) if re.fullmatch(r"\d{1,7}|\d{9,15}", text) else self._last_until(text)
        if number < self.oldest:
            raise LakeError(
                f"AT: {text} is before the oldest state that the lake still has,"
                f" {self.snapshots[self.oldest]}. Maintenance lets go of what is older than the"
                " variable snapshot_days."
            )
        if number not in self.snapshots:
            raise LakeError(
                f"AT: there is no snapshot {number}; the lake has {self.oldest} to {self.newest}."
            )
        then = self.snapshots[number]
        try:
            self._columns(number)
        except duckdb.CatalogException as error:
            raise LakeError(f"AT: {self.name} was not there in {then}.") from error
        self._check_where(number)
        return then

    def counts(self, *snapshots: int) -> list[int]:
        """How many rows match in each of some snapshots."""
        return [
            self.rows(f"select count(*) from ({self._matching('*', number)})")[0][0]
            for number in snapshots
        ]

    def differences(self, before: int, after: int) -> list[str]:
        """What differs between two snapshots, in words: columns, then a line for each row."""
        old, new = self._columns(before), self._columns(after)
        both = [column for column in new if column in old]
        cast = ", ".join(f'try_cast("{column}" as {new[column]}) as "{column}"' for column in both)
        was = self._matching(cast, before)
        now = self._matching(", ".join(f'"{column}"' for column in both), after)
        same = [f'gone."{key}" is not distinct from come."{key}"' for key in self._key]
        found = self.rows(
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
        return f"select {columns} from {self._relation(snapshot)} {self.condition}"

    def _relation(self, snapshot: int) -> str:
        return f'{ALIAS}.{self.schema}."{self.table}" at (version => {snapshot})'

    def _columns(self, snapshot: int) -> dict[str, str]:
        described = self.rows(f"describe from {self._relation(snapshot)}")
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
        return max((one.number for one in self.snapshots.values() if one.at <= moment), default=-1)

    def _found(self, table: str) -> tuple[str, str]:
        known = self.rows(
            "select schema_name, table_name from duckdb_tables()"
            f" where database_name = '{ALIAS}' and schema_name <> 'meta' order by all"
        )
        for schema, name in known:
            if table in (name, f"{schema}.{name}"):
                return schema, name
        raise LakeError(f"TABLE: the lake has no table {table}; docs/models.md lists the tables.")

    def _check_where(self, snapshot: int) -> None:
        sql = f"select count(*) from ({self._matching('*', snapshot)})"
        try:
            if len(duckdb.extract_statements(sql)) > 1:
                raise LakeError(f"WHERE ({self.where}) is more than one condition.")
            self.rows(sql)
        except duckdb.Error as error:
            said = " ".join(str(error).split(" LINE ")[0].split("\n")[0].split())
            raise LakeError(
                f"WHERE ({self.where}) does not fit {self.name} in {self.snapshots[snapshot]}:"
                f" {said}"
            ) from error


def in_utc(moment: datetime) -> str:
    """A moment as it is shown."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
