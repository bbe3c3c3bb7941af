"""Shows differences: in the terminal, as Markdown for a pull request, as a page with charts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lotus_lake.diff.results import ColumnDiff, Example, LakeDiff, Number, Shift, TableDiff
from lotus_lake.diff.verdict import Problem, Verdict
from lotus_lake.escaping import markdown as inert
from lotus_lake.escaping import markdown_block, plain, printable
from lotus_lake.pages import environment, guarded, inline_scripts

# In Markdown and in the terminal, of the many days that a formula may touch.
_DAYS = 10


def print_report(
    diff: LakeDiff,
    console: Console,
    verdict: Verdict | None = None,
    problems: Sequence[Problem] = (),
    unbuilt: Sequence[str] = (),
) -> None:
    """Print the tables that differ, and what differs in each."""
    for problem in problems:
        first = problem.message.partition("\n")[0]
        console.print(plain(f"FAILED {problem.node}: {first}"), highlight=False)
    console.print(plain(_headline(diff)), highlight=False)
    if unbuilt:
        console.print(plain(_unbuilt(unbuilt)), highlight=False)
    if verdict:
        console.print(plain(verdict.sentence), highlight=False)
    if not diff.changed:
        return
    table = Table(
        "table", "rows", "added", "removed", "changed", "columns", box=None, padding=(0, 2)
    )
    table.columns[0].no_wrap = True
    for column in table.columns[1:5]:
        column.justify = "right"
    for one in diff.changed:
        table.add_row(plain(one.name), rows(one), *counts(one), plain(_columns(one)))
    console.print(table)
    for one in diff.changed:
        _print_table(one, console)


def markdown(
    diff: LakeDiff,
    verdict: Verdict | None = None,
    problems: Sequence[Problem] = (),
    unbuilt: Sequence[str] = (),
) -> str:
    """The report for a pull request.

    Args:
        diff: What differs.
        verdict: Whether the changed models come out the same both ways, where that was tried.
        problems: Nodes that failed, with what they say.
        unbuilt: Models that were not built, since what they need failed.
    """
    return _render("report.md", diff, verdict, problems, unbuilt)


def page(
    diff: LakeDiff,
    verdict: Verdict | None = None,
    problems: Sequence[Problem] = (),
    unbuilt: Sequence[str] = (),
) -> str:
    """The report as one HTML page that needs nothing else; arguments as for ``markdown``."""
    charts = {
        table.name: [
            (column.name, _shift_chart(table.by_day, column.name))
            for column in table.columns
            if any(shift.shifts.get(column.name) for shift in table.by_day)
        ]
        for table in diff.changed
    }
    return _render("page.html", diff, verdict, problems, unbuilt, charts=charts)


def number(value: Number | None, *, signed: bool = False) -> str:
    """A number as a person reads it."""
    if value is None:
        return ""
    sign = "+" if signed and value > 0 else ""
    if isinstance(value, float):
        return f"{sign}{value:,.4g}" if abs(value) < 1 else f"{sign}{value:,.2f}"
    return f"{sign}{value:,}"


def rows(table: TableDiff) -> str:
    """How many rows, before and after."""
    if table.rows_before == table.rows_after:
        return number(table.rows_after)
    return f"{number(table.rows_before)} → {number(table.rows_after)}"


def counts(table: TableDiff) -> tuple[str, str, str]:
    """Rows added, removed and changed."""
    if table.status in ("added", "removed"):
        return ("new table", "", "") if table.status == "added" else ("", "whole table", "")
    return (
        number(table.added) if table.added else "",
        number(table.removed) if table.removed else "",
        number(table.changed) if table.changed else "",
    )


def largest(shifts: Sequence[Shift], limit: int = _DAYS) -> list[Shift]:
    """The shifts that are largest, in their own order."""
    sizes = sorted(shifts, key=_size, reverse=True)[:limit]
    return [shift for shift in shifts if shift in sizes]


def _size(shift: Shift) -> Decimal:
    return max((abs(Decimal(str(value))) for value in shift.shifts.values()), default=Decimal(0))


def _headline(diff: LakeDiff) -> str:
    same = len(diff.tables) - len(diff.changed)
    return (
        f"{diff.after.label} (snapshot {diff.after.snapshot}) beside {diff.before.label} (snapshot "
        f"{diff.before.snapshot}): {len(diff.changed)} of {len(diff.tables)} tables "
        f"{'differs' if len(diff.changed) == 1 else 'differ'}, "
        f"{same} {'is' if same == 1 else 'are'} the same."
    )


def _columns(table: TableDiff) -> str:
    names = [_schema(change) for change in table.schema]
    names += [column.name for column in table.columns]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _schema(change: Any) -> str:
    if change.before is None:
        return f"+{change.column} {change.after}"
    if change.after is None:
        return f"-{change.column}"
    return f"{change.column}: {change.before} → {change.after}"


def _print_table(table: TableDiff, console: Console) -> None:
    if not table.columns and not table.by_day:
        return
    console.print(
        f"\n[bold]{plain(table.name)}[/] by {plain(', '.join(table.key))}", highlight=False
    )
    found = Table("column", "values", "sum", "for example", box=None, padding=(0, 2))
    found.columns[1].justify = found.columns[2].justify = "right"
    for one in table.columns:
        found.add_row(plain(one.name), number(one.values), shift_of(one), plain(example_of(one)))
    console.print(found)
    for title, shifts in (("day", table.by_day), ("customer", table.by_customer)):
        if not shifts:
            continue
        names = list(shifts[0].shifts)[:5]
        moved = Table(title, *map(plain, names), box=None, padding=(0, 2))
        for head in moved.columns[1:]:
            head.justify = "right"
        for shift in largest(shifts):
            moved.add_row(
                plain(shift.group),
                *(number(shift.shifts[name], signed=True) for name in names),
            )
        console.print(moved)
        if len(shifts) > _DAYS:
            console.print(f"  and {len(shifts) - _DAYS} more", highlight=False)


def shift_of(column: ColumnDiff) -> str:
    """By how much a column's sum moved."""
    return number(column.shift, signed=True) if column.shift else ""


