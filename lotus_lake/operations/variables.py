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
    """Refuse a value that cannot be meant of what shapes builds and their checks.

    Args:
        lake: Any lake.
        values: Variables by name.

    Raises:
        LakeError: The message names the variable and says what it has to be.
    """
    for name, value in values.items():
        if name in _NUMBERS:
            check_number(name, value)
    if values["watch_least_weeks"] > values["watch_weeks"]:
        _refuse("watch_least_weeks", values, f"a whole number from 1 to {values['watch_weeks']}")
    for name in ("rebuild_on_code_change", "run_all_tests"):
        if not isinstance(values[name], bool):
            _refuse(name, values, "true or false")
    if values["watch_as_of"] and not _is_day(str(values["watch_as_of"])):
        _refuse("watch_as_of", values, "a date, YYYY-MM-DD, or null")
    yield from ()


def _is_day(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and date.fromisoformat(text))
    except ValueError:
        return False


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
