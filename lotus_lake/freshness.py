"""How long a stream may be silent, as the ``freshness`` of its source allows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from lotus_lake.config import LakeError

Limits = Mapping[str, timedelta]


def limits(manifest: Path) -> Limits:
    """The longest time without a delivery that each stream's ``freshness`` allows.

    Args:
        manifest: dbt's ``manifest.json``.

    Returns:
        The time by stream (``source.stream``); a stream without a ``freshness`` is left out.

    Raises:
        LakeError: The manifest cannot be read.
    """
    try:
        sources = json.loads(manifest.read_bytes())["sources"]
    except (OSError, ValueError, KeyError) as error:
        raise LakeError(f"{manifest} cannot be read. Run `dbt parse` first.") from error
    found = {}
    for source in sources.values():
        after = (source.get("freshness") or {}).get("warn_after") or {}
        if after.get("count"):
            span = timedelta(**{f"{after['period']}s": after["count"]})
            found[f"{source['source_name']}.{source['name']}"] = span
    return found
