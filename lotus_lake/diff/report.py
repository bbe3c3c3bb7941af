"""Shows differences: in the terminal, as Markdown for a pull request, as a page with charts.

All three show the same grids; each escapes the cells for where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lotus_lake.diff.results import Delta, LakeDiff, MetricDelta, NewColumn, Number, TableDiff
from lotus_lake.escaping import markdown as inert
from lotus_lake.escaping import markdown_block, plain, printable
from lotus_lake.pages import environment, guarded
from lotus_lake.wording import counted

# In Markdown and in the terminal, of the many days that a formula may touch.
_DAYS = 10
# What the terminal has room for.
_COLUMNS = 7


@dataclass(frozen=True)
class Grid:
    """A table as a person reads it; its cells have any number of lines."""

    title: str
    heads: Sequence[str]
    # The columns that have them.
    numbers: range
    rows: Sequence[Sequence[Sequence[str]]]
    left_out: int = 0


def tell(diff: LakeDiff, folder: Path) -> None:
    """Write ``report.md`` and ``report.html``, and print the report."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown(diff))
    (folder / "report.html").write_text(page(diff))
    console = Console()
    print_report(diff, console)
    console.print(f"\nReports: {folder}/report.md, {folder}/report.html", highlight=False)


def print_report(diff: LakeDiff, console: Console) -> None:
    """Print the tables that differ, and what differs in each."""
    for problem in diff.problems:
        first = problem.message.partition("\n")[0]
        console.print(plain(f"FAILED {problem.node}: {first}"), highlight=False)
    for line in (_headline(diff), _unbuilt(diff), _full_refresh(diff)):
        if line:
            console.print(plain(line), highlight=False)
    if diff.changed:
        _print_grid(_overview(diff.changed), console)
    if diff.metrics:
        console.print("\n[bold]Metrics[/] by month", highlight=False)
        _print_grid(_metrics(diff.metrics, _DAYS), console)
    for table in diff.changed:
        for grid in _details(table, _DAYS):
            console.print(f"\n[bold]{plain(table.name)}[/]: {plain(grid.title)}", highlight=False)
            _print_grid(grid, console)


def markdown(diff: LakeDiff) -> str:
    """The report for a pull request."""
    details = [(table, _details(table, _DAYS)) for table in diff.changed]
    return _render("report.md", diff, _overview(diff.changed), details)


def page(diff: LakeDiff) -> str:
    """The report as one HTML page that needs nothing else."""
    details = [(table, _details(table)) for table in diff.changed]
    text = _render("page.html", diff, _overview(diff.changed), details)
    return guarded(text)


def _overview(tables: Sequence[TableDiff]) -> Grid:
    rows = []
    for table in tables:
        count = _number(table.rows_after) or "0"
        if table.rows_before != table.rows_after:
            count = f"{_number(table.rows_before) or 0} → {count}"
        changes = [_number(rows) for rows in (table.added, table.removed, table.changed)]
        columns = ", ".join([*table.schema, *(column.name for column in table.columns)])
        cells = (table.name, table.status, count, *changes, columns, table.reason)
        rows.append([[cell] for cell in cells])
    heads = ("table", "status", "rows", "added", "removed", "changed", "columns", "known by")
    return Grid("Tables", heads, range(2, 6), rows)


def _metrics(deltas: Sequence[MetricDelta], limit: int = 0) -> Grid:
    """The metrics that differ: of each all months, or the newest."""
    rows = []
    for metric, months in groupby(deltas, lambda delta: delta.metric):
        for delta in list(months)[-limit:]:
            change = float(Decimal(delta.after or 0) - Decimal(delta.before or 0))
            values = (_number(delta.before), _number(delta.after), _signed(change))
            rows.append([[cell] for cell in (metric, delta.month, delta.currency, *values)])
    heads = ("metric", "month", "currency", "before", "after", "delta")
    return Grid("Metrics", heads, range(3, 6), rows, len(deltas) - len(rows))


def _details(table: TableDiff, days: int | None = None) -> list[Grid]:
    """What differs in a table: its columns, groups and days."""
    columns = [
        ([column.name], [_number(column.values)], [_signed(column.delta)], column.examples)
        for column in table.columns
    ]
    heads = ("column", "values", "delta of the sum", f"examples ({', '.join(table.key)})")
    grids = [
        _new_columns(table.new_columns),
        Grid("Changed columns", heads, range(1, 3), columns),
        _delta_grid(table.group.removesuffix("_id"), table.by_group),
        _delta_grid("day", table.by_day, days),
    ]
    return [grid for grid in grids if grid.rows]


