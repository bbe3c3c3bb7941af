"""What a person gave an operation, before it changes anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lotus_lake.config import LakeError

# What may stand for each kind, and in words. Text may look like a number; a name has to be given.
_KINDS = {
    "days": (r"[0-9]{1,5}", "a whole number of days, 0 or more"),
    "number": (
        r"[0-9]{1,18}",
        "a whole number, 0 or more; `make status` and meta.feeder_files have it",
    ),
    "day": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "YYYY-MM-DD"),
    "flag": ("True|False", "true or false"),
    "text": ("(?s:.*)", "text"),
    "name": ("(?s:.*)", "text"),
}


def checked(given: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Arguments as an operation takes them; those that are null are left out.

    Args:
        given: What was given.
        kinds: Kinds of arguments by name. A ``variable`` is checked by the operation, which knows
            what it has to be; what the project itself gives, ``list`` and ``mapping``, is not.

    Raises:
        LakeError: One cannot be meant; the message names it.
    """
    values = {}
    for name, value in given.items():
        kind = kinds[name]
        if kind in _KINDS:
            if value is None and kind not in ("flag", "name"):
                continue
            value = _checked(name, value, kind)
        values[name] = value
    return values


def _checked(name: str, value: Any, kind: str) -> Any:
    pattern, must = _KINDS[kind]
    is_odd = not isinstance(value, str | int | float) or (kind == "flag") != isinstance(value, bool)
    if is_odd or not re.fullmatch(pattern, str(value)):
        raise LakeError(f"{name} is '{value}'; it has to be {must}.")
    if kind == "flag":
        return value
    return int(value) if kind in ("days", "number") else str(value)
