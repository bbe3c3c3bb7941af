"""Declarations as they stand in a source's YAML."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import duckdb
import yaml

from lotus_lake.schema import Type, quote

_WIDTH = 80


@cache
def _words() -> frozenset[str]:
    """Words of SQL that DuckDB takes for a column's name only in quotes."""
    with duckdb.connect() as connection:
        found = connection.sql(
            "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
            " or (keyword_category = 'type_function' and keyword_name not in"
            " ('columns', 'generated', 'map', 'struct', 'try_cast'))"
        ).fetchall()
    return frozenset(word for (word,) in found)


def yaml_text(value: Any) -> str:
    """A value on one line of YAML, with quotes where it would be read as something else."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")


def type_text(type_: Type) -> str:
    """A type as the project writes it: ``struct(id bigint, prices double[])``."""
    if type_.kind == "struct":
        fields = ", ".join(
            f"{quote_if_needed(name)} {type_text(one)}" for name, one in type_.fields
        )
        return f"struct({fields})"
    if type_.kind == "list" and type_.element:
        return f"{type_text(type_.element)}[]"
    return type_.sql().lower()


def quote_if_needed(name: str) -> str:
    """A name in SQL, with quotes only where it needs them."""
    return name if is_plain(name) else quote(name)


def column_sql(name: str) -> str:
    """A column in a model's SQL, where the capitals of A to Z do not matter."""
    small = re.sub("[A-Z]", lambda letter: letter[0].lower(), name)
    return small if is_plain(small) else quote(name)


def is_plain(name: str) -> bool:
    """Whether SQL takes a name as it is, in small letters."""
    is_word = re.fullmatch(r"[^\W\d]\w*", name) and not re.search("[A-Z]", name)
    return bool(is_word) and name not in _words()


def columns_text(
    columns: Mapping[str, Type], indent: int = 10, described: Collection[str] = ()
) -> str:
    """Columns as a list of YAML, below ``columns:`` of a source's table.

    Args:
        columns: The columns.
        indent: Where the list stands.
        described: Columns that have a description already.
    """
    pad = " " * indent
    lines = []
    for name, type_ in columns.items():
        text = type_text(type_)
        lines.append(f"{pad}- name: {yaml_text(name)}")
        if len(text) <= _WIDTH:
            lines.append(f"{pad}  data_type: {yaml_text(text)}")
        else:
            lines += [f"{pad}  data_type: >-", *_folded(type_, f"{pad}    ")]
        if name in described:
            continue
        lines.append(
            f"{pad}  description: {yaml_text(f'What landed as {name}. Say what it means.')}"
        )
    return "\n".join(lines) + "\n"


def _folded(type_: Type, pad: str) -> list[str]:
    """A long type over several lines, one field each, as YAML folds them."""
    suffix, inner = "", type_
    while inner.kind == "list" and inner.element:
        suffix, inner = f"{suffix}[]", inner.element
    if inner.kind != "struct":
        return [f"{pad}{type_text(type_)}"]
    lines = [f"{pad}struct("]
    last = len(inner.fields) - 1
    for place, (name, child) in enumerate(inner.fields):
        comma = "" if place == last else ","
        text = f"{quote_if_needed(name)} {type_text(child)}"
        if len(text) <= _WIDTH or not child.nested:
            lines.append(f"{pad}  {text}{comma}")
        else:
            below = _folded(child, f"{pad}  ")
            below[0] = f"{pad}  {quote_if_needed(name)} {below[0].strip()}"
            below[-1] += comma
            lines += below
    return [*lines, f"{pad}){suffix}"]
