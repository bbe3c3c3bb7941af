"""A stream that landed, as files of the project: declaration, staging model, first int_ model.

What the files say of the data's meaning is a placeholder that a person replaces; what they say of
its form is what landed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery
from lotus_lake.discover.yaml_text import columns_text, quote_if_needed, type_text
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
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise LakeError(
                    f"'{name}' is no name for a table: small letters, digits and _ only. Have "
                    "Airbyte call the stream or the folder so."
                )
        names = {name.lower(): name for name in found.columns}
        chosen_key = names.get((key or "id").lower())
        if not chosen_key:
            raise LakeError(
                f"{found.label} has no column {key or 'id'}: name its key with --key. There are: "
                f"{', '.join(found.columns)}."
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
        if self.key.lower() != "id":
            return self.key.lower()
        return f"{re.sub(r'ies$', 'y', self.found.stream).removesuffix('s')}_id"

    def outputs(self) -> dict[str, tuple[str, Type]]:
        """The int_ model's columns, with the expression and type of each: what is not nested, and
        the fields of objects that are not."""
        found: dict[str, tuple[str, Type]] = {
            self.key_name: (quote_if_needed(self.key), self.found.columns[self.key])
        }
        for name, type_ in self.found.columns.items():
            if name == self.key:
                continue
            if type_.kind == "struct":
                for child, inner in type_.fields:
                    if not inner.nested:
                        place = f"{quote_if_needed(name)}.{quote_if_needed(child)}"
                        short = child.lower()
                        taken = short in found or short in map(str.lower, self.found.columns)
                        found[f"{name}_{child}".lower() if taken else short] = (place, inner)
            elif not type_.nested:
                found.setdefault(name.lower(), (quote_if_needed(name), type_))
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
    feeder = {
        "sync_mode": "overwrite" if stream.is_sent_whole else "append",
        "primary_key": stream.key,
        **({"source_cursor": stream.cursor} if stream.cursor else {}),
        **({} if stream.found.is_airbyte else {"airbyte": "false"}),
    }
    settings = ", ".join(f"{name}: {value}" for name, value in feeder.items())
    source, name = stream.found.source, stream.found.stream
    return f"""\
      - name: {name}
        description: Records of {name} as they landed. Say what one of them is.
        config:
          meta:
            feeder: {{{settings}}}
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
    key = quote_if_needed(stream.key)
    lines = []
    for name, (expression, _) in stream.outputs().items():
        lines.append(f"        {expression}" + ("" if expression == name else f" as {name}"))
    body = ",\n".join(lines)
    source, name = stream.found.source, stream.found.stream
    changed = f"{{{{ changed.{stream.staging} }}}}"
    keys = f"    select {key} as {stream.key_name} from {changed}"
    if stream.is_sent_whole:
        keys = (
            f"    select {key} as {stream.key_name} from {{{{ ref('{stream.staging}') }}}}\n"
            f"    union\n    select {key} from {changed}"
        )
    version, newest = (
        ", rowid as version_id",
        f"    {{{{ newest_of('landed', '{source}', '{name}') }}}}",
    )
    if not stream.found.is_airbyte:
        cursor = f"{quote_if_needed(stream.cursor)} desc nulls last, " if stream.cursor else ""
        version = ""
        newest = f"""\
    select * from landed
    qualify row_number() over (
        partition by {key}
        order by
            {cursor}{{{{ natural_sort_key('_source_file') }}}} desc, _cursor_version desc,
            _source_row desc
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
        lines.append(f"      - name: {name}")
        lines.append(f"        data_type: {type_text(type_)}")
        lines.append(f"        description: What landed as {expression}. Say what it means.")
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
    """Two versions of a record, the older one delivered last, and a row without a key."""
    columns = dict(stream.found.columns)
    key_type = columns.pop(stream.key)
    is_text = key_type.sql() == "VARCHAR"
    key = "'k1'" if is_text else "1"
    times = ("2025-01-02", "2025-01-01")
    cursor_type = (
        columns.pop(stream.cursor) if stream.cursor and stream.cursor != stream.key else None
    )
    is_time = cursor_type is not None and cursor_type.sql() in _TIMES
    versions = (
        times if is_time or cursor_type is None or cursor_type.sql() == "VARCHAR" else ("2", "1")
    )
    selected = [
        "row_number() over () as rowid",
        f"given.k::{type_text(key_type)} as {_name(stream.key)}",
    ]
    if stream.cursor and cursor_type:
        selected.append(f"given.version::{type_text(cursor_type)} as {_name(stream.cursor)}")
    selected += [f"null::{type_text(type_)} as {_name(name)}" for name, type_ in columns.items()]
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
    # Of a stream that is sent whole, the later generation is the truth.
    rows = [
        f"({key}, '{versions[0]}', '2025-01-02', 1, 'a', 2)",
        f"({key}, '{versions[1]}', '2025-01-01', {0 if stream.is_sent_whole else 1}, 'z', 1)",
        f"(null, '{versions[0]}', '2025-01-01', 1, 'a', 3)",
    ]
    pad = " " * 14
    text = f",\n{pad}".join(selected)
    given = f",\n{pad}".join(rows)
    expected = "k1" if is_text else "1"
    return f"""\
    given:
      - input: ref('{stream.staging}')
        format: sql
        rows: |
          select
              {text}
          from (values
              {given}
          ) as given (k, version, extracted_at, generation, raw_id, place)
    expect:
      rows:
        - {{{stream.key_name}: {expected}}}
"""


def _name(name: str) -> str:
    return quote_if_needed(name)


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
