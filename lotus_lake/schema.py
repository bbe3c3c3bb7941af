"""Types of columns, how a file's type fits a staging column, and how the column has to grow.

A value is never changed silently: what fits every value of a type is cast, what fits only some is
checked value by value, and the rest is a conflict that puts the file into quarantine. So it is with
what a stream declares. Any other part has the join of all types that landed, at worst text, so that
it does not matter which came first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
from duckdb.sqltypes import DuckDBPyType

_INTEGERS = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
_UNSIGNED = ["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"]
_FLOATS = ["FLOAT", "DOUBLE"]
_TIMESTAMPS = [
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE",
]

# Numbers of a JSON document. An integer may be any; a column for it is a BIGINT. Among numbers of
# which some are no integers, or longer, an integer is a double: from 2^53 on it would be rounded.
_JSON_INTEGER, _JSON_DOUBLE = "JSON INTEGER", "JSON DOUBLE"
# Objects without a field, and nothing else.
JSON_EMPTY = "JSON EMPTY"
_JSON_READ_AS = {
    "NULL": "JSON",
    JSON_EMPTY: "JSON",
    _JSON_INTEGER: "HUGEINT",
    _JSON_DOUBLE: "JSON",
}
_JSON_BECOMES = {"JSON": "VARCHAR", _JSON_INTEGER: "BIGINT", _JSON_DOUBLE: "DOUBLE"}
_LAST_EXACT_INTEGER = 2**53

# The SQL function of lotus_lake.plain_json, which the feeder registers.
PLAIN_JSON = "plain_json"


class Conflict(Exception):
    """A file's type cannot become the staging column's without loss.

    Args:
        message: Why, for a person.
        column: The file's column, when it is about one.
    """

    def __init__(self, message: str, column: str | None = None) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class Type:
    """A column's type as a tree.

    Args:
        kind: ``scalar``, ``struct``, ``list``, or ``json``: text that holds JSON of type
            ``element``.
        name: DuckDB's name of a scalar type, in capitals.
        fields: Names and types of a struct's fields.
        element: Type of a list's elements, or of the JSON in a text.
    """

    kind: str
    name: str = ""
    fields: tuple[tuple[str, Type], ...] = ()
    element: Type | None = None

    @classmethod
    def parse(cls, sql: str) -> Type:
        """Read a DuckDB type, such as ``struct(id bigint, prices double[])``.

        Raises:
            duckdb.Error: It is no type.
        """
        return cls.of(duckdb.sqltype(sql))

    @classmethod
    def of(cls, duckdb_type: DuckDBPyType) -> Type:
        """The tree of a type that DuckDB reports."""
        if duckdb_type.id not in ("struct", "list"):
            # An enumeration is a way to store text, and JSON in a file is text.
            is_text = duckdb_type.id == "enum" or str(duckdb_type) == "JSON"
            return cls.scalar("VARCHAR" if is_text else str(duckdb_type))
        parts: Any = duckdb_type.children
        if duckdb_type.id == "struct":
            return cls.struct((name, cls.of(child)) for name, child in parts)
        return cls.list_of(cls.of(parts[0][1]))

    @classmethod
    def of_json(cls, structure: Any) -> Type:
        """The tree of what DuckDB's ``json_group_structure`` reports."""
        if isinstance(structure, dict):
            return cls.struct((name, cls.of_json(child)) for name, child in structure.items())
        if isinstance(structure, list):
            return cls.list_of(cls.of_json(structure[0]) if structure else cls.scalar("NULL"))
        integers = dict.fromkeys(("BIGINT", "UBIGINT", "HUGEINT"), _JSON_INTEGER)
        names = {**integers, "DOUBLE": _JSON_DOUBLE}
        return cls.scalar(names.get(structure, structure))

    @classmethod
    def scalar(cls, name: str) -> Type:
        """A type without parts."""
        return cls("scalar", name={'"NULL"': "NULL"}.get(name, name))

    @classmethod
    def struct(cls, fields: Iterator[tuple[str, Type]] | list[tuple[str, Type]]) -> Type:
        """A struct."""
        return cls("struct", fields=tuple(fields))

    @classmethod
    def list_of(cls, element: Type) -> Type:
        """A list."""
        return cls("list", element=element)

    @classmethod
    def json_of(cls, element: Type) -> Type:
        """Text that holds JSON."""
        return cls("json", element=element)

    @property
    def _parts(self) -> list[Type]:
        return [child for _, child in self.fields] + ([self.element] if self.element else [])

    @property
    def nested(self) -> bool:
        """Whether it has parts."""
        return self.kind in ("struct", "list")

    @property
    def unknown(self) -> bool:
        """Whether nothing but nulls and empty objects was seen: no column can be made of it yet."""
        if self.nested:
            return all(part.unknown for part in self._parts)
        return self.name in ("NULL", JSON_EMPTY)

    @property
    def has_empty(self) -> bool:
        """Whether there are places where nothing but empty objects was seen."""
        return self.name == JSON_EMPTY or any(part.has_empty for part in self._parts)

    @property
    def depth(self) -> int:
        """How many structs and lists are inside each other."""
        return 1 + max((part.depth for part in self._parts), default=0) if self.nested else 0

    @property
    def size(self) -> int:
        """How many fields it has, and those have, and so on."""
        return len(self.fields) + sum(part.size for part in self._parts)

    def child(self, name: str) -> Type | None:
        """A struct's field by name; DuckDB's names ignore case."""
        return next((child for key, child in self.fields if key.lower() == name.lower()), None)

    def known(self) -> Type:
        """The type without the parts of which nothing but nulls was seen."""
        if self.kind == "struct":
            return Type.struct(
                [(key, child.known()) for key, child in self.fields if not child.unknown]
            )
        if self.kind == "list" and self.element:
            return Type.list_of(self.element.known())
        return Type.scalar(_JSON_BECOMES.get(self.name, self.name))

    def sql(self) -> str:
        """The type as DuckDB writes it."""
        if self.kind == "struct":
            fields = (f"{quote(name)} {child.sql()}" for name, child in self.fields)
            return f"STRUCT({', '.join(fields)})"
        if self.kind == "list" and self.element:
            return f"{self.element.sql()}[]"
        if self.kind == "json":
            return "VARCHAR"
        return self.known().name

    def json_structure(self) -> Any:
        """The type as DuckDB's ``from_json`` takes it."""
        if self.kind == "struct":
            return {name: child.json_structure() for name, child in self.fields}
        if self.kind == "list" and self.element:
            return [self.element.json_structure()]
        return _JSON_READ_AS.get(self.name, self.name)


