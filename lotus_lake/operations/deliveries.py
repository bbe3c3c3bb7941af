"""Deliveries after they were fed: undo, replay, release, and what has landed but is not known.

A delivery is named by its stream and by one or more of ``file`` (its path in the landing zone),
``day`` (of its folder) and ``version`` (the feed that brought it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from lotus_lake.config import LakeError
from lotus_lake.landing import LandedFile
from lotus_lake.operations.lake import CURSORS, FILES, Lake
from lotus_lake.schema.types import literal
from lotus_lake.streams import Stream
from lotus_lake.wording import counted


@dataclass(frozen=True)
class Delivery:
    """How a person names files of a stream."""

    stream: str
    day: date | None = None
    file: str | None = None
    version: int | None = None


def undo(lake: Lake, delivery: Delivery, dry_run: bool) -> Found:
    """Take deliveries out of the lake and keep them out.

    Their rows leave staging, and the ledger says that they were undone, so that no run feeds these
    versions again (``release`` does). The next ``dbt build`` recomputes what they had touched.

    Raises:
        LakeError: No fed file is meant, or everything would be.
    """
    found = _find(lake, ["loaded"], delivery)
    if not dry_run:
        done = f"update {FILES} set status = 'undone', reason = 'undone on ' || now()::varchar"
        lake.commit(f"{found.remove_sql()}; {done} where {found.those}", found.title("Undo"))
    return found


def replay(lake: Lake, delivery: Delivery, dry_run: bool) -> Found:
    """Feed deliveries once more: they leave staging and the ledger, so that the next run does.

    Raises:
        LakeError: No fed file is meant, or everything would be; or one no longer lies in the
            landing zone as it was fed, so that its rows could not come back.
    """
    found = _find(lake, ["loaded"], delivery)
    landed = {(file.path, file.etag) for file in lake.landing.files(found.stream.folder)}
    if gone := [one.path for one in found.files if (one.path, one.etag) not in landed]:
        raise LakeError(
            f"Cannot replay {', '.join(gone)}: not in the landing zone any more as fed, so the rows"
            " could not come back. Nothing was changed."
        )
    if not dry_run:
        lake.commit(f"{found.remove_sql()}; {found.forget_sql()}", found.title("Replay"))
    return found


def release(lake: Lake, delivery: Delivery, dry_run: bool) -> Found:
    """Let the next run try quarantined or undone files again, as they are.

    A repaired file needs no release: its new content is a new version.

    Raises:
        LakeError: No such file is meant, or everything would be.
    """
    found = _find(lake, ["quarantined", "undone"], delivery)
    if not dry_run:
        lake.commit(found.forget_sql(), found.title("Release"))
    return found


def sweep(lake: Lake, dry_run: bool) -> Iterator[LandedFile]:
    """The landed files that the lake has never seen; the next run lists everything.

    Raises:
        Unreachable: The landing zone cannot be read.
    """
    for stream in lake.streams:
        known = set(lake.fetch(f"select path, etag from {FILES} where {stream.condition}"))
        for file in lake.landing.files(stream.folder):
            if (file.path, file.etag) not in known:
                yield file
    if not dry_run:
        lake.commit(
            f"update {CURSORS} set swept_at = null where swept_at is not null", "full sweep"
        )


@dataclass(frozen=True)
class FedFile:
    path: str
    etag: str
    cursor_version: int
    row_count: int | None
    size: int
    feed_mode: str | None
    reason: str | None


@dataclass(frozen=True)
class Found:
    """The rows of the ledger that an operation is about."""

    stream: Stream
    files: Sequence[FedFile]

    def title(self, verb: str) -> str:
        return f"{verb} {counted(len(self.files), 'file')} of {self.stream.label}"

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


def _pairs(files: Sequence[FedFile]) -> str:
    return ", ".join(f"({literal(one.path)}, {one.cursor_version})" for one in files)


def _find(lake: Lake, statuses: Sequence[str], delivery: Delivery) -> Found:
    stream = lake.chosen(delivery.stream)[0]
    if stream.label != delivery.stream:
        raise LakeError(f"{delivery.stream} is a source. Name one stream of it, as {stream.label}.")
    conditions = []
    if delivery.file is not None:
        conditions.append(f"path = {literal(delivery.file)}")
    if delivery.day is not None:
        year, month, of_month = delivery.day.isoformat().split("-")
        conditions.append(f"path like '%/year={year}/month={month}/day={of_month}/%'")
    if delivery.version is not None:
        conditions.append(f"cursor_version = {delivery.version}")
    if not conditions:
        raise LakeError(f"Say which delivery of {stream.label}: --day, --file or --delivery.")
    asked = " and ".join(conditions)
    in_statuses = f"status in ({', '.join(map(literal, statuses))})"
    rows = lake.fetch(
        "select path, etag, cursor_version, row_count, size_bytes, feed_mode, reason"
        f" from {FILES} where {stream.condition} and {in_statuses} and {asked}"
        " order by cursor_version, path"
    )
    if not rows:
        raise LakeError(
            f"The ledger has no {' or '.join(statuses)} file of {stream.label} with {asked}. "
            "See meta.feeder_files."
        )
    return Found(stream, [FedFile(*row) for row in rows])
