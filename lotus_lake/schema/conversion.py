"""How a value of a file gets into a staging column: SQL that casts it, and SQL that checks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from lotus_lake.schema.growth import widens
from lotus_lake.schema.plain_json import LAST_EXACT_INTEGER, PLAIN_JSON
from lotus_lake.schema.types import (
    FLOATS,
    INTEGERS,
    JSON_DOUBLE,
    JSON_EMPTY,
    JSON_INTEGER,
    TIMESTAMPS,
    UNSIGNED,
    Type,
    literal,
    quote,
    words,
)

# SQL about parts of a value, by the steps to each.
Checks: TypeAlias = dict[tuple[str, ...], str]


class Conflict(Exception):
    """A file's type cannot become the staging column's without loss; the message says why."""


@dataclass(frozen=True)
class Conversion:
    value: str  # SQL of the converted value
    exact: Checks = field(default_factory=dict)  # of parts of which nothing is lost if it is true
    # of parts that have to become text unless it is true
    doubts: Checks = field(default_factory=dict)

    @property
    def is_exact(self) -> str:
        return " and ".join(self.exact.values()) or "true"


def convert(
    value: str, source: Type, target: Type, depth: int = 0, declared: Type | None = None
) -> Conversion:
    """Convert a value (as SQL) to the type of a staging column, which :func:`merge` has grown.

    ``depth`` is how many values it lies inside; the declared type is the target's by default.

    Raises:
        Conflict: No value of that type could ever fit.
    """
    declared = declared or target
    if source == target:
        return Conversion(value)
    if source.name == "NULL":
        return Conversion("null")
    if source.kind == "json" and source.element is not None:
        return _convert_json(value, source.element, target, depth, declared)
    if source.name in ("JSON", JSON_EMPTY):
        return _convert_mixed(value, target)
    if source.name == JSON_INTEGER:
        return convert(value, Type.scalar("HUGEINT"), target, depth)
    if source.name == JSON_DOUBLE:
        value = f"cast({value} as double)"
        inner = convert(value, Type.scalar("DOUBLE"), target, depth)
        return Conversion(inner.value, {(): f"({_below_last_exact(value)} and {inner.is_exact})"})

    if source.kind == "struct" and target.kind == "struct":
        return _convert_struct(value, source, target, depth, declared)
    if source.kind == "list" and target.kind == "list":
        return _convert_list(value, source, target, depth, declared)
    if target.name == "VARCHAR":
        text = f"to_json({value})" if source.nested else value
        return Conversion(f"cast({text} as varchar)")
    if source.nested or target.nested:
        raise Conflict(f"{words(source)} where the lake has {words(target)}")
    return _convert_scalar(value, source.name, target.name)


def carry(value: str, source: Type, target: Type, depth: int = 0) -> Conversion:
    """Convert a value that no stream declares to the type that it was joined to (:func:`join`).

    What a value becomes does not depend on the types that its column had on the way: a text is the
    same whether its number was an integer or a double before, or its object had other fields.
    """
    # What nothing is known of is null, as it is when no other file has told its type yet.
    if source.unknown:
        return Conversion("null")
    if source == target:
        return Conversion(value)
    if target.name == "VARCHAR":
        return Conversion(_text(value, source, depth))
    if source.kind == "struct":
        return _convert_struct(value, source, target, depth, None)
    if source.kind == "list":
        return _convert_list(value, source, target, depth, None)
    if target.name == "DOUBLE" and source.name not in FLOATS:
        value = f"cast({value} as double)"
        return Conversion(value, doubts={(): _below_last_exact(value)})
    inner = convert(value, source, target)
    return Conversion(inner.value, doubts=inner.exact)


def from_epoch(value: str, source: Type, target: Type) -> Conversion:
    """Convert milliseconds since 1970, as a number or as text, or a time, to a time.

    Raises:
        Conflict: It can be neither that nor a time.
    """
    if source.name not in ("VARCHAR", *INTEGERS, *UNSIGNED, JSON_INTEGER):
        return convert(value, source, target)
    text = f"cast({value} as varchar)"
    is_number = f"regexp_full_match({text}, '-?\\d+')"
    milliseconds = f"epoch_ms(try_cast({text} as bigint))::timestamptz"
    time = convert(text, Type.scalar("VARCHAR"), target)
    return Conversion(
        f"case when {is_number} then {milliseconds} else {time.value} end",
        {(): f"case when {is_number} then {milliseconds} is not null else {time.is_exact} end"},
    )


def json_texts(
    source: Type, target: Type, declared: Type | None = None
) -> Iterator[tuple[str, ...]]:
    """Paths at which a file has text where the column has a declared object or list.

    A step of a path is a field's name, or ``[]`` for the elements of a list.
    """
    declared = declared or target
    if source.name == "VARCHAR" and target.nested:
        yield ()
    elif source.kind == "struct" and target.kind == "struct":
        for name, child in source.fields:
            into, known = target.child(name), declared.child(name)
            if into is not None and known is not None:
                yield from ((name, *rest) for rest in json_texts(child, into, known))
    elif source.element and target.element and declared.element:
        inner = json_texts(source.element, target.element, declared.element)
        yield from (("[]", *rest) for rest in inner)


def _text(value: str, source: Type, depth: int) -> str:
    """SQL of a value's text, which does not tell what type the value had."""
    if source.nested:
        texts = _of_texts(source.known())
        carried = carry(value, source, texts, depth).value
        return f"{PLAIN_JSON}(cast(to_json(cast({carried} as {texts.sql()})) as varchar))"
    if source.name in ("JSON", JSON_DOUBLE):
        return f"{PLAIN_JSON}(cast({value} as varchar))"
    if source.name in FLOATS:
        return (
            f"case when {value} = trunc({value}) and {_below_last_exact(value)}"
            f" then cast(cast({value} as bigint) as varchar)"
            f" else cast(cast({value} as double) as varchar) end"
        )
    return f"cast({value} as varchar)"


