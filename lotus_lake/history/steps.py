"""The snapshots that changed a table's rows, each with what is behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lotus_lake.connection import ALIAS
from lotus_lake.history.bookkeeping import Bookkeeping, FedFile
from lotus_lake.history.catalog import Row, Snapshot, fetch
from lotus_lake.history.past import History
from lotus_lake.history.rows import difference
from lotus_lake.history.words import counted, in_words


@dataclass
class Step:
    """A snapshot that changed the table.

    Args:
        snapshot: Which.
        rebuilt: Why the table was made again from everything, or empty.
        change: What changed, in words.
        files: The files behind it.
        others: Other inputs behind it: tables that come from no stream.
        run: The run of dbt that wrote it, in words.
    """

    snapshot: Snapshot
    rebuilt: str = ""
    change: str = ""
    files: list[FedFile] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    run: str = ""


def steps_between(history: History, then: int, now: int) -> list[Step]:
    """The snapshots after ``then`` and up to ``now`` that changed rows of the condition."""
    books = Bookkeeping(history.connection, history.catalog.oldest.number)
    found = []
    lives = history.lives()
    for begin, end in lives:
        first, last = max(begin, then + 1), int(min(end - 1, now))
        if last < first:
            continue
        if begin > then:
            # The snapshot that made it is a step of its own if the table before it ended there.
            if any(finish == begin for _, finish in lives):
                step = _step(history, books, begin, "")
                if step:
                    step.rebuilt = _why_rebuilt(books, history.table, begin)
                    found.append(step)
            first += 1
        for snapshot, written, deleted in _changed(history, first, last):
            change = f"{counted(written, 'row')} written, {deleted:,} taken out"
            step = _step(history, books, snapshot, change)
            if step:
                found.append(step)
    return found


def _changed(history: History, first: int, last: int) -> list[Row]:
    """Snapshots that wrote or took out rows of the condition, with how many of each."""
    if last < first:
        return []
    return fetch(
        history.connection,
        f"select snapshot_id, count(*) filter (change_type in ('insert',"
        f" 'update_postimage')), count(*) filter (change_type in ('delete',"
        f" 'update_preimage')) from ducklake_table_changes('{ALIAS}', '{history.schema}',"
        # A file that was merged later brings rows of its older snapshots along.
        f" '{history.table}', {first}, {last}) {history.condition}"
        f" group by 1 having snapshot_id >= {first} order by 1",
    )


def _step(history: History, books: Bookkeeping, number: int, change: str) -> Step | None:
    """One of them with what is behind it; None if it left the rows as they were."""
    step = Step(Snapshot(number, history.catalog.time_of(number)), change=change)
    if history.where:
        diff = difference(history, number - 1, number)
        if not diff.pairs and not diff.new_columns and not diff.lost_columns:
            return None
        step.change = "; ".join(in_words(diff))
    before, after = books.leaves(history.table, number - 1), books.leaves(history.table, number)
    for name in sorted(after):
        low = before[name][0] if name in before else 0
        high = after[name][1]
        if high > low:
            _add_input(step, history, books, name, low, high)
    step.run = books.run(step.snapshot)
    return step


def _add_input(
    step: Step, history: History, books: Bookkeeping, name: str, low: int, high: int
) -> None:
    """Add what came into a table that no model writes, between two of its states."""
    stream = books.streams().get(name)
    if stream:
        step.files += books.fed(stream, low, high)
    elif history.catalog.was_written(name, low, high) and name != history.table:
        step.others.append(name)


def _why_rebuilt(books: Bookkeeping, table: str, snapshot: int) -> str:
    """Which model's code changed, if one did: its own, or that of one that it reads."""
    changed = books.code_changes(table, snapshot - 1, snapshot)
    if changed == [table]:
        return "its code, columns or variables changed"
    if changed:
        return f"the code, columns or variables of {', '.join(changed)} changed, which it reads"
    return "no code of it or of what it reads changed: a full refresh, or changes had expired"