def _new_columns(columns: Sequence[NewColumn]) -> Grid:
    rows = [
        ([new.name], [f"{new.nulls:,}"], [f"{new.distinct:,}"], [new.range], new.examples)
        for new in columns
    ]
    heads = ("column", "nulls", "distinct values", "range", "examples, the most frequent first")
    return Grid("New columns", heads, range(1, 3), rows)


def _delta_grid(title: str, deltas: Sequence[Delta], limit: int | None = None) -> Grid:
    """The largest deltas, in their own order."""
    by_size = sorted(deltas, key=lambda delta: -max(abs(float(by)) for by in delta.sums.values()))
    largest = {delta.group for delta in by_size[:limit]}
    rows = [
        [[delta.group], *([_signed(by)] for by in delta.sums.values())]
        for delta in deltas
        if delta.group in largest
    ]
    names = list(deltas[0].sums) if deltas else []
    numbers = range(1, len(names) + 1)
    return Grid(f"Delta by {title}", (title, *names), numbers, rows, len(deltas) - len(rows))


def _signed(value: Number | None) -> str:
    return f"+{_number(value)}" if value and value > 0 else _number(value)


def _number(value: Number | None) -> str:
    """A number as a person reads it; nothing for zero."""
    if not value:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    return f"{value:,}"


def _headline(diff: LakeDiff) -> str:
    changed = len(diff.changed)
    same = len(diff.tables) - changed
    return (
        f"{diff.after.label} (snapshot {diff.after.snapshot}) beside {diff.before.label} (snapshot "
        f"{diff.before.snapshot}): {changed} of {counted(len(diff.tables), 'table')} "
        f"{'differs' if changed == 1 else 'differ'}, {same} the same."
    )


def _unbuilt(diff: LakeDiff) -> str:
    if not diff.unbuilt:
        return ""
    return (
        f"Not built, since what they need failed: {', '.join(diff.unbuilt)}. "
        "Nothing is known of what changes in them."
    )


def _full_refresh(diff: LakeDiff) -> str:
    if not diff.full_refresh:
        return ""
    if not diff.full_refresh.changed:
        return (
            "The incremental build and a full refresh agree (models built both ways: "
            f"{len(diff.full_refresh.tables)})."
        )
    names = ", ".join(table.name for table in diff.full_refresh.changed)
    return (
        f"NOT THE SAME after a full refresh: {names}. The incremental path of a changed model "
        "gives other rows than its SQL over everything: look at what it follows by its key "
        "(docs/incremental.md)."
    )


def _print_grid(grid: Grid, console: Console) -> None:
    table = Table(*map(plain, grid.heads[:_COLUMNS]), box=None, padding=(0, 2))
    for n, column in enumerate(table.columns):
        column.justify = "right" if n in grid.numbers else "left"
        column.no_wrap = n == 0
    for row in grid.rows:
        table.add_row(*(plain(lines[0]) if lines else "" for lines in row[:_COLUMNS]))
    console.print(table)
    if grid.left_out:
        console.print(f"  and {grid.left_out} more", highlight=False)


def _charts(table: TableDiff) -> list[tuple[str, str]]:
    """By how much each column's sum changed on each day."""
    # Drawing takes a native library that a report in the terminal does not need.
    from lotus_lake.pages import charts

    sign = {"condition": {"test": "datum.delta < 0", "value": charts.BAD}, "value": charts.GOOD}
    # Labels become part of an expression, so that no name may be among them.
    bars = charts.bars(charts.day("day"), charts.amount("delta", "delta of the sum"), sign)
    return [
        (
            name,
            charts.chart(
                f"Delta of the sum of {printable(name)} by day",
                [{"day": delta.group, "delta": float(delta.sums[name])} for delta in table.by_day],
                bars,
            ),
        )
        for name in (table.by_day[0].sums if table.by_day else ())
    ]


def _render(
    name: str, diff: LakeDiff, overview: Grid, details: Sequence[tuple[TableDiff, list[Grid]]]
) -> str:
    filters: dict[str, Callable[..., Any]] = {
        "block": markdown_block,
        "code": inert,
        "printable": printable,
        "charts": _charts,
    }
    folder = Path(__file__).parent / "templates"
    templates = environment(folder, html=name.endswith(".html"), filters=filters)
    return templates.get_template(name).render(
        diff=diff,
        headline=_headline(diff),
        unbuilt=_unbuilt(diff),
        full_refresh=_full_refresh(diff),
        overview=overview,
        same=_overview([table for table in diff.tables if table.status == "same"]),
        metrics=_metrics(diff.metrics, 0 if name.endswith(".html") else _DAYS),
        details=details,
    )
