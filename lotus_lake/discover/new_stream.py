"""A stream that landed, as files of the project: declaration, staging model, first int_ model.

What the files say of the data's meaning is a placeholder that a person replaces; what they say of
its form is what landed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery
from lotus_lake.discover.yaml_text import (
    column_sql,
    columns_text,
    is_plain,
    type_text,
    yaml_text,
)
from lotus_lake.schema import Type

# What sources call the time of a record's last change, the most telling first.
_CURSORS = ("updated_at", "updated", "modified_at", "datetime", "created_at", "created")
_TIMES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")


@dataclass(frozen=True)
class NewStream:
    """A stream that is to be added.

    Args:
        found: What landed of it.
        key: The column that identifies a record.
        cursor: The column that orders the versions of a record; None for one that is sent whole.
    """

    found: Discovery
    key: str
    cursor: str | None

    @classmethod
    def of(cls, found: Discovery, key: str | None, cursor: str | None) -> NewStream:
        """Choose key and cursor where nobody has.

        Raises:
            LakeError: It is declared already, nothing of it can be read, or a column is not there.
        """
        if found.is_declared:
            raise LakeError(f"{found.label} is declared already, in models/landing/{found.source}.")
        if not found.columns:
            reason = f": {found.unreadable[0][1]}" if found.unreadable else ""
            raise LakeError(f"No file of {found.label} has a column{reason}.")
        for name in (found.source, found.stream):
            if not (re.fullmatch(r"[a-z][a-z0-9_]*", name) and is_plain(name)):
                raise LakeError(
                    f"'{name}' is no name for a table: small letters, digits and _ only, and no "
                    "word of SQL. Have Airbyte call the stream or the folder so."
                )
        names = {name.lower(): name for name in found.columns}
        chosen_key = names.get((key or "id").lower())
        if not chosen_key:
            raise LakeError(
                f"{found.label} has no column {key or 'id'}: name its key with KEY=... (--key). "
                f"There are: {', '.join(found.columns)}."
            )
        if not is_plain(chosen_key.lower()):
            raise LakeError(
                f"'{chosen_key}' of {found.label} is no name for a key: letters, digits and _ "
                "only, and no word of SQL. Name another with KEY=... (--key), or have it renamed."
            )
        if cursor and cursor.lower() not in names:
            raise LakeError(
                f"{found.label} has no column {cursor}. There are: {', '.join(found.columns)}."
            )
        guessed = next((names[name] for name in _CURSORS if name in names), None)
        return cls(found, chosen_key, names[cursor.lower()] if cursor else guessed)

    @property
    def is_sent_whole(self) -> bool:
        """Whether only a later generation says what is newer."""
        return self.found.is_airbyte and not self.cursor

    @property
    def staging(self) -> str:
        """The staging model."""
        return f"stg_{self.found.source}__{self.found.stream}"

    @property
    def processed(self) -> str:
        """The first int_ model."""
        return f"int_{self.found.source}__{self.found.stream}"

    @property
    def key_name(self) -> str:
        """The key in the int_ model: ``order_id`` for ``id`` of ``orders``."""
        return self._output_name(self.key) if self.key.lower() != "id" else f"{self._record}_id"

    @property
    def _record(self) -> str:
        """What a record is called: ``order`` for ``orders``."""
        return re.sub(r"ies$", "y", self.found.stream).removesuffix("s")

    def _output_name(self, name: str) -> str:
        """A column's name in the int_ model: letters, digits and _, and no word of SQL."""
        letters = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
        plain = re.sub(r"\W+", "_", letters).strip("_")
        return plain if is_plain(plain) else f"{self._record}_{plain}".rstrip("_")

    def outputs(self) -> dict[str, tuple[str, Type]]:
        """The int_ model's columns, with the expression and type of each: what is not nested, and
        the fields of objects that are not."""
        found = {self.key_name: (column_sql(self.key), self.found.columns[self.key])}

        taken = {name.lower() for name in self.found.columns}

        def add(names: list[str], expression: str, type_: Type) -> None:
            numbered = (f"{names[-1]}_{number}" for number in count(2))
            found[next(one for one in chain(names, numbered) if one not in found)] = (
                expression,
                type_,
            )

        objects = []
        for name, type_ in self.found.columns.items():
            if type_.kind == "struct":
                objects.append((name, type_))
            elif not type_.nested and name != self.key:
                add([self._output_name(name)], column_sql(name), type_)
        for name, type_ in objects:
            for child, inner in type_.fields:
                if not inner.nested:
                    names = [self._output_name(one) for one in (child, f"{name}_{child}")]
                    names = names[child.lower() in taken :]
                    add(names, f"{column_sql(name)}.{column_sql(child)}", inner)
        return found


