"""What a diff says: of the lake, its tables, their columns, the groups whose sums moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from lotus_lake.diff.relations import Side

Number = int | float | Decimal


@dataclass(frozen=True)
class Example:
    """One value that changed."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ColumnDiff:
    """A column whose values changed.

    Args:
        name: Its name.
        values: In how many rows that both sides have.
        shift: Sum after less sum before, added and removed rows included; None for what has no sum.
        examples: A few of the values.
    """

    name: str
    values: int
    shift: Number | None
    examples: list[Example]


@dataclass(frozen=True)
class Shift:
    """By how much the sums of a group of rows moved.

    Args:
        group: The day, or the customer.
        shifts: Sum after less sum before, by column.
    """

    group: str
    shifts: dict[str, Number]


@dataclass(frozen=True)
class SchemaChange:
    """A column that only one side has, or with another type."""

    column: str
    before: str | None
    after: str | None


@dataclass
class TableDiff:
    """One table.

    Args:
        name: With its schema.
        status: ``same``, ``changed``, ``added`` or ``removed``.
        reason: How that is known.
        key: The columns that name a row; empty if rows are compared as a whole.
        schema: Differences between the columns.
        rows_before, rows_after: How many rows each side has.
        added, removed, changed: How many rows.
        columns: The columns whose values changed.
        by_day, by_customer: Where the sums moved: every day, and the customers that moved most.
        seconds: How long it took.
    """

    name: str
    status: str = "same"
    reason: str = ""
    key: tuple[str, ...] = ()
    schema: list[SchemaChange] = field(default_factory=list)
    rows_before: int = 0
    rows_after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: list[ColumnDiff] = field(default_factory=list)
    by_day: list[Shift] = field(default_factory=list)
    by_customer: list[Shift] = field(default_factory=list)
    seconds: float = 0


@dataclass(frozen=True)
class LakeDiff:
    """Every table.

    Args:
        before: The side that is compared with.
        after: The side that is looked at.
        tables: Their differences, changed ones first.
    """

    before: Side
    after: Side
    tables: list[TableDiff]

    @property
    def changed(self) -> list[TableDiff]:
        """The tables that are not the same."""
        return [table for table in self.tables if table.status != "same"]
