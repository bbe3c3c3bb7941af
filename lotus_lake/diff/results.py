"""What a diff says: of the lake, its tables, their columns, the groups whose sums changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from lotus_lake.diff.sides import Side

Number = int | float | Decimal


@dataclass(frozen=True)
class ColumnDiff:
    """A column that changed."""

    name: str
    # How many, in rows that both sides have.
    values: int
    # Sum after less sum before, added and removed rows included; None for what has no sum.
    delta: Number | None
    examples: list[str]


@dataclass(frozen=True)
class NewColumn:
    """A column that only the second side has: null values, distinct others, and what they are."""

    name: str
    nulls: int
    distinct: int
    # The least and the greatest value; empty without values.
    range: str
    # The most frequent values first.
    examples: list[str]


@dataclass(frozen=True)
class Delta:
    """Aggregate deltas of a day or a group: sum after less sum before, by column."""

    group: str
    sums: dict[str, Number]


@dataclass
class TableDiff:
    """One table, with its schema's name."""

    name: str
    # Or changed, added, removed; and how that is known.
    status: str = "same"
    reason: str = ""
    # Empty if rows are compared as a multiset.
    key: tuple[str, ...] = ()
    # Columns that only one side has, or with another type.
    schema: list[str] = field(default_factory=list)
    rows_before: int = 0
    rows_after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: list[ColumnDiff] = field(default_factory=list)
    new_columns: list[NewColumn] = field(default_factory=list)
    # Of a fact: every day that changed, and what changed most by its first id beside the key.
    by_day: list[Delta] = field(default_factory=list)
    group: str = ""
    by_group: list[Delta] = field(default_factory=list)


@dataclass(frozen=True)
class MetricDelta:
    """A metric of a month, and of a currency if it has any, before and after."""

    metric: str
    month: str
    currency: str
    before: Number | None
    after: Number | None


@dataclass(frozen=True)
class Problem:
    """A node that failed, and its message."""

    node: str
    message: str


@dataclass
class LakeDiff:
    """Every table, changed ones first, and of a pull request how its build went."""

    before: Side
    after: Side
    tables: list[TableDiff]
    # The months in which metrics differ.
    metrics: list[MetricDelta] = field(default_factory=list)
    # Nodes that failed, and models that were not built because of these.
    problems: list[Problem] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)
    # What a full refresh of the changed models changed in their incremental build, if it was tried.
    full_refresh: LakeDiff | None = None

    @property
    def changed(self) -> list[TableDiff]:
        """The tables that are not the same."""
        return [table for table in self.tables if table.status != "same"]

    @property
    def failed(self) -> bool:
        """Whether a node failed, or a full refresh gave other rows."""
        return bool(self.problems or (self.full_refresh and self.full_refresh.changed))
