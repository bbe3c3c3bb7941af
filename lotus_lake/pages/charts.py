"""Charts as SVG, drawn by Vega-Lite; they take the colours of the page around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lotus_lake.config import LakeError

Rows = Sequence[Mapping[str, Any]]
Encoding = dict[str, Any]

GOOD, WARN, BAD, QUIET = "#0f766e", "#b45309", "#c2410c", "#64748b"

_CONFIG = {
    "background": None,
    # A reader's font may be wider than the one that the labels are measured with here.
    "padding": {"left": 30, "top": 5, "right": 5, "bottom": 5},
    "view": {"stroke": None},
    "font": "sans-serif",
    "axis": {
        "gridColor": "#88888833",
        "domainColor": "#888888",
        "tickColor": "#888888",
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "legend": {"labelFontSize": 11},
}


def chart(
    title: str, rows: Rows, *layers: dict[str, Any], width: int = 720, height: int = 160
) -> str:
    """Draw layers (Vega-Lite's ``mark`` and ``encoding``) over the same rows.

    The title is for those who cannot see it; width and height are the plot's, in pixels.

    Raises:
        LakeError: What draws them is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise LakeError("Charts need more packages: pip install 'lotus-lake[site]'.") from None
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": [dict(row) for row in rows]},
        "layer": list(layers),
        "width": width,
        "height": height,
        "config": _CONFIG,
    }
    drawn = str(vl_convert.vegalite_to_svg(specification))
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def day(field: str, first: str | None = None, last: str | None = None) -> Encoding:
    """An axis of days (ISO text), from the first to the last."""
    encoding: Encoding = {
        "field": field,
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        "axis": {"title": None, "labelOverlap": True, "format": "%d %b %Y", "tickCount": 4},
    }
    if first and last:
        encoding["scale"] = {"domain": [first, last], "type": "utc"}
    return encoding


def amount(field: str, title: str | None = None) -> Encoding:
    """An axis of numbers, from zero."""
    return {"field": field, "type": "quantitative", "title": title}


def bars(x: Encoding, y: Encoding, color: Any) -> dict[str, Any]:
    """A layer of bars, in one colour or by Vega-Lite's encoding of several."""
    encoded = {"value": color} if isinstance(color, str) else color
    return {
        "mark": {"type": "bar", "width": {"band": 0.8}},
        "encoding": {"x": x, "y": y, "color": encoded},
    }
