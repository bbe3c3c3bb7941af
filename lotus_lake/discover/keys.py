"""Which columns tell the records of a landed stream apart, judged by what landed.

The int_ model keeps the newest version of each key. So a wrong key loses records in silence:

- A key is refused if it is null somewhere, or if two different records of one delivery share it. A
  delivery is a file; of an Airbyte stream without a cursor it is a sync. Records that are equal in
  all but the loader's columns (``_airbyte_meta``, ``_dlt_id``: what begins with ``_``) are one. Of
  an id, and of a key whose cursor was named, records of one file with other values of the cursor
  are versions.
- An id (``id``, or the stream's name and ``_id``) is proposed unless it is refused.
- Other columns are proposed only if no two different records share them, whatever the delivery,
  and there are enough records to tell: one column, else two, else three.
- A day belongs to a key that is no id: that a day's rows differ in less says nothing of the next
  day. So such a key is refused if rows of several days share it, unless the day is the cursor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, groupby
from math import prod
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery
from lotus_lake.discover.names import is_plain, plain_name, record_of
from lotus_lake.escaping import printable
from lotus_lake.feeder.fitting import Columns, Fitter, Group
from lotus_lake.probe import in_a_line
from lotus_lake.schema.types import Type, quote
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream
from lotus_lake.wording import counted

# Columns of a key, and columns that are tried for one.
_WIDEST, _TRIED = 3, 12
# Different records without which columns that are no id are not proposed.
_ENOUGH = 20
# Records by which most combinations are ruled out before all are asked.
_FIRST = 100_000

_TYPES = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|VARCHAR|UUID|DATE|TIMESTAMP")
# Numbers with other names are amounts.
_NUMBERS_SOMETHING = re.compile(
    r"(^|_)(id|uuid|no|nr|number|line|position|index|seq|sequence|version|year|month|week|day|hour"
    r"|code|key|sku)$"
)
# Nobody tells records apart by what people write about them.
_PROSE = re.compile(
    r"(^|_)(notes?|comments?|description|text|message|body|content|summary|reason|url|json)$"
)
_DAY = re.compile(r"(^|_)(date|day)$")


def find_key(
    connection: duckdb.DuckDBPyConnection,
    found: Discovery,
    given: Sequence[str] | None,
    cursor: str | None,
    names_cursor: bool,
) -> tuple[tuple[str, ...], str]:
    """The key as given, or, for None, one that what landed proposes; and why it is one.

    The connection can read landed files, and gets temporary tables. ``names_cursor``: a person
    named the cursor, so what has other values of it are versions.

    Raises:
        LakeError: The key is null somewhere, or different records share it; or none is found.
    """
    records = _Records(connection, found, given, cursor)
    names = ("id", f"{record_of(found.stream)}_id", f"{found.stream}_id")
    by_name = {plain_name(name): name for name in found.columns}
    ids = [by_name[name] for name in names if name in by_name]
    if given is None and not ids:
        return records.unique(), f"no two different records of {records.seen} share it"
    key = tuple(ids[:1] if given is None else given)
    records.check(key, names_cursor, is_id=len(key) == 1 and key[0] in ids)
    said = "by its name" if given is None else "as given"
    return key, (
        f"{said}, and no two different records of a {records.delivery} share it: {records.seen}"
    )


class _Records:
    """What landed of a stream, in a temporary table: columns to judge, content and place."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        found: Discovery,
        given: Sequence[str] | None,
        cursor: str | None,
    ) -> None:
        self._connection = connection
        self._found = found
        self._cursor = cursor
        self.delivery = "sync" if found.is_airbyte and not cursor else "file"
        self._columns = [
            name
            for name in found.columns
            if name in (*(given or ()), cursor)
            or self._is_day(name)
            or (given is None and self._may_be_of_key(name))
        ]
        queries = list(self._queries())
        if not queries:
            raise LakeError(f"No file of {found.label} can be fed, so no key can be told.")
        try:
            connection.execute(
                f"create or replace temp table landed_records as {' union all '.join(queries)}"
            )
        except duckdb.Error as error:
            raise LakeError(
                f"{found.label}: what landed cannot be read: {in_a_line(error)}"
            ) from error
        rows, files = self._one("count(*), count(distinct __place.path)")
        self.seen = f"{counted(rows, 'row')} in {files:,} of {counted(found.files, 'file')}"

    def _queries(self) -> Iterator[str]:
        """SQL of the rows of each group of files, converted as the feeder does."""
        found, prober = self._found, self._found.prober
        assert prober
        airbyte = {name: Type.parse(sql) for name, sql in AIRBYTE_COLUMNS.items()}
        types = (airbyte if found.is_airbyte else {}) | found.columns
        stream = Stream(found.source, found.stream, "", types, airbyte=found.is_airbyte)
        fitter = Fitter(self._connection, stream, prober)
        path = f"substr(__uri, {len(prober.landing.root) + 1})"
        order = sorted(found.probes, key=lambda probe: repr(probe.group))
        for _, probes in groupby(order, key=lambda probe: probe.group):
            members = list(probes)
            whole = Group(members, dict(members[0].schema))
            for group in fitter.fit(whole, Columns(types, types), quarantine={}):
                values = {name.lower(): value for name, value in group.values.items()}
                value_of = {
                    name: values.get(name.lower(), f"null::{type_.sql()}")
                    for name, type_ in types.items()
                }
                own = [value for name, value in value_of.items() if not name.startswith("_")]
                delivery = path
                if self.delivery == "sync":
                    sync = f"({value_of['_airbyte_meta']}).sync_id"
                    generation = value_of["_airbyte_generation_id"]
                    delivery = f"coalesce({generation} || ' ' || {sync}, {path})"
                judged = "".join(f"{value_of[name]} as {quote(name)}, " for name in self._columns)
                yield (
                    f"select {judged}hash({', '.join(own or ['0'])}) as __content,"
                    f" {delivery} as __delivery, {{'path': {path}, 'row': __row}} as __place"
                    f" from {prober.relation(group.probes)}"
                )

    def check(self, key: Sequence[str], names_cursor: bool, is_id: bool) -> None:
        """Refuse a key."""
        for column in key:
            place, count = self._one(
                "min(__place), count(*)", where=f"where {quote(column)} is null"
            )
            if count:
                raise LakeError(
                    f"{self._found.label}: {column} can be in no key: it has no value in "
                    f"{_place(place)} (rows without one: {count:,})."
                )
        # Records of one key with other values of the cursor.
        are_versions = names_cursor or is_id
        versions = [quote(self._cursor)] if self._cursor and are_versions else []
        order = None if are_versions else self._cursor
        self._refuse_shared(key, ["__delivery", *versions], "__content", order)
        for day in filter(self._is_day, () if is_id else self._columns):
            if day not in key and day != self._cursor:
                self._refuse_shared(key, [], quote(day), day)

    def _refuse_shared(
        self, key: Sequence[str], among: Sequence[str], what: str, order: str | None
    ) -> None:
        """Refuse a key that rows share which differ in something, and agree in other columns;
        ``order`` may tell which of them is the newest."""
        columns = [quote(column) for column in key]
        shared = self._connection.execute(
            "select count(*) over (),"
            f" list_sort([min_by(__place, {what}), max_by(__place, {what})]) as places,"
            f" concat_ws(', ', {', '.join(columns)})"
            f" from landed_records group by {', '.join([*among, *columns])}"
            f" having min({what}) <> max({what}) order by places limit 1"
        ).fetchone()
        if not shared:
            return
        count, (one, other), values = shared
        advice = "Name more columns with --key a,b"
        if order:
            advice += f", or if these are versions of one record, say so with --cursor {order}"
        raise LakeError(
            f"{self._found.label}: {', '.join(key)} is no key: {_place(one)} and {_place(other)} "
            f"are different records, and both have {printable(values)}. Only the newest "
            f"would be kept (such keys: {count:,}). {advice}."
        )

    def unique(self) -> tuple[str, ...]:
        """The first of the columns' combinations that no two different records share."""
        values = "".join(f", any_value({quote(name)}) as {quote(name)}" for name in self._columns)
        self._connection.execute(
            f"create or replace temp table distinct_records as select __content{values}"
            " from landed_records group by __content"
        )
        (records,) = self._one("count(*)", "distinct_records")
        candidates = self._candidates()
        days = {name for name in candidates if self._is_day(name)}
        first = f"(from distinct_records limit {_FIRST})"
        for width in range(1, _WIDEST + 1 if records >= _ENOUGH else 0):
            for columns in combinations(candidates, width):
                if days and days.isdisjoint(columns):
                    continue
                if prod(candidates[name] for name in columns) < records:
                    continue
                if all(self._is_unique(columns, table) for table in (first, "distinct_records")):
                    return columns
        why = (
            f"no one, two or three columns that no two different records of {self.seen} share, of "
            f"those that are no amount, no prose and never null: {', '.join(candidates) or 'none'}"
        )
        if records < _ENOUGH:
            few = counted(records, "different record is", "different records are")
            why = f"{few} too few to tell: {_ENOUGH} are needed, of {self.seen}"
        raise LakeError(
            f"{self._found.label}: no key found. It has no id, and {why}. Name the columns with "
            "--key a,b, or add it without a key (--no-key)."
        )

    def _is_unique(self, names: Iterable[str], table: str) -> bool:
        columns = ", ".join(map(quote, names))
        found = self._connection.execute(
            f"select 1 from {table} group by {columns} having count(*) > 1 limit 1"
        )
        return found.fetchone() is None

    def _candidates(self) -> dict[str, int]:
        """The plain columns without nulls, ids and days first, with their numbers of values."""
        found = {}
        for name in self._columns:
            if name == self._cursor or not self._may_be_of_key(name):
                continue
            column, is_day = quote(name), self._is_day(name)
            values, nulls, texts = self._one(
                f"count(distinct {column}), count(*) - count({column}),"
                f" count(*) filter (try_cast({column}::varchar as double) is null)"
            )
            is_no_amount = texts or is_day or _NUMBERS_SOMETHING.search(plain_name(name))
            if not nulls and is_no_amount:
                found[name] = values
        order = sorted(
            found, key=lambda name: not (name.lower().endswith("id") or self._is_day(name))
        )
        return {name: found[name] for name in order[:_TRIED]}

    def _may_be_of_key(self, name: str) -> bool:
        """Whether a column's name and type are those of a key."""
        plain = plain_name(name)
        is_key_type = bool(_TYPES.match(self._found.columns[name].name))
        is_a_value = not (name.startswith("_") or _PROSE.search(plain))
        return is_key_type and is_a_value and is_plain(plain)

    def _is_day(self, name: str) -> bool:
        return self._found.columns[name].name == "DATE" or bool(_DAY.search(plain_name(name)))

    def _one(self, what: str, table: str = "landed_records", where: str = "") -> tuple[Any, ...]:
        row = self._connection.execute(f"select {what} from {table} {where}").fetchone()
        assert row
        return row


def _place(place: dict[str, Any]) -> str:
    return printable(f"row {place['row']} of {place['path']}")
