"""Variables of dbt_project.yml that cannot be meant; the feeder's are checked with each stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, NoReturn

from lotus_lake.config import LakeError
from lotus_lake.operations.lake import Lake

# The least and the greatest value; whole numbers, where these are whole.
_NUMBERS: dict[str, tuple[float, float]] = {
    "attribution_hours": (0.001, 87600.0),
    "watch_score": (0.001, 1000.0),
    "watch_weeks": (1, 520),
    "watch_least_weeks": (1, 520),
    "watch_days": (1, 3650),
    "watch_settle_days": (0, 3650),
    "watch_report_days": (0, 3650),
    "history_days": (1, 36500),
    "snapshot_days": (0, 36500),
    "cleanup_delay_days": (0, 36500),
    "maintain_max_files": (1, 10**9),
    "branch_hold_days": (0, 36500),
}


def check_variables(lake: Lake, **values: Any) -> Iterator[str]:
    """Refuse a value that cannot be meant of what shapes the models and their checks.

    Args:
        lake: Any lake; its DuckDB knows the time zones.
        values: Variables by name.

    Raises:
        LakeError: The message names the variable and says what it has to be.
    """
    for name, value in values.items():
        if name in _NUMBERS:
            check_number(name, value)
    if values["watch_least_weeks"] > values["watch_weeks"]:
        _refuse("watch_least_weeks", values, f"a whole number from 1 to {values['watch_weeks']}")
    if not isinstance(values["rebuild_on_code_change"], bool):
        _refuse("rebuild_on_code_change", values, "true or false")
    codes = values["shop_currencies"]
    if not isinstance(codes, list) or not all(
        isinstance(code, str) and not set("'\\") & set(code) for code in codes
    ):
        _refuse("shop_currencies", values, "a list of codes such as [EUR, USD], or []")
    zones = lake.fetch(
        "from pg_timezone_names() where name = $name", {"name": str(values["shop_timezone"])}
    )
    if not zones:
        _refuse(
            "shop_timezone",
            values,
            "a time zone, by a name like UTC or Europe/Berlin; "
            "`select name from pg_timezone_names()` lists them",
        )
    start, end = _date("calendar_start", values), _date("calendar_end", values)
    if start > end:
        _refuse("calendar_end", values, f"no day before calendar_start, '{start}'")
    if values["watch_as_of"]:
        _date("watch_as_of", values, "a date, YYYY-MM-DD, or null")
    yield from ()


def _date(name: str, values: dict[str, Any], must: str = "a date, YYYY-MM-DD") -> str:
    text = str(values[name])
    try:
        is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and date.fromisoformat(text)
    except ValueError:
        is_day = None
    if not is_day:
        _refuse(name, values, must)
    return text


def check_number(name: str, value: Any) -> None:
    """Refuse what is no number within its variable's bounds."""
    least, most = _NUMBERS[name]
    whole = isinstance(least, int)
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else int | float)
        or not least <= value <= most
    ):
        kind = "whole number" if whole else "number"
        _refuse(name, {name: value}, f"a {kind} from {least} to {most}")


def _refuse(name: str, values: dict[str, Any], must: str) -> NoReturn:
    value = "null" if values[name] is None else values[name]
    raise LakeError(f"Variable {name} is '{value}'; it has to be {must}.")
