"""The files of a feed: what is new, how much of it one run takes, and what can be read of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lotus_lake.config import LakeError
from lotus_lake.feeder.ledger import Cursor, Ledger
from lotus_lake.landing import LandedFile, Landing, order_of
from lotus_lake.listing import first_day, window
from lotus_lake.probe import Probe, Prober, Unreadable
from lotus_lake.races import FileChanged, LostRace
from lotus_lake.streams import Stream

# A file that a store does not give now is scanned so many times more, beside its client's own
# retries. More would cost every stream as long again while a store is away.
_RETRIES = 4
# Registering is super-linear in the files of one transaction.
_REGISTER_MAX_FILES = 200


@dataclass(frozen=True)
class Batch:
    """The new files of a stream, as far as one run takes them."""

    files: list[LandedFile]  # oldest first
    rest: list[LandedFile]  # left for the next run
    latest: str | None  # the newest path of these and of those that were fed before
    swept: bool  # whether to remember that everything was listed


def find_batch(
    landing: Landing, ledger: Ledger, stream: Stream, cursor: Cursor, changing: Collection[str]
) -> Batch:
    """What is new in the landing zone, except files that are still written (``changing``)."""
    listed, swept = _list(landing, ledger, stream, cursor)
    known = ledger.known(listed)
    new = [file for file in listed if (file.path, file.etag) not in known]
    files = _bounded([file for file in new if file.path not in changing], stream)
    if not files:
        swept = swept and not new and len(listed) > stream.feed_list_free_files
        return Batch([], new, cursor.path, swept)
    taken = set(files)
    rest = [file for file in new if file not in taken]
    latest = max([*(file.path for file in files), *filter(None, [cursor.path])], key=order_of)
    # Not all of it is fed: the next listing has to show what is left.
    since = window(latest, stream.feed_lookback_days)
    swept = swept and all(since and file.day and file.day >= since for file in rest)
    return Batch(files, rest, latest, swept)


def _list(
    landing: Landing, ledger: Ledger, stream: Stream, cursor: Cursor
) -> tuple[list[LandedFile], bool]:
    """The files to look at, and whether that is all of them."""
    since = first_day(cursor.path, cursor.files, cursor.swept_at, vars(stream))
    files = landing.files(stream.folder, since)
    quarantined = ledger.quarantined()
    # A repaired file is fed by the next run, however old its day.
    again = [file for path in quarantined for file in landing.again([path])] if since else files
    removed = set(quarantined).difference(file.path for file in again)
    if removed:
        ledger.undo_removed(removed)
    if others := set(again).difference(files):
        files = sorted([*files, *others], key=lambda file: file.order)
    return files, not since


def _bounded(files: Sequence[LandedFile], stream: Stream) -> list[LandedFile]:
    """As much as one run takes, oldest first, and never nothing."""
    limit = stream.feed_max_files
    if stream.feed_mode == "register":
        limit = min(limit, _REGISTER_MAX_FILES)
    batch: list[LandedFile] = []
    size = 0
    for file in files[:limit]:
        if batch and size + file.size > stream.feed_max_bytes:
            break
        batch.append(file)
        size += file.size
    return batch


def scan(
    prober: Prober, stream: Stream, files: Sequence[LandedFile]
) -> tuple[dict[str, str], list[Probe]]:
    """What cannot be fed, with the reasons by path, and what can.

    Raises:
        LostRace: A file was replaced or deleted since it was listed.
        LakeError: A file cannot be read now, but may be a good one.
    """
    found = dict(prober.probe(files))
    suspects = [file for file, probe in found.items() if isinstance(probe, Unreadable)]
    for attempt in range(_RETRIES):
        if not suspects:
            break
        # A store that failed for a moment, or a file that was replaced, is no bad file.
        check_still_there(prober.landing, suspects)
        again = dict(prober.probe(suspects))
        found.update(again)
        suspects = [
            file
            for file, probe in again.items()
            if isinstance(probe, Unreadable) and probe.is_transient
        ]
        if suspects:
            time.sleep(0.1 * 2**attempt)
    if suspects:
        raise LakeError(
            f"Stream {stream.label}: {prober.landing.root}{suspects[0].path} may be good, "
            f"but {found[suspects[0]]}. Nothing of this feed was written; the next run tries "
            "again"
        )
    return (
        {file.path: str(probe) for file, probe in found.items() if isinstance(probe, Unreadable)},
        [probe for probe in found.values() if isinstance(probe, Probe)],
    )


def check_still_there(landing: Landing, files: Sequence[LandedFile]) -> None:
    """Raise LostRace if a file was replaced or deleted since it was listed: it is not a bad one."""
    if check_unchanged(landing, files) < len(files):
        raise LostRace


def check_unchanged(landing: Landing, files: Sequence[LandedFile]) -> int:
    """How many are still there; FileChanged if one was replaced: the ledger would be wrong."""
    now = {file.path: file.etag for file in landing.again([file.path for file in files])}
    for file in files:
        if now.get(file.path, file.etag) != file.etag:
            raise FileChanged(file.path)
    return len(now)
