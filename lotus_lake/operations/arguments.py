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
        kinds: Kinds of the arguments that a person gives, by name. The others are the project's,
            such as its variables: the operation knows what they have to be.

    Raises:
        LakeError: One cannot be meant; the message names it.
    """
    values = {}
    for name, value in given.items():
        kind = kinds.get(name)
        if kind is None:
            values[name] = value
        elif value is not None or kind in ("flag", "name"):
            values[name] = _checked(name, value, kind)
    return values


def _checked(name: str, value: Any, kind: str) -> Any:
    pattern, must = _KINDS[kind]
    is_odd = not isinstance(value, str | int | float) or (kind == "flag") != isinstance(value, bool)
    if is_odd or not re.fullmatch(pattern, str(value)):
        raise LakeError(f"{name} is '{value}'; it has to be {must}.")
    if kind == "flag":
        return value
    return int(value) if kind in ("days", "number") else str(value)
