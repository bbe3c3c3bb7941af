"""What a diff says: of the lake, its tables, their columns, the groups whose sums changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from lotus_lake.diff.relations import Side

Number = int | float | Decimal


@dataclass(frozen=True)
class ColumnDiff:
    """A column that changed.

    Args:
        name: Its name.
        values: How many of its values changed, in rows that both sides have.
        delta: Sum after less sum before, added and removed rows included; None for what has no sum.
        examples: A few of the values, in a line each.
    """

    name: str
    values: int
    delta: Number | None
    examples: list[str]


@dataclass(frozen=True)
class Delta:
    """Aggregate deltas of a day or a customer: sum after less sum before, by column."""

    group: str
    sums: dict[str, Number]


@dataclass
class TableDiff:
    """One table.

    Args:
        name: With its schema.
        status: ``same``, ``changed``, ``added`` or ``removed``.
        reason: How that is known.
        key: The columns that name a row; empty if rows are compared as a multiset.
        schema: Columns that one side has only, or with another type, in a line each.
        rows_before, rows_after: How many rows each side has.
        added, removed, changed: How many rows.
        columns: The columns that changed.
        by_day, by_customer: Of a fact: every day that changed, and the customers that changed most.
    """

    name: str
    status: str = "same"
    reason: str = ""
    key: tuple[str, ...] = ()
    schema: list[str] = field(default_factory=list)
    rows_before: int = 0
    rows_after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: list[ColumnDiff] = field(default_factory=list)
    by_day: list[Delta] = field(default_factory=list)
    by_customer: list[Delta] = field(default_factory=list)


@dataclass(frozen=True)
class Problem:
    """A node that failed, and its message."""

    node: str
    message: str


@dataclass
class LakeDiff:
    """Every table, and of a pull request how its build went.

    Args:
        before: The side that is compared with.
        after: The side that is compared.
        tables: Their differences, changed ones first.
        problems: Nodes that failed.
        unbuilt: Models that were not built because of these.
        full_refresh: What building the changed models in full changed in the first, incremental
            build; None where that was not tried.
    """

    before: Side
    after: Side
    tables: list[TableDiff]
    problems: list[Problem] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)
    full_refresh: LakeDiff | None = None

    @property
    def changed(self) -> list[TableDiff]:
        """The tables that are not the same."""
        return [table for table in self.tables if table.status != "same"]

    @property
    def failed(self) -> bool:
        """Whether a node failed, or a full refresh gave other rows."""
        return bool(self.problems or (self.full_refresh and self.full_refresh.changed))