def quote(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


# -- how a column grows -------------------------------------------------------------------------


def merge(target: Type, source: Type, declared: Type | None = None, *, top: bool = True) -> Type:
    """The type that a staging column needs so that it can hold a file's type too.

    Fields are added to structs, also inside lists, and a top-level number is widened within its
    family; the rest is left to :func:`convert`. Parts that are not declared are joined.

    Args:
        target: The column's type.
        source: The file's.
        declared: The type that the stream declares; the target's unless told otherwise.
        top: Whether it is a whole column.
    """
    declared = declared or target
    if source.kind == "json" and source.element is not None:
        return merge(target, source.element, declared, top=top)
    if target.kind == "struct" and source.kind == "struct":
        return _with_fields(target, source, declared)
    if target.kind == "list" and source.kind == "list" and target.element and source.element:
        return Type.list_of(_merge_part(target.element, source.element, declared.element))
    source = source.known()
    # DuckLake cannot change the type of a nested field.
    return source if top and _widens(target, source) else target


def _merge_part(target: Type, source: Type, declared: Type | None) -> Type:
    return merge(target, source, declared, top=False) if declared else join(target, source)


def join(one: Type, other: Type) -> Type:
    """The type of a part that no stream declares, of which some files have one type, some another.

    In whatever order types are joined, the result is the same. Integers among doubles, and unsigned
    ones among others, may turn out not to fit: then it is text, see :func:`carry`.
    """
    if other.unknown:
        return one
    if one.kind == "struct" and other.kind == "struct":
        return _with_fields(one, other, None)
    if one.element and other.element:
        return Type.list_of(join(one.element, other.element))
    other = other.known()
    if one == other:
        return one
    numbers = [one.name, other.name]
    if all(name in _UNSIGNED for name in numbers):
        return Type.scalar(max(numbers, key=_UNSIGNED.index))
    if all(name in (*_INTEGERS, *_UNSIGNED) for name in numbers):
        # DuckLake has nothing wider than BIGINT that keeps every integer.
        return Type.scalar(_INTEGERS[min(max(map(_signed, numbers)), 3)])
    if all(name in (*_INTEGERS, *_UNSIGNED, *_FLOATS) for name in numbers):
        return Type.scalar("DOUBLE")
    return Type.scalar("VARCHAR")


def _signed(name: str) -> int:
    """Which of the signed integers holds an integer type."""
    return _INTEGERS.index(name) if name in _INTEGERS else _UNSIGNED.index(name) + 1


def _with_fields(target: Type, source: Type, declared: Type | None) -> Type:
    """A struct with the fields of two."""
    fields = []
    for name, child in target.fields:
        other = source.child(name)
        known = declared and declared.child(name)
        fields.append((name, _merge_part(child, other, known) if other else child))
    for name, child in source.fields:
        if target.child(name) is None and not child.unknown:
            known = declared and declared.child(name)
            new = child.known()
            fields.append((name, _merge_part(known, new, known) if known else new))
    return Type.struct(fields)


def _widens(old: Type, new: Type) -> bool:
    """Whether DuckLake can change a column's type from one to the other."""
    signed = _INTEGERS[:4]
    return (old.name, new.name) == ("FLOAT", "DOUBLE") or (
        old.name in signed
        and new.name in signed
        and signed.index(new.name) > signed.index(old.name)
    )


def redeclared(old: Type, declared: Type) -> Type:
    """A staging column's type, with the declared type where it is text and was declared since."""
    if old.name == "VARCHAR":
        return declared
    if old.kind == "struct":
        return Type.struct(
            [
                (name, redeclared(child, known) if (known := declared.child(name)) else child)
                for name, child in old.fields
            ]
        )
    if old.element and declared.element:
        return Type.list_of(redeclared(old.element, declared.element))
    return old


def differs_in_list(one: Type, other: Type) -> bool:
    """Whether some list that both have is one of other elements.

    DuckDB 1.5.5 writes beyond the end of its memory where DuckLake reads the elements of such a
    list from a file as those of the table (docs/decisions/0013): never let it.
    """
    if one.kind == "list" and other.kind == "list":
        return one.sql() != other.sql()
    return any(
        differs_in_list(child, counterpart)
        for name, child in one.fields
        if (counterpart := other.child(name))
    )


def needs_writing(old: Type, new: Type) -> bool:
    """Whether a column's values have to be written anew to get from one type to the next.

    DuckLake adds fields to structs and widens whole columns; lists see :func:`differs_in_list`.
    """
    return any(
        "[]" in path or (before and (path or not _widens(before, after)))
        for path, before, after in differences(old, new)
    )


def growth(table: str, column: str, old: Type | None, new: Type) -> list[str]:
    """The ALTER statements that take a staging column from one type to the next.

    Not for types of which :func:`needs_writing` is true.
    """
    changes = [
        (".".join(map(quote, (column, *path))), before, after)
        for path, before, after in differences(old, new)
    ]
    return [
        f"alter table {table} alter column {name} set data type {after.sql()}"
        if before
        else f"alter table {table} add column {name} {after.sql()}"
        for name, before, after in changes
    ]


def differences(
    old: Type | None, new: Type, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Type | None, Type]]:
    """Every part of a type that is not as it was: its path, its type before and after.

    A step of a path is a field's name, or ``[]`` for the elements of a list. A part that is new has
    no type before, and its own parts are not told apart.
    """
    if old is not None and old.kind == "struct" and new.kind == "struct":
        for name, child in new.fields:
            yield from differences(old.child(name), child, (*path, name))
    elif old is not None and old.element and new.element:
        yield from differences(old.element, new.element, (*path, "[]"))
    elif old != new:
        yield path, old, new


