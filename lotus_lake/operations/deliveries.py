"""Deliveries after they were fed: undo, replay, release, and what has landed but is not known.

A delivery is named by its stream and by one or more of ``path`` (relative to the landing zone),
``day`` (of its folder) and ``cursor_version`` (one feed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.operations.lake import CURSORS, FILES, Lake
from lotus_lake.operations.starting import check_landing
from lotus_lake.schema import literal
from lotus_lake.streams import Stream


def undo(lake: Lake, dry_run: bool = False, **delivery: Any) -> Iterator[str]:
    """Take deliveries out of the lake and keep them out.

    Their rows leave staging, and the ledger says that they were undone, so that no run feeds these
    versions again (``release`` does). The next ``dbt build`` recomputes what they had touched.

    Raises:
        LakeError: No fed file is meant, or everything would be.
    """
    found = _find(lake, ["loaded"], **delivery)
    yield from found.lines("Undo", "deliveries", dry_run)
    if not dry_run:
        done = f"update {FILES} set status = 'undone', reason = 'undone on ' || now()::varchar"
        lake.commit(f"{found.remove_sql()}; {done} where {found.those}", found.title("Undo"))
        yield "Done. `dbt build` now recomputes what these files had touched."


def replay(lake: Lake, dry_run: bool = False, **delivery: Any) -> Iterator[str]:
    """Feed deliveries once more: they leave staging and the ledger, so that the next run does.

    Raises:
        LakeError: No fed file is meant, or everything would be; or one no longer lies in the
            landing zone as it was fed, so that its rows could not come back.
    """
    found = _find(lake, ["loaded"], **delivery)
    landed = {(file.path, file.etag) for file in lake.landing.files(found.stream.folder)}
    if gone := [one.path for one in found.files if (one.path, one.etag) not in landed]:
        raise LakeError(
            f"Cannot replay {', '.join(gone)}: not in the landing zone any more as fed, so the rows"
            " could not come back. Nothing was changed."
        )
    yield from found.lines("Replay", "deliveries", dry_run)
    if not dry_run:
        lake.commit(f"{found.remove_sql()}; {found.forget_sql()}", found.title("Replay"))
        yield "Done. The next `dbt build` feeds them again."


def release(lake: Lake, dry_run: bool = False, **delivery: Any) -> Iterator[str]:
    """Let the next run try quarantined or undone files again, as they are.

    A repaired file needs no release: its new content is a new version.

    Raises:
        LakeError: No such file is meant, or everything would be.
    """
    found = _find(lake, ["quarantined", "undone"], **delivery)
    yield from found.lines("Release", "files", dry_run)
    if not dry_run:
        lake.commit(found.forget_sql(), found.title("Release"))
        yield "Done. The next `dbt build` tries them again."


def sweep(lake: Lake, dry_run: bool = False) -> Iterator[str]:
    """Say which landed files the lake has never seen, and let the next run list everything.

    Raises:
        LakeError: The landing zone cannot be read.
    """
    yield from check_landing(lake)
    total = 0
    for stream in lake.streams:
        known = set(lake.fetch(f"select path, etag from {FILES} where {stream.condition}"))
        for file in lake.landing.files(stream.folder):
            if (file.path, file.etag) not in known:
                total += 1
                yield f"  not fed: {file.path}  ({file.size} bytes)"
    ended = "Dry run, nothing is changed." if dry_run else "The next `dbt build` lists everything."
    yield f"{total} landed files are not in the ledger. {ended}"
    if not dry_run:
        lake.commit(
            f"update {CURSORS} set swept_at = null where swept_at is not null", "full sweep"
        )


def status(lake: Lake) -> Iterator[str]:
    """One line for each stream: what was fed, what waits and what is quarantined."""
    for (line,) in lake.fetch(f"""
        select
            source || '.' || stream || ': ' || files_loaded || ' files, ' || rows_loaded
            || ' rows, backlog ' || backlog_files || ' files, quarantined '
            || (
                select count(*) from {ALIAS}.meta.quarantine as files
                where files.source = cursors.source and files.stream = cursors.stream
            )
            || ', last fed ' || coalesce(updated_at::varchar, 'never')
        from {CURSORS} as cursors
        order by 1
    """):
        yield line


@dataclass(frozen=True)
class _File:
    """A row of the ledger."""

    path: str
    etag: str
    cursor_version: int
    row_count: int | None
    size: int
    feed_mode: str | None
    reason: str | None


@dataclass(frozen=True)
class _Found:
    """The rows of the ledger that an operation is about."""

    stream: Stream
    files: Sequence[_File]

    def title(self, verb: str, noun: str = "files") -> str:
        return f"{verb} {len(self.files)} {noun} of {self.stream.label}"

    def lines(self, verb: str, noun: str, dry_run: bool) -> Iterator[str]:
        """What is done, file by file."""
        dry = "Dry run, nothing is changed. " if dry_run else ""
        yield f"{dry}{self.title(verb, noun)}:"
        for one in self.files:
            what = one.reason if one.row_count is None else f"{one.row_count} rows"
            yield f"  {one.path}  (version {one.cursor_version}, {what})"

    @property
    def those(self) -> str:
        """The condition for them in the ledger."""
        return f"{self.stream.condition} and (path, cursor_version) in ({_pairs(self.files)})"

    def forget_sql(self) -> str:
        """Takes them out of the ledger, and lets the next run list everything."""
        return (
            f"delete from {FILES} where {self.those};"
            f" update {CURSORS} set swept_at = null, cursor_version = cursor_version + 1"
            f" where {self.stream.condition}"
        )

    def remove_sql(self) -> str:
        """Takes their rows out of staging, and their figures out of the cursor."""
        copied = [one for one in self.files if one.feed_mode != "register"]
        registered = [one for one in self.files if one.feed_mode == "register"]
        statements = [
            f"update {CURSORS} set cursor_version = cursor_version + 1,"
            f" files_loaded = files_loaded - {len(self.files)},"
            f" rows_loaded = rows_loaded - {sum(one.row_count or 0 for one in self.files)},"
            f" bytes_loaded = bytes_loaded - {sum(one.size for one in self.files)},"
            f" updated_at = now() where {self.stream.condition}"
        ]
        if copied:
            statements.append(
                f"delete from {self.stream.table}"
                f" where (_source_file, _cursor_version) in ({_pairs(copied)})"
            )
        statements += [
            f"delete from {self.stream.table} where suffix(filename, {literal(f'/{one.path}')})"
            for one in registered
        ]
        return "; ".join(statements)


def _pairs(files: Sequence[_File]) -> str:
    return ", ".join(f"({literal(one.path)}, {one.cursor_version})" for one in files)


def _find(
    lake: Lake,
    statuses: Sequence[str],
    source: str = "",
    stream: str = "",
    path: str | None = None,
    day: str | None = None,
    cursor_version: int | None = None,
) -> _Found:
    [chosen] = lake.chosen(source, stream)
    conditions = []
    if path is not None:
        conditions.append(f"path = {literal(path)}")
    if day is not None:
        year, month, of_month = day.split("-")
        conditions.append(f"path like '%/year={year}/month={month}/day={of_month}/%'")
    if cursor_version is not None:
        conditions.append(f"cursor_version = {cursor_version}")
    if not conditions:
        raise LakeError(
            f"Say which delivery of {chosen.label}: path, day (YYYY-MM-DD) or cursor_version."
        )
    asked = " and ".join(conditions)
    in_statuses = f"status in ({', '.join(map(literal, statuses))})"
    rows = lake.fetch(
        "select path, etag, cursor_version, row_count, size_bytes, feed_mode, reason"
        f" from {FILES} where {chosen.condition} and {in_statuses} and {asked}"
        " order by cursor_version, path"
    )
    if not rows:
        raise LakeError(
            f"The ledger has no {' or '.join(statuses)} file of {chosen.label} with {asked}. "
            "See meta.feeder_files."
        )
    return _Found(chosen, [_File(*row) for row in rows])
