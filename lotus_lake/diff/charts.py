"""Charts as SVG, drawn by Vega-Lite; they take the colours of the page around them."""

from __future__ import annotations

from collections.abc import Sequence

import vl_convert

from lotus_lake.diff.compare import Shift


def shift_chart(shifts: Sequence[Shift], column: str) -> str:
    """By how much a column's sum moved on each day, as an SVG element."""
    values = [
        {"day": shift.group, "shift": float(shift.shifts[column])}
        for shift in shifts
        if column in shift.shifts
    ]
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": f"Shift of the sum of {column} by day",
        "data": {"values": values},
        "mark": {"type": "bar", "width": {"band": 0.8}},
        "width": 720,
        "height": 160,
        "encoding": {
            "x": {
                "field": "day",
                "type": "temporal",
                "timeUnit": "utcyearmonthdate",
                "title": None,
            },
            "y": {"field": "shift", "type": "quantitative", "title": f"shift of {column}"},
            "color": {
                "condition": {"test": "datum.shift < 0", "value": "#c2410c"},
                "value": "#0f766e",
            },
        },
        "config": {"background": None, "view": {"stroke": None}, "font": "sans-serif"},
    }
    return str(vl_convert.vegalite_to_svg(specification))