def part_at(whole: Type, path: tuple[str, ...]) -> Type | None:
    """The part of a type at a path, as :func:`differences` writes it; None when there is none."""
    if whole.kind == "json" and whole.element:
        return part_at(whole.element, path)
    if not path:
        return whole
    part = whole.element if path[0] == "[]" else whole.child(path[0])
    return part_at(part, path[1:]) if part else None


# -- how a value gets into a column -------------------------------------------------------------


# The steps to a part of a value, and SQL about it.
Check: TypeAlias = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class Conversion:
    """How a file's value becomes the staging column's.

    Args:
        value: SQL of the converted value.
        exact: Places of parts of which nothing is lost if the SQL beside them is true.
        doubts: Places of parts that have to become text unless the SQL beside them is true.
    """

    value: str
    exact: tuple[Check, ...] = ()
    doubts: tuple[Check, ...] = ()

    @property
    def is_exact(self) -> str:
        """SQL that is true where nothing of any part is lost."""
        return " and ".join(sure for _, sure in self.exact) or "true"


def convert(
    value: str, source: Type, target: Type, depth: int = 0, declared: Type | None = None
) -> Conversion:
    """Convert a value from a file's type to a staging column's.

    Args:
        value: SQL of the value as the file has it.
        source: Its type.
        target: The column's type, already grown by :func:`merge`.
        depth: How many values it lies inside.
        declared: The type that the stream declares; the target's unless told otherwise.

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
    if source.name == _JSON_INTEGER:
        return convert(value, Type.scalar("HUGEINT"), target, depth)
    if source.name == _JSON_DOUBLE:
        value = f"cast({value} as double)"
        inner = convert(value, Type.scalar("DOUBLE"), target, depth)
        return Conversion(inner.value, _whole(f"({_below_last_exact(value)} and {inner.is_exact})"))

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
    """Convert a value of a part that no stream declares.

    What a value becomes does not depend on the types that its column had on the way: a text is the
    same whether its number was an integer or a double before, or its object had other fields.

    Args:
        value: SQL of the value.
        source: Its type.
        target: The type that it was joined to, see :func:`join`.
        depth: How many values it lies inside.
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
    if target.name == "DOUBLE" and source.name not in _FLOATS:
        value = f"cast({value} as double)"
        return Conversion(value, doubts=(((), _below_last_exact(value)),))
    inner = convert(value, source, target)
    return Conversion(inner.value, doubts=inner.exact)