def example_of(column: ColumnDiff) -> str:
    """The first of a column's examples."""
    if not column.examples:
        return ""
    return example_shown(column.examples[0])


def _shown(value: str | None) -> str:
    return "null" if value is None else value


def _shift_chart(shifts: Sequence[Shift], column: str) -> str:
    """By how much a column's sum moved on each day."""
    # Drawing takes a native library that a report in the terminal does not need.
    from lotus_lake.pages import charts

    rows = [
        {"day": shift.group, "shift": float(shift.shifts[column])}
        for shift in shifts
        if column in shift.shifts
    ]
    sign = {"condition": {"test": "datum.shift < 0", "value": charts.BAD}, "value": charts.GOOD}
    return charts.chart(
        f"Shift of the sum of {column} by day",
        rows,
        charts.bars(charts.day("day"), charts.amount("shift", f"shift of {column}"), sign),
    )


def example_shown(example: Example) -> str:
    """An example in a line."""
    return f"{example.key}: {_shown(example.before)} → {_shown(example.after)}"


def _unbuilt(models: Sequence[str]) -> str:
    return (
        f"Not built, since what they need failed: {', '.join(models)}. "
        "Nothing is known of what changes in them."
    )


def _render(
    name: str,
    diff: LakeDiff,
    verdict: Verdict | None,
    problems: Sequence[Problem],
    unbuilt: Sequence[str],
    **more: Any,
) -> str:
    made = environment(
        Path(__file__).parent / "templates",
        html=name.endswith(".html"),
        filters={
            "block": markdown_block,
            "code": inert,
            "example": example_shown,
            "largest": largest,
            "number": number,
            "printable": printable,
            "schema": _schema,
        },
    )
    made.globals.update(rows=rows, counts=counts, shift_of=shift_of)
    text = made.get_template(name).render(
        diff=diff,
        headline=_headline(diff),
        verdict=verdict,
        problems=problems,
        unbuilt=_unbuilt(unbuilt) if unbuilt else "",
        days=_DAYS,
        **more,
    )
    return guarded(text, inline_scripts(text)) if name.endswith(".html") else text
