"""A landed stream as files of the project: declaration, staging model, first int_ model.

The files are templates; a person replaces the placeholders that say what the data means.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import yaml

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery, type_text
from lotus_lake.schema import Type

_TEMPLATES = Path(__file__).parent / "templates"
# The usual names of the time of a record's last change, the most telling first.
_CURSORS = ("updated_at", "updated", "modified_at", "datetime", "created_at", "created")


def choose(found: Discovery, key: str | None, cursor: str | None) -> tuple[str, str | None]:
    """The columns that identify a record and order its versions, guessed where not named.

    Raises:
        LakeError: The stream is declared already, a column is missing, or a name is not plain.
    """
    if found.is_declared:
        raise LakeError(f"{found.label} is declared already, in models/landing/{found.source}.")
    if not found.columns:
        reason = f": {found.unreadable[0][1]}" if found.unreadable else ""
        raise LakeError(f"No file of {found.label} has a column{reason}.")
    names = {name.lower(): name for name in found.columns}
    key = (key or "id").lower()
    cursor = (cursor or next((name for name in _CURSORS if name in names), "")).lower()
    for column, option in ((key, "KEY=... (--key)"), (cursor, "CURSOR=... (--cursor)")):
        if column and column not in names:
            raise LakeError(
                f"{found.label} has no column {column}: name one with {option}. "
                f"There are: {', '.join(found.columns)}."
            )
    for name in filter(None, (found.source, found.stream, key, cursor)):
        if not _is_plain(name):
            raise LakeError(
                f"'{name}' is no name for SQL: letters, digits and _ only, and no word of SQL. "
                "Have it renamed where it comes from."
            )
    return names[key], names[cursor] if cursor else None


def write(project: Path, found: Discovery, key: str, cursor: str | None) -> list[Path]:
    """Write the files, and add the stream where the project lists all of them.

    Raises:
        LakeError: A file exists already, or a list is not found. Nothing was written.
    """
    values = _values(found, key, cursor)
    landing, processed = f"models/landing/{found.source}", f"models/processed/{found.source}"
    staging, model = values["staging"], values["model"]
    sql = "int_airbyte.sql" if found.is_airbyte else "int_plain.sql"
    new = {
        f"{landing}/{staging}.py": _filled("stg.py", values),
        f"{landing}/{staging}.yml": _filled("stg.yml", values),
        f"{processed}/{model}.sql": _filled(sql, values),
        f"{processed}/{model}.yml": _filled("int.yml", values),
    }
    for path in new:
        if (project / path).exists():
            raise LakeError(f"{path} exists already. Nothing was written.")
    sources = f"{landing}/_{found.source}__sources.yml"
    known = project / sources
    before = known.read_text(encoding="utf-8") if known.exists() else _filled("source.yml", values)
    new[sources] = f"{before.rstrip()}\n{_filled('stream.yml', values)}"
    new |= _lists(project, values)
    for path, text in new.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    return [Path(path) for path in new]


def _lists(project: Path, values: dict[str, str]) -> dict[str, str]:
    """The files that name every stream or model, with one more."""
    models, waiting = "docs/models.md", "macros/feeder/after_feeding.sql"
    files = {path: (project / path).read_text(encoding="utf-8") for path in (models, waiting)}
    for path, pattern, line in (
        (waiting, r'^ +ref\("stg_\w+"\),\n', '        ref("$staging"),\n'),
        (models, r"^\| `\w+` \| `stg_.*\|\n", "| `$source` | `$staging` |\n"),
        (models, r"^\| `int_.*\|\n", "| `$model` | record of $stream |\n"),
    ):
        text = files[path]
        places = [match.end() for match in re.finditer(pattern, text, re.M)]
        if not places:
            raise LakeError(f"{path} has no list to add the stream to. Nothing was written.")
        added = Template(line).substitute(values)
        files[path] = text[: places[-1]] + added + text[places[-1] :]
    return files


def columns_text(columns: dict[str, Type]) -> str:
    """Columns as YAML of a source or a model."""
    return _yaml(
        [
            {"name": name, "data_type": type_text(type_), "description": "Say what it means."}
            for name, type_ in columns.items()
        ]
    )


def _values(found: Discovery, key: str, cursor: str | None) -> dict[str, str]:
    """What the templates say."""
    feeder: dict[str, Any] = {
        "sync_mode": "overwrite" if found.is_airbyte and not cursor else "append",
        "primary_key": key,
        **({"source_cursor": cursor} if cursor else {}),
        **({} if found.is_airbyte else {"airbyte": False}),
    }
    record = re.sub(r"ies$", "y", found.stream).removesuffix("s")
    key_name = f"{record}_id" if key.lower() == "id" else key.lower()
    outputs = _outputs(found.columns, {key, key_name})
    selected = [key_name if key.lower() == key_name else f"{key.lower()} as {key_name}", *outputs]
    described = {expression.split(".")[-1]: type_ for expression, type_ in outputs.items()}
    return {
        "source": found.source,
        "stream": found.stream,
        "staging": f"stg_{found.source}__{found.stream}",
        "model": f"int_{found.source}__{found.stream}",
        "feeder": _yaml(feeder, flow=True),
        "columns": textwrap.indent(columns_text(found.columns), " " * 10),
        "key": key.lower(),
        "key_name": key_name,
        "key_type": type_text(found.columns[key]),
        "order": f"{cursor.lower()} desc nulls last,\n            " if cursor else "",
        "selected": textwrap.indent(",\n".join(selected), " " * 8),
        "outputs": textwrap.indent(columns_text(described), " " * 6) if described else "",
        **_unit_test(found, outputs, key, cursor),
    }


def _outputs(columns: dict[str, Type], taken: set[str]) -> dict[str, Type]:
    """The int_ model's expressions beside its key, with their types.

    Values and the fields of objects whose names SQL takes as they are; a person adds the rest.
    """
    values = dict(columns)
    for name, type_ in columns.items():
        if type_.kind == "struct" and _is_plain(name):
            values |= {f"{name}.{field}": inner for field, inner in type_.fields}
    outputs = {}
    for expression, type_ in values.items():
        name = expression.split(".")[-1]
        if not type_.nested and _is_plain(name) and name not in taken:
            outputs[expression] = type_
            taken.add(name)
    return outputs


def _unit_test(
    found: Discovery, outputs: dict[str, Type], key: str, cursor: str | None
) -> dict[str, str]:
    """Two versions of a record. A cursor decides, however late the older version comes."""
    version_type = found.columns[cursor or key]
    given = [f"v::{type_text(version_type)} as {cursor}"] if cursor else []
    read = {expression.split(".")[0] for expression in outputs} - {cursor}
    given += [f"null::{type_text(found.columns[name])} as {name}" for name in sorted(read)]
    if found.is_airbyte:
        given += [
            "null::timestamptz as _airbyte_extracted_at",
            "generation as _airbyte_generation_id",
            "{sync_id: 1} as _airbyte_meta",
            "'a' as _airbyte_raw_id",
        ]
    newer = _value(version_type, 2)
    return {
        "given": "".join(f"{' ' * 14}{column},\n" for column in given),
        "key_value": _value(found.columns[key], 1),
        "older": _value(version_type, 1),
        "newer": newer,
        "older_row": "2" if cursor else "1",
        "newer_row": "1" if cursor else "2",
        "expected": f'\n          {cursor}: "{newer}"' if cursor in outputs else "",
    }


def _value(type_: Type, number: int) -> str:
    """A value of a type as text; a higher number is a greater value."""
    if type_.name.startswith(("DATE", "TIME")):
        return f"2025-01-0{number}"
    return f"{'0' * 8}-0000-0000-0000-{number:012}" if type_.name == "UUID" else str(number)


class _Dumper(yaml.SafeDumper):
    """Indents lists below their names, as the project's YAML does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _yaml(value: Any, flow: bool = False) -> str:
    """YAML, in one line with ``flow``."""
    options: dict[str, Any] = {"Dumper": _Dumper, "sort_keys": False, "allow_unicode": True}
    width = float("inf") if flow else 100
    return str(yaml.dump(value, default_flow_style=flow, width=width, **options)).rstrip("\n")


def _filled(name: str, values: dict[str, str]) -> str:
    template = (_TEMPLATES / f"{name}.tmpl").read_text(encoding="utf-8")
    return Template(template).substitute(values)


def _is_plain(name: str) -> bool:
    """Whether SQL takes a name as it is."""
    return bool(re.fullmatch(r"[a-z_][a-z0-9_]*", name)) and name not in _reserved()


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as connection:
        words = connection.sql(
            "select keyword_name from duckdb_keywords()"
            " where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(word for (word,) in words)