def _text(value: str, source: Type, depth: int) -> str:
    """SQL of a value's text, which does not tell what type the value had."""
    if source.nested:
        texts = _of_texts(source.known())
        carried = carry(value, source, texts, depth).value
        return f"{PLAIN_JSON}(cast(to_json(cast({carried} as {texts.sql()})) as varchar))"
    if source.name in ("JSON", _JSON_DOUBLE):
        return f"{PLAIN_JSON}(cast({value} as varchar))"
    if source.name in _FLOATS:
        return (
            f"case when {value} = trunc({value}) and {_below_last_exact(value)}"
            f" then cast(cast({value} as bigint) as varchar)"
            f" else cast(cast({value} as double) as varchar) end"
        )
    return f"cast({value} as varchar)"


def _of_texts(type_: Type) -> Type:
    """The same structs and lists, of texts."""
    if type_.kind == "struct":
        return Type.struct([(name, _of_texts(child)) for name, child in type_.fields])
    return Type.list_of(_of_texts(type_.element)) if type_.element else Type.scalar("VARCHAR")


def _whole(sure: str) -> tuple[Check, ...]:
    """The check of a value that has no parts."""
    return (((), sure),)


def _below_last_exact(number: str) -> str:
    return f"({number} is null or abs({number}) < {_LAST_EXACT_INTEGER})"


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
    exact: list[Check] = []
    doubts: list[Check] = []
    plain = True
    for name, child in source.fields:
        field = f"{value}.{quote(name)}"
        into = target.child(name)
        if into is None:  # nothing but nulls
            plain = False
            continue
        part = _convert_part(field, child, into, depth, declared and declared.child(name))
        plain = plain and part == Conversion(field)
        parts.append(f"{quote(name)} := {part.value}")
        exact += [((name, *path), sure) for path, sure in part.exact]
        doubts += [((name, *path), sure) for path, sure in part.doubts]
    if plain:
        return Conversion(value)
    packed = f"struct_pack({', '.join(parts)})" if parts else f"cast(null as {target.sql()})"
    packed = f"case when {value} is not null then {packed} end"
    return Conversion(packed, tuple(exact), tuple(doubts))


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

    def all_of(check: str) -> str:
        return f"coalesce(list_bool_and({each}{check})), true)"

    return Conversion(
        f"{each}{inner.value})",
        *(
            tuple((("[]", *path), all_of(sure)) for path, sure in checks)
            for checks in (inner.exact, inner.doubts)
        ),
    )


def _convert_json(value: str, inner: Type, target: Type, depth: int, declared: Type) -> Conversion:
    structure = literal(json.dumps(inner.json_structure()))
    parsed = f"from_json(nullif({value}, ''), {structure})"
    # A list of one, so that each text is parsed once and not once for each field.
    name = f"parsed_{depth}"
    conversion = convert(name, inner, target, depth + 1, declared)
    if conversion == Conversion(name):
        return Conversion(parsed)
    once = f"list_transform([{parsed}], lambda {name}: "
    return Conversion(
        f"{once}{conversion.value})[1]",
        *(
            tuple((path, f"{once}{sure})[1]") for path, sure in checks)
            for checks in (conversion.exact, conversion.doubts)
        ),
    )


