"""When a stream is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lotus_lake import freshness
from lotus_lake.config import LakeError


def test_limits_come_from_the_sources(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    with pytest.raises(LakeError, match=r"manifest\.json cannot be read.*dbt parse"):
        freshness.limits(manifest)
    manifest.write_text(
        '{"sources": {"a": {"source_name": "s", "name": "a", "freshness":'
        ' {"warn_after": {"count": 36, "period": "hour"}}},'
        ' "b": {"source_name": "s", "name": "b", "freshness": null}}}'
    )
    assert freshness.limits(manifest) == {"s.a": timedelta(hours=36)}


def test_the_next_one_to_be_late() -> None:
    """Those that are late by now are no news; without a limit or a file none is late."""
    noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    limits = {"s.late": hour, "s.soon": 3 * hour, "s.later": 30 * hour, "s.never": hour}
    fed = dict.fromkeys(("s.late", "s.soon", "s.later", "s.free"), noon - 2 * hour)
    assert freshness.next_late(fed, limits, noon) == (noon + hour, "s.soon")
    assert freshness.next_late(fed, limits, noon + hour) == (noon + 28 * hour, "s.later")
    assert freshness.next_late(fed, limits, noon + 28 * hour) is None
