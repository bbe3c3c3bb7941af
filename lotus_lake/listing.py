"""What has to be listed of a stream to see everything that can be new: one rule for the feeder and
the scheduler, so that what the scheduler calls news is what the feeder feeds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lotus_lake.landing import day_of


def first_day(
    cursor_path: str | None, files: int, swept_at: datetime | None, settings: Mapping[str, Any]
) -> date | None:
    """The first day that a run has to list, by a stream's settings; None for all: a full sweep.

    The cost grows with the new and recent days. Everything is listed when that costs no more than a
    page, when it was asked for (``swept_at`` is None), and when it is due.
    """
    patience = timedelta(hours=settings["feed_sweep_hours"])
    due = swept_at is None or datetime.now(UTC) - swept_at >= patience
    if due or files <= settings["feed_list_free_files"]:
        return None
    return window(cursor_path, settings["feed_lookback_days"])


def window(cursor_path: str | None, lookback_days: int) -> date | None:
    """The first day that every run lists; None for all of them."""
    day = day_of(cursor_path) if cursor_path else None
    if day is None:
        return None
    # A folder of a day to come must not hide today's.
    return min(day, datetime.now(UTC).date()) - timedelta(days=lookback_days)
