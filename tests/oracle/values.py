"""Landed values turned into plain, exact Python values.

The same field may arrive as a struct, as JSON text, as a number or as a number in text. Every
reader in this package goes through these functions, so that each of those spellings gives one
value. Text that cannot be read as the wanted type is ``None``: the oracle never guesses.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Record = dict[str, Any]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = Fraction(0)
# decimal(18,2) holds sixteen digits before the point.
_MONEY_LIMIT = Decimal(10) ** 16


def mapping(value: Any) -> Record:
    """Return an object, whether it landed as a struct or as JSON text; anything else is empty."""
    value = _decoded(value)
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Record]:
    """Return a list of objects, whether it landed as a list or as JSON text."""
    value = _decoded(value)
    if not isinstance(value, list):
        return []
    return [mapping(element) for element in value if element is not None]


def is_list(value: Any) -> bool:
    """Tell whether there is a list, also an empty one."""
    return isinstance(_decoded(value), list)


def dig(value: Any, *path: str) -> Any:
    """Follow ``path`` through objects; ``None`` as soon as a step is missing."""
    for name in path:
        value = mapping(value).get(name)
    return value


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        # Decimal, because a JSON number has decimal digits and no binary ones.
        return json.loads(value, parse_float=Decimal)
    except ValueError:
        return None


def _scalar(value: Any) -> Any:
    """Unwrap Airbyte's union struct ``{type, number, string, …}`` into the branch it names."""
    if isinstance(value, dict):
        return value.get(str(value.get("type")))
    return value


def exact(value: Any) -> Fraction | None:
    """Return a number exactly as it is written; a double is taken at its shortest spelling."""
    value = _scalar(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        return Fraction(Decimal(repr(value))) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        # Beyond a double's range a number is a mistake, and its exact form would fill the memory.
        usable = value.is_finite() and abs(value.adjusted()) <= 400
        return Fraction(value) if usable or value == 0 else None
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return exact(Decimal(value.strip()))
    return None


def exact_or_zero(value: Any) -> Fraction:
    """Return the exact number, or zero when there is none."""
    number = exact(value)
    return _ZERO if number is None else number


def total(values: Iterable[Any]) -> Fraction:
    """Sum exactly; what is not a number adds nothing."""
    return sum((exact_or_zero(value) for value in values), _ZERO)


def money(value: Any) -> Decimal | None:
    """Round to cents, half away from zero; ``None`` when not a number or beyond decimal(18,2)."""
    number = exact(value)
    if number is None:
        return None
    amount = rounded(number, 2)
    return amount if abs(amount) < _MONEY_LIMIT else None


def rounded(number: Fraction, digits: int) -> Decimal:
    """Round half away from zero."""
    # Integer arithmetic on purpose: no decimal context can round a second time.
    scale, below = 10**digits, number.denominator
    units = (2 * scale * abs(number.numerator) + below) // (2 * below)
    return Decimal(-units if number < 0 else units).scaleb(-digits)


def money_or_zero(value: Any) -> Decimal:
    """Round to cents, zero when there is no number."""
    rounded = money(value)
    return Decimal("0.00") if rounded is None else rounded


def double(value: Any) -> float | None:
    """Return a double."""
    number = exact(value)
    return None if number is None else float(number)


def integer(value: Any) -> int | None:
    """Return a whole number; one with a fraction is ``None`` rather than quietly cut."""
    number = exact(value)
    return number.numerator if number is not None and number.denominator == 1 else None


def text(value: Any) -> str | None:
    """Return text as it is; numbers and booleans in their JSON spelling."""
    value = _scalar(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def lower(value: Any) -> str | None:
    """Return text in small letters."""
    found = text(value)
    return None if found is None else found.lower()


def json_text(value: Any) -> str | None:
    """Return text unchanged; an object is written as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_json_default)


def _json_default(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def boolean(value: Any) -> bool | None:
    """Return a boolean, also from the words and digits that CSV has for it."""
    value = _scalar(value)
    if isinstance(value, str):
        return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(
            value.strip().lower()
        )
    return None if value is None else bool(value)


def moment(value: Any) -> datetime | None:
    """Return an aware UTC datetime from a timestamp, ISO text or an epoch number.

    Text without an offset is UTC. An epoch is in seconds, ms or µs, as its size says.
    """
    value = _scalar(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    number = exact(value)
    if number is not None:
        unit = 1_000_000 if abs(number) < 10**11 else 1_000 if abs(number) < 10**14 else 1
        try:
            return _EPOCH + timedelta(microseconds=int(number * unit))
        except OverflowError:
            return None
    if isinstance(value, str):
        try:
            return moment(datetime.fromisoformat(value.strip()))
        except ValueError:
            return None
    return None


def day(value: Any) -> date | None:
    """Return a calendar date that has no time zone, as in the jaffle shop's files."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    instant = moment(value)
    return None if instant is None else instant.date()


def day_in(zone: ZoneInfo, instant: datetime | None) -> date | None:
    """Return the calendar day of an instant in the shop's time zone."""
    return None if instant is None else instant.astimezone(zone).date()


def group(rows: Iterable[Record], *columns: str) -> dict[Any, list[Record]]:
    """Return the rows by the value of one column, or by the tuple of several."""
    found: dict[Any, list[Record]] = {}
    for row in rows:
        key = row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns)
        found.setdefault(key, []).append(row)
    return found


def column_sum(rows: Iterable[Record], name: str) -> Decimal:
    """Return the sum of a money column; nulls add nothing."""
    return sum((row[name] for row in rows if row[name] is not None), Decimal("0.00"))


def average(amount: Decimal, number: int) -> Decimal | None:
    """Return a money average, ``None`` of nothing."""
    return money(Fraction(amount) / number) if number else None


def rate(part: Any, whole: Any) -> float | None:
    """Return a plain share, ``None`` of nothing."""
    return float(part) / float(whole) if whole else None


def nulls_lowest(*values: Any) -> tuple[tuple[bool, Any], ...]:
    """Return a sort key in which ``None`` is below every value."""
    return tuple((value is not None, value) for value in values)
