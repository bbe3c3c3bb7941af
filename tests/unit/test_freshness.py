"""When a stream is late."""

from __future__ import annotations

from datetime import timedelta
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
