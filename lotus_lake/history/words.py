"""Says in words what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lotus_lake.history.catalog import Row
from lotus_lake.history.rows import FEW, RowDiff


def counted(number: int, thing: str) -> str:
    """A number of things."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def as_text(value: Any) -> str:
    """A value of a row."""
    return "null" if value is None else str(value)


def in_words(diff: RowDiff) -> Iterator[str]:
    """What changed, one part for each of the first rows."""
    for before, after in diff.pairs[:FEW]:
        some = before or after
        assert some
        name = f"{_named(diff, some)}: " if diff.key and len(diff.pairs) > 1 else ""
        if before is None or after is None:
            yield f"{name}row {'added' if before is None else 'removed'}"
            continue
        yield name + ", ".join(
            f"{column} {as_text(old)} → {as_text(new)}"
            for column, old, new in zip(diff.columns, before, after, strict=True)
            if old != new
        )
    if len(diff.pairs) > FEW:
        yield f"and {len(diff.pairs) - FEW:,} more rows"
    if diff.new_columns:
        yield f"new columns {', '.join(diff.new_columns)}"
    if diff.lost_columns:
        yield f"without {', '.join(diff.lost_columns)}"


def _named(diff: RowDiff, row: Row) -> str:
    return ", ".join(as_text(row[place]) for place in diff.key)