def _of_texts(type_: Type) -> Type:
    if type_.kind == "struct":
        return Type.struct([(name, _of_texts(child)) for name, child in type_.fields])
    return Type.list_of(_of_texts(type_.element)) if type_.element else Type.scalar("VARCHAR")


def _below_last_exact(number: str) -> str:
    return f"({number} is null or abs({number}) < {LAST_EXACT_INTEGER})"


def _convert_part(
    value: str, source: Type, target: Type, depth: int, declared: Type | None
) -> Conversion:
    if declared:
        return convert(value, source, target, depth, declared)
    return carry(value, source, target, depth)


def _convert_struct(
    value: str, source: Type, target: Type, depth: int, declared: Type | None
) -> Conversion:
    parts: list[str] = []
    exact: Checks = {}
    doubts: Checks = {}
    plain = True
    for name, child in source.fields:
        place = f"{value}.{quote(name)}"
        into = target.child(name)
        if into is None:  # nothing but nulls
            plain = False
            continue
        part = _convert_part(place, child, into, depth, declared and declared.child(name))
        plain = plain and part == Conversion(place)
        parts.append(f"{quote(name)} := {part.value}")
        exact |= {(name, *path): sure for path, sure in part.exact.items()}
        doubts |= {(name, *path): sure for path, sure in part.doubts.items()}
    if plain:
        return Conversion(value)
    packed = f"struct_pack({', '.join(parts)})" if parts else f"cast(null as {target.sql()})"
    packed = f"case when {value} is not null then {packed} end"
    return Conversion(packed, exact, doubts)


def _convert_list(
    value: str, source: Type, target: Type, depth: int, declared: Type | None
) -> Conversion:
    assert source.element and target.element
    element = f"element_{depth}"
    known = declared and declared.element
    inner = _convert_part(element, source.element, target.element, depth + 1, known)
    if inner == Conversion(element):
        return Conversion(value)
    each = f"list_transform({value}, lambda {element}: "

    def of_all(checks: Checks) -> Checks:
        return {
            ("[]", *path): f"coalesce(list_bool_and({each}{sure})), true)"
            for path, sure in checks.items()
        }

    return Conversion(f"{each}{inner.value})", of_all(inner.exact), of_all(inner.doubts))


