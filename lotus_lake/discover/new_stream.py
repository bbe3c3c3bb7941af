"""A landed stream as files of the project: declaration, staging model, first int_ model.

The files are templates; a person replaces the placeholders that say what the data means.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import yaml

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery, type_text
from lotus_lake.discover.keys import find_key
from lotus_lake.discover.names import expression_of, is_plain, plain_name, record_of
from lotus_lake.schema.types import Type

_TEMPLATES = Path(__file__).parent / "templates"
# The usual names of the time of a record's last change, the most telling first.
_CURSORS = ("updated_at", "updated", "modified_at", "datetime", "created_at", "created")


def choose(
    connection: duckdb.DuckDBPyConnection,
    found: Discovery,
    key: Sequence[str] | None,
    cursor: str | None,
) -> tuple[tuple[str, ...], str, str | None]:
    """The columns that identify a record, why these, and the one that orders its versions, proposed
    where they are None; an empty key is that of a stream without one.

    Raises:
        LakeError: The stream is declared already, a column is missing, a name is not plain, or the
            key does not tell the records apart.
    """
    if found.is_declared:
        raise LakeError(f"{found.label} is declared already.")
    if not found.columns:
        reason = f": {found.unreadable[0][1]}" if found.unreadable else ""
        raise LakeError(f"No file of {found.label} has a column{reason}.")
    names = {plain_name(name): name for name in found.columns}
    names |= {name.lower(): name for name in found.columns}
    columns = [column.strip().lower() for column in key or ()]
    names_cursor = bool(cursor)
    usual = [name for name in _CURSORS if name in names and name not in columns]
    usual = [name for name in usual if not found.columns[names[name]].nested]
    cursor = (cursor or next(iter(usual), "")).lower()
    options = [*((column, "--key") for column in columns)]
    options += [(cursor, "--cursor")] if cursor else []
    for column, option in options:
        if column not in names:
            raise LakeError(
                f"{found.label} has no column {column}: name one with {option}. "
                f"There are: {', '.join(found.columns)}."
            )
        if found.columns[names[column]].nested:
            raise LakeError(f"{found.label}: {column} is an object or a list; name a value.")
    for word in (found.source, found.stream, *(plain_name(names[name]) for name, _ in options)):
        if not is_plain(word):
            raise LakeError(
                f"'{word}' is no name for SQL: letters, digits and _ only, and no word of SQL. "
                "Have it renamed where it comes from."
            )
    order = names[cursor] if cursor else None
    if key is not None and not columns:
        return (), "no key, as asked, so there is no int_ model", order
    given = [names[column] for column in columns] or None
    return *find_key(connection, found, given, order, names_cursor), order


def write(project: Path, found: Discovery, key: tuple[str, ...], cursor: str | None) -> list[Path]:
    """Write the files, and add the stream where the project lists all of them.

    Raises:
        LakeError: A file exists already, or a list is not found. Nothing was written.
    """
    values = _values(found, key, cursor)
    landing = Path("models/landing", found.source)
    processed = Path("models/processed", found.source)
    new = {
        landing / f"{values['staging']}.py": _filled("stg.py", values),
        landing / f"{values['staging']}.yml": _filled("stg.yml", values),
    }
    if key:
        new[processed / f"{values['model']}.sql"] = _filled("int.sql", values)
        new[processed / f"{values['model']}.yml"] = _filled("int.yml", values)
    for path in new:
        if (project / path).exists():
            raise LakeError(f"{path} exists already. Nothing was written.")
    sources = landing / f"_{found.source}__sources.yml"
    known = project / sources
    before = known.read_text(encoding="utf-8") if known.exists() else _filled("source.yml", values)
    new[sources] = f"{before.rstrip()}\n{_filled('stream.yml', values)}"
    new |= _lists(project, values)
    for path, text in new.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    return list(new)


def _lists(project: Path, values: dict[str, str]) -> dict[Path, str]:
    """The files that name every stream or model, with one more; those that the project has."""
    models = project / "docs/models.md"
    lists = [
        *(
            (path, r'^ +ref\("stg_\w+"\),\n', '        ref("$staging"),\n')
            for path in project.glob("macros/**/after_feeding.sql")
        ),
        (models, r"^\| `\w+` \| `stg_.*\|\n", "| `$source` | `$staging` |\n"),
        (models, r"^\| `int_.*\|\n", "| `$model` | record of $stream |\n"),
    ]
    texts: dict[Path, str] = {}
    for path, pattern, line in lists if "selected" in values else lists[:-1]:
        if not path.exists():
            continue
        name = path.relative_to(project)
        text = texts.get(name) or path.read_text(encoding="utf-8")
        places = [match.end() for match in re.finditer(pattern, text, re.M)]
        if not places:
            raise LakeError(f"{name} has no list to add the stream to. Nothing was written.")
        added = Template(line).substitute(values)
        texts[name] = text[: places[-1]] + added + text[places[-1] :]
    return texts


def columns_text(columns: dict[str, Type]) -> str:
    return _yaml(_described(columns))


def _described(columns: dict[str, Type]) -> list[dict[str, Any]]:
    return [
        {"name": name, "data_type": type_text(type_), "description": "Say what it means."}
        for name, type_ in columns.items()
    ]


def _values(found: Discovery, key: tuple[str, ...], cursor: str | None) -> dict[str, str]:
    """What the templates say; of a stream without a key what its declaration and staging do."""
    feeder: dict[str, Any] = {
        "sync_mode": "overwrite" if found.is_airbyte and not cursor else "append",
        **({"primary_key": key[0] if len(key) == 1 else list(key)} if key else {}),
        **({"source_cursor": expression_of(cursor)} if cursor else {}),
        **({} if found.is_airbyte else {"airbyte": False}),
    }
    names = {"source": found.source, "stream": found.stream}
    declared = {
        **names,
        "staging": f"stg_{found.source}__{found.stream}",
        "model": f"int_{found.source}__{found.stream}",
        "feeder": _yaml(feeder, flow=True),
        "columns": textwrap.indent(columns_text(found.columns), " " * 10),
        "staging_tests": _filled("stg_tests.yml", names) if key else "",
    }
    return declared | (_model(found, key, cursor) if key else {})


def _model(found: Discovery, key: tuple[str, ...], cursor: str | None) -> dict[str, str]:
    record_id = f"{record_of(found.stream)}_id"
    names = {column: record_id if column.lower() == "id" else plain_name(column) for column in key}
    outputs = _outputs(found.columns, {*names.values(), *map(plain_name, key)})
    selected = [
        name if expression == name else f"{expression} as {name}"
        for name, expression in [
            *((name, expression_of(column)) for column, name in names.items()),
            *((name, expression) for name, (expression, _) in outputs.items()),
        ]
    ]
    described: list[dict[str, Any]] = [
        {**column, "data_tests": ["not_null"]}
        for column in _described({name: found.columns[column] for column, name in names.items()})
    ]
    described += _described({name: type_ for name, (_, type_) in outputs.items()})
    return {
        "keys": ", ".join(names.values()),
        "selected": textwrap.indent(",\n".join(selected), " " * 8),
        "outputs": textwrap.indent(_yaml(described), " " * 6),
        **_unit_test(found, outputs, names, cursor),
    }


def _outputs(columns: dict[str, Type], taken: set[str]) -> dict[str, tuple[str, Type]]:
    """The int_ model's columns beside its key: an expression and a type for each name.

    Values, and the fields of objects; those whose names are no words for SQL a person adds.
    """
    values = [(name, expression_of(name), type_) for name, type_ in columns.items()]
    for name, type_ in columns.items():
        if type_.kind == "struct":
            values += [
                (field, f"{expression_of(name)}.{expression_of(field)}", inner)
                for field, inner in type_.fields
            ]
    outputs: dict[str, tuple[str, Type]] = {}
    for landed, expression, type_ in values:
        name = plain_name(landed)
        if not type_.nested and is_plain(name) and name not in taken | outputs.keys():
            outputs[name] = (expression, type_)
    return outputs


def _unit_test(
    found: Discovery,
    outputs: dict[str, tuple[str, Type]],
    names: dict[str, str],
    cursor: str | None,
) -> dict[str, str]:
    """Two versions of a record. A cursor decides, however late the older version comes."""
    key = next(iter(names))
    version_type = found.columns[cursor or key]
    values = {column: _value(found.columns[column], 1) for column in names}
    literals = {column: f"'{value}'" for column, value in values.items()}
    if cursor:
        literals[cursor] = "v"
    given = [
        f"{literals.get(name, 'null')}::{type_text(type_)} as {expression_of(name)}"
        for name, type_ in found.columns.items()
        if name != key
    ]
    if found.is_airbyte:
        given += [
            "null::timestamptz as _airbyte_extracted_at",
            "generation as _airbyte_generation_id",
            "{sync_id: 1} as _airbyte_meta",
            "'a' as _airbyte_raw_id",
        ]
    newer = _value(version_type, 2)
    expected = {name: values[column] for column, name in names.items()}
    if cursor and plain_name(cursor) in outputs:
        expected[plain_name(cursor)] = newer
    return {
        "key": expression_of(key),
        "key_type": type_text(found.columns[key]),
        "given": "".join(f"{' ' * 14}{column},\n" for column in given),
        "key_value": values[key],
        "older": _value(version_type, 1),
        "newer": newer,
        "older_row": "2" if cursor else "1",
        "newer_row": "1" if cursor else "2",
        "expected": "\n          ".join(f'{name}: "{value}"' for name, value in expected.items()),
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
