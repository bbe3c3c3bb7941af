"""Types of columns as trees, their parts, and names and texts in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

INTEGERS = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
UNSIGNED = ["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"]
FLOATS = ["FLOAT", "DOUBLE"]
TIMESTAMPS = [
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE",
]

# Numbers of a JSON document. An integer may be any; a column for it is a BIGINT. Among numbers of
# which some are no integers, or longer, an integer is a double: from 2^53 on it would be rounded.
JSON_INTEGER, JSON_DOUBLE = "JSON INTEGER", "JSON DOUBLE"
# Objects without a field, and nothing else.
JSON_EMPTY = "JSON EMPTY"
_JSON_READ_AS = {
    "NULL": "JSON",
    JSON_EMPTY: "JSON",
    JSON_INTEGER: "HUGEINT",
    JSON_DOUBLE: "JSON",
}
_JSON_BECOMES = {"JSON": "VARCHAR", JSON_INTEGER: "BIGINT", JSON_DOUBLE: "DOUBLE"}


@dataclass(frozen=True)
class Type:
    kind: str  # scalar, struct, list, or json: text that holds JSON of type ``element``
    name: str = ""  # DuckDB's name of a scalar type, in capitals
    fields: tuple[tuple[str, Type], ...] = ()
    element: Type | None = None  # of a list, or the JSON in a text

    @classmethod
    def parse(cls, sql: str) -> Type:
        """Read a DuckDB type, such as ``struct(id bigint, prices double[])``.

        Raises:
            duckdb.Error: It is no type.
        """
        return cls.of(duckdb.sqltype(sql))

    @classmethod
    def of(cls, duckdb_type: DuckDBPyType) -> Type:
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
        if structure in ("BIGINT", "UBIGINT", "HUGEINT"):
            return cls.scalar(JSON_INTEGER)
        return cls.scalar(JSON_DOUBLE if structure == "DOUBLE" else structure)

    @classmethod
    def scalar(cls, name: str) -> Type:
        return cls("scalar", name={'"NULL"': "NULL"}.get(name, name))

    @classmethod
    def struct(cls, fields: Iterator[tuple[str, Type]] | list[tuple[str, Type]]) -> Type:
        return cls("struct", fields=tuple(fields))

    @classmethod
    def list_of(cls, element: Type) -> Type:
        return cls("list", element=element)

    @classmethod
    def json_of(cls, element: Type) -> Type:
        return cls("json", element=element)

    @property
    def _parts(self) -> list[Type]:
        return [child for _, child in self.fields] + ([self.element] if self.element else [])

    @property
    def nested(self) -> bool:
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
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def words(type_: Type) -> str:
    """A type as messages name it: the objects of a source may have a hundred fields."""
    return {"struct": "an object", "list": "a list"}.get(type_.kind, type_.name)


def dotted(column: str, path: tuple[str, ...]) -> str:
    """A part's place as people write it: ``line_items[].price``."""
    return column + "".join(step if step == "[]" else f".{step}" for step in path)


def part_at(whole: Type, path: tuple[str, ...]) -> Type | None:
    """The part of a type at a path, as :func:`differences` writes it; None when there is none."""
    if whole.kind == "json" and whole.element:
        return part_at(whole.element, path)
    if not path:
        return whole
    part = whole.element if path[0] == "[]" else whole.child(path[0])
    return part_at(part, path[1:]) if part else None


def replace_at(source: Type, path: tuple[str, ...], new: Type) -> Type:
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