def _convert_json(value: str, inner: Type, target: Type, depth: int, declared: Type) -> Conversion:
    structure = literal(json.dumps(inner.json_structure()))
    parsed = f"from_json(nullif({value}, ''), {structure})"
    # A list of one, so that each text is parsed once and not once for each field.
    name = f"parsed_{depth}"
    conversion = convert(name, inner, target, depth + 1, declared)
    if conversion == Conversion(name):
        return Conversion(parsed)
    once = f"list_transform([{parsed}], lambda {name}: "

    def of_one(checks: Checks) -> Checks:
        return {path: f"{once}{sure})[1]" for path, sure in checks.items()}

    return Conversion(
        f"{once}{conversion.value})[1]", of_one(conversion.exact), of_one(conversion.doubts)
    )


def _convert_mixed(value: str, target: Type) -> Conversion:
    """JSON of which each value may be something else, among them objects without a field."""
    if target.kind == "struct":
        empty = ", ".join(f"{quote(name)} := null" for name, _ in target.fields)
        return Conversion(
            f"case when json_type({value}) = 'OBJECT' then struct_pack({empty}) end",
            {
                (): f"(coalesce(json_type({value}), 'NULL') = 'NULL'"
                f" or (json_type({value}) = 'OBJECT' and len(json_keys({value})) = 0))"
            },
        )
    if target.kind == "list":
        raise Conflict("objects or mixed values where the lake has a list")
    return convert(f"({value} ->> '$')", Type.scalar("VARCHAR"), target)


def _convert_scalar(value: str, source: str, target: str) -> Conversion:
    if widens(Type.scalar(source), Type.scalar(target)):
        return Conversion(f"cast({value} as {target})")
    attempt, there_and_back = f"try_cast({value} as {target})", f"try_cast({value} as {target})"
    if source == "VARCHAR":
        if _is_number(target):
            return _number_from_text(value, target)
        if target in ("DATE", *TIMESTAMPS):
            return _time_from_text(value, target)
        if target == "BOOLEAN":
            fits = f"lower({value}) in ('true', 'false')"
        else:
            fits = f"{attempt} is not null"
        return Conversion(attempt, {(): f"({value} is null or {fits})"})
    # A time without an offset is UTC, the session's time zone.
    are_times = source in ("DATE", *TIMESTAMPS) and target in TIMESTAMPS
    if not are_times and not (_is_number(source) and _is_number(target)):
        raise Conflict(
            f"{words(Type.scalar(source))} where the lake has {words(Type.scalar(target))}"
        )
    # Between FLOAT and DECIMAL DuckDB computes in the precision of FLOAT, which changes digits that
    # a round trip changes back.
    if source == "FLOAT" and target.startswith("DECIMAL"):
        attempt = there_and_back = f"try_cast(cast({value} as double) as {target})"
    elif source.startswith("DECIMAL") and target == "FLOAT":
        there_and_back = f"cast({attempt} as double)"
    return Conversion(
        attempt, {(): f"(try_cast({there_and_back} as {source}) is not distinct from {value})"}
    )


def _is_number(name: str) -> bool:
    return name in (*INTEGERS, *UNSIGNED, *FLOATS) or name.startswith("DECIMAL")


def _number_from_text(value: str, target: str) -> Conversion:
    converted = f"try_cast({value} as {target})"
    # '12.7' is no integer, and '0.1' is the double that is written so: nothing was rounded away
    # when the number, written out again, has the same significant digits.
    same_digits = f"{_digits(value)} = {_digits(f'cast({converted} as varchar)')}"
    finite = f" and isfinite({converted})" if target in ("DOUBLE", "FLOAT") else ""
    return Conversion(
        converted,
        {(): f"({value} is null or ({converted} is not null{finite} and {same_digits}))"},
    )


def _digits(number: str) -> str:
    """SQL of the significant digits of a number's text."""
    mantissa = f"regexp_replace({number}, '[eE].*', '')"
    return f"trim(regexp_replace({mantissa}, '[^0-9]', '', 'g'), '0')"


def _time_from_text(value: str, target: str) -> Conversion:
    converted = f"try_cast({value} as {target})"
    # As an instant to the microsecond it is the same: no time of day and no offset was dropped.
    instant = f"cast({converted} as timestamptz)"
    fits = f"isfinite({instant}) and try_cast({value} as timestamptz) = {instant}"
    if target != "TIMESTAMP_NS":
        fits += f" and coalesce(epoch_ns(try_cast({value} as timestamp_ns)) % 1000 = 0, true)"
    return Conversion(
        converted,
        {(): f"({value} is null or ({converted} is not null and coalesce({fits}, false)))"},
    )
