"""Rows that a stream does not take: without a key, or with an amount of money that is none."""

from __future__ import annotations

from lotus_lake.feeder.fitting import Group
from lotus_lake.probe import CHECK_FAILED
from lotus_lake.schema.types import Type, literal, part_at, quote
from lotus_lake.streams import Stream, steps_of

# From here on money cannot hold an amount, or the sum of some. DuckDB sorts NaN behind it.
_NO_AMOUNT = "1e15"


def check_sql(stream: Stream, group: Group) -> str:
    """SQL that is true of each row of a group, and stops the statement at one that is refused."""
    values = {name.lower(): value for name, value in group.values.items()}
    landed = {name.lower(): (quote(name), type_) for name, type_ in group.schema.items()}
    checks = []
    for column in stream.primary_key:
        if key := values.get(column.lower()):
            checks.append((f"{key} is null", literal(f", column {column} has no value")))
    for amount in stream.amounts:
        column, *steps = steps_of(amount)
        # As it landed: a conversion of the whole column, once for each amount in it, is dear.
        value, type_ = landed.get(column.lower(), ("", None))
        if not type_ or not part_at(type_, tuple(steps)):
            continue  # a file may lack fields of the column
        if condition := _no_amount(value, type_, steps):
            shown = "'a value'"
            if not steps and stream.may_show(column):
                shown = f"regexp_replace(left({value}::varchar, 40), '\\s+', ' ', 'g')"
            what = literal(f" is no finite number below {_NO_AMOUNT}")
            checks.append((condition, f"{literal(f', column {amount}: ')} || {shown} || {what}"))
    stops = [
        f"case when {condition} then error({literal(CHECK_FAILED + 'row ')} || __row || {what})"
        " else true end"
        for condition, what in checks
    ]
    return " and ".join(stops) or "true"


def _no_amount(value: str, type_: Type, steps: list[str], depth: int = 0) -> str | None:
    """SQL that is true where some value at the end of the steps is no amount."""
    if not steps:
        return None if type_.nested else f"abs(try_cast({value} as double)) >= {_NO_AMOUNT}"
    step, *rest = steps
    if step == "[]":
        name = f"amount_{depth}"
        inner = _no_amount(name, type_.element, rest, depth + 1) if type_.element else None
        return inner and f"list_bool_or(list_transform({value}, lambda {name}: {inner}))"
    child = type_.child(step)
    return _no_amount(f"{value}.{quote(step)}", child, rest, depth) if child else None
