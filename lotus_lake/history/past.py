"""One table's past: the moments that can be asked for, and the table's rows in each."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.diff.relations import Side
from lotus_lake.history.catalog import Catalog, Snapshot, fetch, in_utc


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
        self.connection = connection
        self.where = where
        self.key = key
        self.catalog = Catalog(connection)
        self.name = _found(table, self.catalog.tables())
        self.schema, _, self.table = self.name.partition(".")
        self._check_where(self.catalog.newest)

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
            then = self._numbered(text)
        else:
            then = self._newest_until(text)
        self._check_there(then)
        self._check_where(then)
        return then

    def _numbered(self, text: str) -> Snapshot:
        oldest, newest = self.catalog.oldest, self.catalog.newest
        found = self.catalog.numbered(int(text))
        if int(text) < oldest.number:
            raise self._too_old(f"snapshot {text}")
        if not found:
            raise LakeError(
                f"AT: there is no snapshot {text}; the lake has {oldest.number} to {newest.number}."
            )
        return found

    def _newest_until(self, text: str) -> Snapshot:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise LakeError(
                f"AT is '{text}': write a date (2026-03-01), a time (2026-03-01 14:30, in UTC "
                "unless it says otherwise) or the number of a snapshot."
            ) from error
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        if moment > datetime.now(UTC):
            raise LakeError(
                f"AT is {in_utc(moment)}, which is still to come: name an earlier time."
            )
        found = self.catalog.newest_until(moment)
        if not found:
            raise self._too_old(in_utc(moment))
        return found

    def _too_old(self, what: str) -> LakeError:
        return LakeError(
            f"AT: {what} is before the oldest state that the lake still has, {self.catalog.oldest}."
            " Maintenance lets go of what is older than the variable snapshot_days."
        )

    def _check_there(self, then: Snapshot) -> None:
        lives = self.lives()
        if any(begin <= then.number < end for begin, end in lives):
            return
        first = min(begin for begin, _ in lives)
        later = f"it begins with snapshot {first}" if first > then.number else "it was dropped"
        raise LakeError(f"AT: {self.name} was not there in {then}: {later}.")

    # -- the table ------------------------------------------------------------------------------

    def lives(self) -> list[tuple[int, float]]:
        """From and to which snapshot a table of this name was there: a rebuild is another table."""
        return self.catalog.lives(self.schema, self.table)

    def columns(self, snapshot: int) -> dict[str, str]:
        """The types of the columns that the table had, by name."""
        described = fetch(self.connection, f"describe from {self._relation(snapshot)}")
        return {row[0]: row[1] for row in described}

    def matching(self, columns: str, snapshot: int) -> str:
        """SQL for the rows of the condition, as of a snapshot."""
        rows = f"select {columns} from {self._relation(snapshot)}"
        return f"{rows} {self.condition}" if self.where else rows

    @property
    def condition(self) -> str:
        """The condition as a clause; empty when all rows are meant."""
        # On lines of its own: it may end with a comment.
        return f"where (\n{self.where}\n)" if self.where else ""

    def _relation(self, snapshot: int) -> str:
        return Side(ALIAS, snapshot, "").relation(self.name)

    def _check_where(self, snapshot: Snapshot) -> None:
        if not self.where:
            return
        sql = f"select count(*) from ({self.matching('*', snapshot.number)})"
        try:
            if len(duckdb.extract_statements(sql)) > 1:
                raise LakeError(f"WHERE ({self.where}) is more than one condition.")
            fetch(self.connection, sql)
        except duckdb.Error as error:
            said = " ".join(str(error).split(" LINE ")[0].split("\n")[0].split())
            raise LakeError(
                f"WHERE ({self.where}) does not fit {self.name} in {snapshot}: {said}"
            ) from error


def _found(table: str, known: list[str]) -> str:
    """The full name of a table."""
    for name in known:
        if table in (name, name.partition(".")[2]):
            return name
    by_name = {name.partition(".")[2]: name for name in known}
    near = difflib.get_close_matches(table.rpartition(".")[2], by_name, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "docs/models.md lists the tables."
    raise LakeError(f"TABLE: the lake has no table {table}; {hint}")
