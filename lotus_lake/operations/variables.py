"""Variables of the shop that cannot be meant; the engine's own are in lotus_lake/settings.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lotus_lake import settings
from lotus_lake.operations.lake import Lake


def check_variables(lake: Lake, **values: Any) -> Iterator[str]:
    """Refuse a value that cannot be meant of what shapes the models and their checks.

    Args:
        lake: Any lake; its DuckDB knows the time zones.
        values: Variables by name.

    Raises:
        LakeError: The message names the variable and says what it has to be.
    """
    settings.check(values)
    settings.check_number("attribution_hours", values["attribution_hours"], 0.001, 87600.0)
    codes = values["shop_currencies"]
    if not isinstance(codes, list) or not all(
        isinstance(code, str) and not set("'\\") & set(code) for code in codes
    ):
        settings.refuse("shop_currencies", values, "a list of codes such as [EUR, USD], or []")
    zones = lake.fetch(
        "from pg_timezone_names() where name = $name", {"name": str(values["shop_timezone"])}
    )
    if not zones:
        settings.refuse(
            "shop_timezone",
            values,
            "a time zone, by a name like UTC or Europe/Berlin; "
            "`select name from pg_timezone_names()` lists them",
        )
    start = settings.check_date("calendar_start", values)
    if start > settings.check_date("calendar_end", values):
        settings.refuse("calendar_end", values, f"no day before calendar_start, '{start}'")
    yield from ()