def _convert_mixed(value: str, target: Type) -> Conversion:
    """JSON of which each value may be something else, among them objects without a field."""
    if target.kind == "struct":
        empty = ", ".join(f"{quote(name)} := null" for name, _ in target.fields)
        return Conversion(
            f"case when json_type({value}) = 'OBJECT' then struct_pack({empty}) end",
            _whole(
                f"(coalesce(json_type({value}), 'NULL') = 'NULL'"
                f" or (json_type({value}) = 'OBJECT' and len(json_keys({value})) = 0))"
            ),
        )
    if target.kind == "list":
        raise Conflict("objects or mixed values where the lake has a list")
    return convert(f"({value} ->> '$')", Type.scalar("VARCHAR"), target)


def _convert_scalar(value: str, source: str, target: str) -> Conversion:
    if _widens(Type.scalar(source), Type.scalar(target)):
        return Conversion(f"cast({value} as {target})")
    attempt, there_and_back = f"try_cast({value} as {target})", f"try_cast({value} as {target})"
    if source == "VARCHAR":
        if _is_number(target):
            return _number_from_text(value, target)
        if target in ("DATE", *_TIMESTAMPS):
            return _time_from_text(value, target)
        if target == "BOOLEAN":
            fits = f"lower({value}) in ('true', 'false')"
        else:
            fits = f"{attempt} is not null"
        return Conversion(attempt, _whole(f"({value} is null or {fits})"))
    # A time without an offset is UTC, the session's time zone.
    are_times = source in ("DATE", *_TIMESTAMPS) and target in _TIMESTAMPS
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
        attempt, _whole(f"(try_cast({there_and_back} as {source}) is not distinct from {value})")
    )


def _is_number(name: str) -> bool:
    return name in (*_INTEGERS, *_UNSIGNED, *_FLOATS) or name.startswith("DECIMAL")


def _number_from_text(value: str, target: str) -> Conversion:
    converted = f"try_cast({value} as {target})"
    # '12.7' is no integer, and '0.1' is the double that is written so: nothing was rounded away
    # when the number, written out again, has the same significant digits.
    same_digits = f"{_digits(value)} = {_digits(f'cast({converted} as varchar)')}"
    finite = f" and isfinite({converted})" if target in ("DOUBLE", "FLOAT") else ""
    return Conversion(
        converted,
        _whole(f"({value} is null or ({converted} is not null{finite} and {same_digits}))"),
    )


def from_epoch(value: str, source: Type, target: Type) -> Conversion:
    """Convert a value that may be milliseconds since 1970, as a number or as text, to a time.

    Args:
        value: SQL of the value as the file has it.
        source: Its type.
        target: The column's type, a timestamp with time zone.

    Raises:
        Conflict: It can be neither that nor a time.
    """
    if source.name not in ("VARCHAR", *_INTEGERS, *_UNSIGNED, _JSON_INTEGER):
        return convert(value, source, target)
    text = f"cast({value} as varchar)"
    is_number = f"regexp_full_match({text}, '-?\\d+')"
    milliseconds = f"epoch_ms(try_cast({text} as bigint))::timestamptz"
    time = convert(text, Type.scalar("VARCHAR"), target)
    return Conversion(
        f"case when {is_number} then {milliseconds} else {time.value} end",
        _whole(f"case when {is_number} then {milliseconds} is not null else {time.is_exact} end"),
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
        _whole(f"({value} is null or ({converted} is not null and coalesce({fits}, false)))"),
    )


def words(type_: Type) -> str:
    """A type as messages name it: the objects of a source may have a hundred fields."""
    return {"struct": "an object", "list": "a list"}.get(type_.kind, type_.name)


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


def replace_at(source: Type, path: tuple[str, ...], new: Type) -> Type:
    """The type with the part at a path replaced."""
    if not path:
        return new
    step, *rest = path
    if step == "[]" and source.element:
        return Type.list_of(replace_at(source.element, tuple(rest), new))
    return Type.struct(
        [
            (name, replace_at(child, tuple(rest), new) if name.lower() == step.lower() else child)
            for name, child in source.fields
        ]
    )


def values_at(column: str, path: tuple[str, ...], relation: str, row: str = "null") -> str:
    """SQL that selects every value at a path, as ``value``, and ``row`` beside it."""
    query = f"select {row} as row, {quote(column)} as value from {relation}"
    for step in path:
        taken = "unnest(value)" if step == "[]" else f"value.{quote(step)}"
        query = f"select row, {taken} as value from ({query})"
    return query


def dotted(column: str, path: tuple[str, ...]) -> str:
    """A part's place as people write it: ``line_items[].price``."""
    return column + "".join(step if step == "[]" else f".{step}" for step in path)
