"""Shows rows and steps in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from lotus_lake.escaping import plain
from lotus_lake.history.catalog import in_utc
from lotus_lake.history.rows import FEW, RowDiff
from lotus_lake.history.steps import Step
from lotus_lake.history.words import as_text, counted

# Of steps and files, as many as a person reads.
_STEPS = 20
_FILES = 6


def print_difference(diff: RowDiff, console: Console) -> None:
    """Rows side by side, a mark before each column that differs."""
    differing = len(diff.pairs)
    if not diff.rows_before and not diff.rows_after:
        console.print("No row matched then, and none does now.")
        return
    console.print(
        f"{counted(diff.rows_before, 'row')} then, {diff.rows_after:,} now: "
        + (f"{counted(differing, 'row')} changed." if differing else "nothing changed.")
    )
    shown = [*diff.pairs, *((row, row) for row in diff.same)][:FEW]
    for before, after in shown:
        table = Table("", "column", "then", "now", box=None, padding=(0, 1), pad_edge=False)
        table.columns[2].justify = table.columns[3].justify = "right"
        for place, column in enumerate(diff.columns):
            old = "-" if before is None else as_text(before[place])
            new = "-" if after is None else as_text(after[place])
            changed = old != new
            table.add_row(
                "≠" if changed else "",
                plain(column),
                plain(old),
                plain(new),
                style="bold yellow" if changed else "",
            )
        console.print(table)
        console.print()
    if len(diff.pairs) > FEW:
        console.print(f"and {len(diff.pairs) - FEW:,} more rows that differ.\n")


def print_steps(steps: list[Step], console: Console) -> None:
    """What happened, oldest first."""
    if not steps:
        console.print("Nothing has changed these rows since.")
        return
    console.print("[bold]What changed it[/]")
    if len(steps) > _STEPS:
        console.print(f"({len(steps) - _STEPS:,} earlier changes are left out)")
    for step in steps[-_STEPS:]:
        _print_step(step, console)


def _print_step(step: Step, console: Console) -> None:
    console.print(f"\n{step.snapshot}" + (f", by {plain(step.run)}" if step.run else ""))
    if step.rebuilt:
        console.print(f"  [bold]made again from everything:[/] {plain(step.rebuilt)}")
    if step.change:
        console.print(f"  {plain(step.change)}")
    for name in step.others:
        console.print(f"  table {plain(name)} was written")
    for file in step.files[:_FILES]:
        brought = "it was taken out" if file.undone else counted(file.rows or 0, "row")
        # Paths are for copying: they are not broken into lines.
        console.print(
            f"  {file.stream}, {brought}, {in_utc(file.at)}:\n    {plain(file.path)}",
            soft_wrap=True,
        )
    if len(step.files) > _FILES:
        console.print(f"  and {counted(len(step.files) - _FILES, 'more file')}")
    if not step.files and not step.rebuilt and not step.others:
        console.print("  no file came in between: see the run")
