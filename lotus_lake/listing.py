"""What has to be listed of a stream to see everything that can be new: one rule for the feeder and
the scheduler, so that what the scheduler calls news is what the feeder feeds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lotus_lake.landing import day_of

# A folder's time is the writer's clock; allow for it to differ from ours.
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class Listing:
    """A listing of a stream's folder; beside it, quarantined files are looked at again.

    Args:
        since: Leave out days before this one; None lists everything.
        changed_since: Older days that show a change after this time are listed too, where the
            store can tell.
    """

    since: date | None = None
    changed_since: datetime | None = None

    @property
    def whole(self) -> bool:
        """Whether this is a full sweep."""
        return self.since is None


def plan_listing(
    *,
    cursor_path: str | None,
    files: int,
    swept_at: datetime | None,
    updated_at: datetime | None,
    lookback_days: int,
    sweep_hours: float,
    list_free_files: int,
) -> Listing:
    """The listing that a run needs.

    Its cost grows with the new and recent days. Everything is listed when that costs no more than
    a page, when it was asked for, and when it is due.

    Args:
        cursor_path: The newest path fed, or None.
        files: How many files were fed.
        swept_at: When everything was last listed; None asks for it now.
        updated_at: When a feed last changed the stream, or None.
        lookback_days, sweep_hours, list_free_files: The stream's settings (``Stream``).
    """
    since = window(cursor_path, lookback_days)
    due = swept_at is None or datetime.now(UTC) - swept_at >= timedelta(hours=sweep_hours)
    if due or since is None or files <= list_free_files:
        return Listing()
    return Listing(since, updated_at - _CLOCK_SKEW if updated_at else None)


def window(cursor_path: str | None, lookback_days: int) -> date | None:
    """The first day that every run lists; None for all of them."""
    day = day_of(cursor_path) if cursor_path else None
    if day is None:
        return None
    # A folder of a day to come must not hide today's.
    return min(day, datetime.now(UTC).date()) - timedelta(days=lookback_days)