def write(project: Path, stream: NewStream) -> list[Path]:
    """Write the files, and name the stream where the project lists all of them.

    Args:
        project: The project's folder.
        stream: The stream.

    Returns:
        The files that were written or changed, relative to the project.

    Raises:
        LakeError: A file is there already, or the place to change is not found. Then nothing was
            written.
    """
    source, name = stream.found.source, stream.found.stream
    landing, processed = f"models/landing/{source}", f"models/processed/{source}"
    new = {
        f"{landing}/{stream.staging}.py": _staging_model(source, name),
        f"{landing}/{stream.staging}.yml": _staging_yaml(stream),
        f"{processed}/{stream.processed}.sql": _processed_model(stream),
        f"{processed}/{stream.processed}.yml": _processed_yaml(stream),
    }
    for path in new:
        if (project / path).exists():
            raise LakeError(f"{path} is there already. Nothing was written.")
    declaration = f"{landing}/_{source}__sources.yml"
    if (project / declaration).exists():
        before = (project / declaration).read_text(encoding="utf-8").rstrip() + "\n"
    else:
        before = _SOURCE.format(source=source)
    new[declaration] = before + _declaration(stream)
    new["macros/feeder/after_feeding.sql"] = _waited_for(project, stream)
    new["docs/models.md"] = _listed(project, stream)
    for path, text in new.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")
    return [Path(path) for path in new]


_SOURCE = """\
version: 2

sources:
  - name: {source}
    # The relation of a source is its declaration: see macros/feeder/declare_streams.sql.
    database: memory
    description: >
      Source {source}, as its folder in the landing zone is called. Say what it is.
    tables:
"""


def _declaration(stream: NewStream) -> str:
    feeder: dict[str, Any] = {
        "sync_mode": "overwrite" if stream.is_sent_whole else "append",
        "primary_key": stream.key,
        **({"source_cursor": column_sql(stream.cursor)} if stream.cursor else {}),
        **({} if stream.found.is_airbyte else {"airbyte": False}),
    }
    source, name = stream.found.source, stream.found.stream
    return f"""\
      - name: {name}
        description: Records of {name} as they landed. Say what one of them is.
        config:
          meta:
            feeder: {yaml_text(feeder)}
          freshness:
            warn_after: {{count: 72, period: hour}}
          loaded_at_query: >
            select max(loaded_at) from lakehouse.meta.feeder_files
            where source = '{source}' and stream = '{name}' and status = 'loaded'
        columns:
{columns_text(stream.found.columns)}"""


def _staging_model(source: str, name: str) -> str:
    return f"""\
from lotus_lake.feeder import feed


def model(dbt, session):
    dbt.config(materialized="incremental")
    return feed(session, dbt.source("{source}", "{name}"))
"""


def _staging_yaml(stream: NewStream) -> str:
    return f"""\
version: 2

models:
  - name: {stream.staging}
    description: >
      Every record of {stream.found.stream} as it landed, one row for each delivery of each version.
      Append-only; duplicates included. The other columns are those of the source.
    columns:
      - name: _source_file
        description: "{{{{ doc('source_file') }}}}"
        data_tests:
          - not_null
      - name: _source_row
        description: "{{{{ doc('source_row') }}}}"
      - name: _cursor_version
        description: "{{{{ doc('cursor_version') }}}}"
"""


def _processed_model(stream: NewStream) -> str:
    key = column_sql(stream.key)
    lines = []
    for name, (expression, _) in stream.outputs().items():
        # The name is as landed, capitals included, unless it is said.
        is_named = expression == name and name in stream.found.columns
        lines.append(f"        {expression}" + ("" if is_named else f" as {name}"))
    body = ",\n".join(lines)
    source, name = stream.found.source, stream.found.stream
    changed = f"{{{{ changed.{stream.staging} }}}}"
    named = key if key == stream.key_name else f"{key} as {stream.key_name}"
    keys = f"    select {named} from {changed}"
    if stream.is_sent_whole:
        keys = (
            f"    select {named} from {{{{ ref('{stream.staging}') }}}}\n"
            f"    union\n    select {key} from {changed}"
        )
    version, newest = (
        ", rowid as version_id",
        f"    {{{{ newest_of('landed', '{source}', '{name}') }}}}",
    )
    if not stream.found.is_airbyte:
        cursor = f"{column_sql(stream.cursor)} desc nulls last" if stream.cursor else ""
        version = ""
        order = ",\n            ".join(
            [
                *([cursor] if cursor else []),
                "{{ natural_sort_key('_source_file') }} desc",
                "_cursor_version desc",
                "_source_row desc",
            ]
        )
        newest = f"""\
    select * from landed
    qualify row_number() over (
        partition by {key}
        order by
            {order}
    ) = 1"""
    materialized = "" if version == "" else " not materialized"
    return f"""\
{{% call(changed) recompute('{stream.key_name}', [ref('{stream.staging}')]) %}}
{keys}
{{% endcall %}}

with

landed as{materialized} (
    select *{version} from {{{{ ref('{stream.staging}') }}}}
    where {key} is not null and {{{{ to_recompute('{key}') }}}}
),

newest as (
{newest}
),

final as (
    select
{body}
    from newest
)

select * from final
"""


