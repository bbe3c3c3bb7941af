"""Declarations as they stand in a source's YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lotus_lake.schema import Type, quote

_WIDTH = 80


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
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quote(name)


def columns_text(columns: Mapping[str, Type], indent: int = 10) -> str:
    """Columns as a list of YAML, below ``columns:`` of a source's table."""
    pad = " " * indent
    lines = []
    for name, type_ in columns.items():
        text = type_text(type_)
        lines.append(f"{pad}- name: {name}")
        if len(text) <= _WIDTH:
            lines.append(f"{pad}  data_type: {text}")
        else:
            lines += [f"{pad}  data_type: >-", *_folded(type_, f"{pad}    ")]
        lines.append(f"{pad}  description: What landed as {name}. Say what it means.")
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
