"""A table that both sides have, and the SQL that puts its rows side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from lotus_lake.diff.relations import Side, quote

# Conditions on ``rowid`` that cut both sides into as many stretches, whose rows go together.
Stretches = Sequence[tuple[str, str]]

# A side of a pair.
Carrier = Literal["before", "after"]

# What a query stops with as soon as two rows that were put side by side have other keys.
OUT_OF_STEP = "The rows of both sides are not in the same order"

_CUSTOMER = "customer_id"
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL")


@dataclass(frozen=True)
class Pair:
    """A table that both sides have.

    Args:
        connection: Has both sides attached.
        before, after: The sides.
        name: The table, with its schema.
        key: The columns that name a row.
        types: The columns that are compared, key included, and the types they are read as.
        rows_before, rows_after: How many rows each side has.
    """

    connection: duckdb.DuckDBPyConnection
    before: Side
    after: Side
    name: str
    key: tuple[str, ...]
    types: Mapping[str, str]
    rows_before: int
    rows_after: int

    @property
    def values(self) -> list[str]:
        """The columns that are no key."""
        return [column for column in self.types if column not in self.key]

    @property
    def measures(self) -> list[str]:
        """The columns whose sums mean something: numbers that are no key and no average."""
        return [
            column
            for column, kind in self.types.items()
            if kind.startswith(_NUMBERS)
            and not kind.endswith("]")
            and not column.endswith("_id")
            and not column.startswith("average_")
        ]

    @property
    def is_fact(self) -> bool:
        """Whether it is asked by day and by customer where sums moved."""
        return self.name.partition(".")[2].startswith("fct_")

    @property
    def day(self) -> str | None:
        """The column that says which day a row belongs to: the first date, or the first time."""
        for kind in ("DATE", "TIMESTAMP"):
            for column, type_ in self.types.items():
                if type_.startswith(kind):
                    return column
        return None

    def day_sql(self, value: str) -> str:
        """SQL for the day, in UTC, of what is a value of ``day``."""
        if self.day and self.types[self.day] == "TIMESTAMP WITH TIME ZONE":
            # A cast would ask the time zone's rules about each row, which takes longer than sums.
            return f"make_timestamp(epoch_us({value}))::date"
        return f"{value}::date"

    @property
    def customer(self) -> str | None:
        """The column that says whose row it is."""
        return _CUSTOMER if _CUSTOMER in self.types else None

    @property
    def relations(self) -> tuple[str, str]:
        """The whole table, before and after."""
        return self.before.relation(self.name), self.after.relation(self.name)

    def read(self, column: str) -> str:
        """SQL for a column of either side, in one type."""
        return f"{quote(column)}::{self.types[column]}"

    def side_sql(
        self,
        side: Side,
        columns: Sequence[str],
        hashed: Sequence[str] = (),
        where: str = "true",
    ) -> str:
        """One side's rows: the key, columns, and ``row_hash``, the hash of other columns."""
        wanted = "".join(f"{self.read(one)} as {quote(one)}, " for one in [*self.key, *columns])
        hashes = ", ".join(map(self.read, hashed)) or "0"
        relation = side.relation(self.name)
        return f"select {wanted}hash({hashes}) as row_hash from {relation} where {where}"

    def joined_sql(
        self,
        columns: Sequence[str],
        hashed: Sequence[str] = (),
        where: str = "true",
        carried: Sequence[str] = (),
        carrier: Carrier = "after",
    ) -> str:
        """Rows of both sides; arguments as for ``side_sql`` and ``join_sql``."""
        ours, theirs = (
            f"({self.side_sql(side, [*columns, *more], hashed, where)})"
            for side, more in (
                (self.before, carried if carrier == "before" else ()),
                (self.after, carried if carrier == "after" else ()),
            )
        )
        return self.join_sql(ours, theirs, columns, carried, carrier)

    def in_step_sql(self, stretches: Stretches, columns: Sequence[str]) -> str:
        """All rows of both sides as ``join_sql`` has them, put side by side by their places.

        A query that reads ``there_before`` fails with ``OUT_OF_STEP`` as soon as it comes to two
        rows with other keys.
        """
        return " union all ".join(
            self.join_sql(
                f"({self.side_sql(self.before, columns, where=where_before)})",
                f"({self.side_sql(self.after, columns, where=where_after)})",
                columns,
                in_step=True,
            )
            for where_before, where_after in stretches
        )

    def join_sql(
        self,
        ours: str,
        theirs: str,
        columns: Sequence[str],
        carried: Sequence[str] = (),
        carrier: Carrier = "after",
        in_step: bool = False,
    ) -> str:
        """Both sides' rows by key: ``k0`` and so on.

        With ``b0``, ``a0`` and so on for the columns and the carried ones, before and after.

        Args:
            ours: A relation with the rows before, as ``side_sql`` selects them.
            theirs: The same with the rows after.
            columns: Columns of both.
            carried: Columns that are read of the carrier only, and among those hashed. Where the
                hashes agree, the other side has the same values; rows that only the other side has
                show none.
            carrier: The side whose rows pass by, where ``kept.joining`` is set; those of the other
                are held in memory, which is what a join costs.
            in_step: Put them side by side by their places, not by their keys.
        """
        keys = [f"coalesce(ours.{quote(one)}, theirs.{quote(one)})" for one in self.key]
        # Only a row that is not there has no hash; rows that are in step are there on both sides.
        there = (
            (f"if({self.same_key}, true, error('{OUT_OF_STEP}'))", "true")
            if in_step
            else ("ours.row_hash is not null", "theirs.row_hash is not null")
        )
        values = [
            f"{there[0]} as there_before",
            f"{there[1]} as there_after",
            "ours.row_hash as hash_before",
            "theirs.row_hash as hash_after",
            f"hash({', '.join(keys)}) as row_key",
            *(f"{key} as k{n}" for n, key in enumerate(keys)),
            *(f"ours.{quote(column)} as b{n}" for n, column in enumerate(columns)),
            *(f"theirs.{quote(column)} as a{n}" for n, column in enumerate(columns)),
        ]
        sides = [f"{theirs} as theirs", f"{ours} as ours"]
        passing, held = ("theirs", "ours") if carrier == "after" else ("ours", "theirs")
        for n, column in enumerate(carried, start=len(columns)):
            value = f"{passing}.{quote(column)}"
            on_both = f"case when {held}.row_hash is not null then {value} end"
            before, after = (on_both, value) if carrier == "after" else (value, on_both)
            values += [f"{before} as b{n}", f"{after} as a{n}"]
        if in_step:
            return f"select {', '.join(values)} from {' positional join '.join(sides)}"
        if carrier == "before":
            sides.reverse()
        return f"select {', '.join(values)} from {' full join '.join(sides)} on {self.same_key}"

    @property
    def same_key(self) -> str:
        """The condition that joins ``ours`` and ``theirs``."""
        return " and ".join(
            f"ours.{quote(one)} is not distinct from theirs.{quote(one)}" for one in self.key
        )