def _processed_yaml(stream: NewStream) -> str:
    lines = []
    for name, (expression, type_) in stream.outputs().items():
        lines.append(f"      - name: {yaml_text(name)}")
        lines.append(f"        data_type: {yaml_text(type_text(type_))}")
        what = f"What landed as {expression}. Say what it means."
        lines.append(f"        description: {yaml_text(what)}")
        if name == stream.key_name:
            lines += ["        data_tests:", "          - unique", "          - not_null"]
    columns = "\n".join(lines)
    return f"""\
version: 2

models:
  - name: {stream.processed}
    description: One row for each record of {stream.found.stream}, its newest version.
    columns:
{columns}

unit_tests:
  - name: {stream.processed}_newest_version
    model: {stream.processed}
    description: The newest version of each record; rows without a key are left out.
{_unit_test(stream)}"""


def _unit_test(stream: NewStream) -> str:
    """Two versions of a record, and a row without a key."""
    columns = dict(stream.found.columns)
    key_type = columns.pop(stream.key)
    outputs = {expression: name for name, (expression, _) in stream.outputs().items()}
    # What tells the versions apart: the cursor, or else any column that the model has.
    apart = [name for name in [stream.cursor, *columns] if name in columns]
    version = next((name for name in apart if column_sql(name) in outputs), None)
    version_type = columns.pop(version) if version else Type.scalar("BIGINT")
    key, older, newer = _value(key_type, 1), _value(version_type, 1), _value(version_type, 2)
    selected = [
        "row_number() over () as rowid",
        f"given.k::{type_text(key_type)} as {column_sql(stream.key)}",
    ]
    if version:
        selected.append(f"given.v::{type_text(version_type)} as {column_sql(version)}")
    selected += [
        f"null::{type_text(type_)} as {column_sql(name)}" for name, type_ in columns.items()
    ]
    if stream.found.is_airbyte:
        selected += [
            "given.extracted_at::timestamptz as _airbyte_extracted_at",
            "given.generation as _airbyte_generation_id",
            "{sync_id: 1} as _airbyte_meta",
            "given.raw_id as _airbyte_raw_id",
        ]
    selected += [
        "'file' as _source_file",
        "given.place as _source_row",
        "1 as _cursor_version",
    ]
    # With a cursor it decides, however late the older version comes; without one, what came last.
    # Of a stream that is sent whole, the later generation is the truth.
    late, early = ("2025-01-03", 3), ("2025-01-01", 1)
    (old_day, old_place), (new_day, new_place) = (late, early) if stream.cursor else (early, late)
    rows = [
        f"('{key}', '{newer}', '{new_day}', 1, 'a', {new_place})",
        f"('{key}', '{older}', '{old_day}', {int(not stream.is_sent_whole)}, 'z', {old_place})",
        f"(null, '{newer}', '2025-01-02', 1, 'b', 2)",
    ]
    pad = " " * 14
    text = f",\n{pad}".join(selected)
    given = f",\n{pad}".join(rows)
    expected = {stream.key_name: key}
    if version:
        expected[outputs[column_sql(version)]] = newer
    return f"""\
    given:
      - input: ref('{stream.staging}')
        format: sql
        rows: |
          select
              {text}
          from (values
              {given}
          ) as given (k, v, extracted_at, generation, raw_id, place)
    expect:
      rows:
        - {yaml_text(expected)}
"""


def _value(type_: Type, number: int) -> str:
    """A value of a type as text; a higher number is a later or greater value."""
    if type_.name in _TIMES:
        return f"2025-01-0{number}"
    if type_.name == "BOOLEAN":
        return ("false", "true")[number - 1]
    if type_.name == "UUID":
        return f"00000000-0000-0000-0000-00000000000{number}"
    return f"v{number}" if type_.name == "VARCHAR" else str(number)


def _waited_for(project: Path, stream: NewStream) -> str:
    """``after_feeding``, which names every staging model."""
    path = project / "macros/feeder/after_feeding.sql"
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r'^ +ref\("stg_\w+"\),\n', text, re.M)
    if not lines:
        raise LakeError(f"{path} has no list of staging models. Nothing was written.")
    new = f'        ref("{stream.staging}"),\n'
    return text.replace("".join(lines), "".join(sorted([*lines, new])))


def _listed(project: Path, stream: NewStream) -> str:
    """``docs/models.md``, which lists every table."""
    path = project / "docs/models.md"
    text = path.read_text(encoding="utf-8")
    row = re.search(rf"^\| `{stream.found.source}` \| .*stg_.*\|$", text, re.M)
    if row:
        text = text.replace(row[0], f"{row[0].removesuffix(' |')}, `{stream.staging}` |")
    else:
        rows = re.findall(r"^\| `\w+` \| `stg_.*\|\n", text, re.M)
        text = text.replace(
            rows[-1], f"{rows[-1]}| `{stream.found.source}` | `{stream.staging}` |\n"
        )
    tables = re.findall(r"^\| `int_.*\|\n", text, re.M)
    what = f"record of {stream.found.stream}"
    return text.replace(tables[-1], f"{tables[-1]}| `{stream.processed}` | {what} |\n")
