"""The type of many JSON documents, found one by one so that memory does not grow with them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from lotus_lake.probe import Limits, Unreadable
from lotus_lake.scan.names import too_deep, too_many
from lotus_lake.schema.types import JSON_EMPTY, Type

# DuckDB reads other whole numbers as doubles.
_LEAST, _TOO_GREAT = -(2**63), 2**64


@dataclass
class _Seen:
    """What was seen at one place: kinds of values, fields of objects, elements of lists."""

    kinds: set[str] = field(default_factory=set)
    fields: dict[str, _Seen] = field(default_factory=dict)
    element: _Seen | None = None

    def type(self) -> Type:
        if self.kinds == {"OBJECT"} and self.fields:
            return Type.struct([(name, seen.type()) for name, seen in self.fields.items()])
        if self.kinds == {"LIST"}:
            return Type.list_of(self.element.type() if self.element else Type.scalar("NULL"))
        if self.kinds == {"OBJECT"}:
            return Type.scalar(JSON_EMPTY)
        # As json_group_structure() names them.
        if self.kinds == {"BIGINT", "DOUBLE"}:
            return Type.of_json("DOUBLE")
        mixed = "JSON" if self.kinds else "NULL"
        return Type.of_json(next(iter(self.kinds)) if len(self.kinds) == 1 else mixed)


class Documents:
    """What is known of the documents so far; ``no_object`` is the first row that is none."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._root = _Seen()
        self._size = 0
        self._decoder = json.JSONDecoder(parse_constant=_no_number)
        self._row = 0
        self.no_object: int | None = None

    @property
    def type(self) -> Type:
        """A type that holds each of them."""
        return self._root.type()

    def add(self, text: str, row: int) -> None:
        """Take in the document of a row; Unreadable if it is no JSON, too wide or too deep."""
        self._row = row
        try:
            document = self._decoder.decode(text)
            if self.no_object is None and not isinstance(document, dict):
                self.no_object = row
            self._see(document, self._root, 0)
        except RecursionError:
            raise self._too_deep() from None
        except json.JSONDecodeError as error:
            raise self._invalid(error.msg) from error
        except UnicodeEncodeError as error:
            raise self._invalid("a name that is no text") from error
        except ValueError as error:
            raise self._invalid("a number that is too long") from error

    def _see(self, value: Any, seen: _Seen, depth: int) -> None:
        if depth > self._limits.depth and isinstance(value, dict | list):
            raise self._too_deep()
        if isinstance(value, dict):
            seen.kinds.add("OBJECT")
            for name, child in value.items():
                if name not in seen.fields:
                    name.encode()  # an escape may stand for half a character
                    seen.fields[name] = _Seen()
                    self._size += 1
                    if self._size > self._limits.columns:
                        raise too_many(f"more than {self._limits.columns:,}", self._limits)
                self._see(child, seen.fields[name], depth + 1)
        elif isinstance(value, list):
            seen.kinds.add("LIST")
            seen.element = seen.element or _Seen()
            for child in value:
                self._see(child, seen.element, depth + 1)
        elif value is not None:
            seen.kinds.add(_kind(value))

    def _invalid(self, what: str) -> Unreadable:
        # Nothing of the document's own text is told.
        return Unreadable(f"it is no valid JSON: {what} in row {self._row:,}")

    def _too_deep(self) -> Unreadable:
        return too_deep(f"row {self._row:,}", self._limits)


def _kind(value: str | bool | int | float) -> str:
    if isinstance(value, str):
        return "VARCHAR"
    if isinstance(value, bool):
        return "BOOLEAN"
    is_whole = isinstance(value, int) and _LEAST <= value < _TOO_GREAT
    return "BIGINT" if is_whole else "DOUBLE"


def _no_number(name: str) -> NoReturn:
    """JSON has no NaN and no infinity."""
    raise json.JSONDecodeError(f"{name} is no number", "", 0)
