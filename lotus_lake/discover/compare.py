"""What landed beside what is declared: streams, columns, nested fields, types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.discover.texts import written_types
from lotus_lake.feeder.fitting import Columns, Fitter, Group, Quarantine
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.probe import Probe, Prober
from lotus_lake.schema import Type, differences, merge
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

# Of a stream's files, so many are looked into: the oldest, the newest, and others in between.
FILES = 20

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


class UnknownStream(LakeError):
    """A stream that neither landed nor is declared."""


@dataclass(frozen=True)
class Part:
    """A column or nested field.

    Args:
        name: As people write it: ``line_items[].price``.
        declared: Its declared type; None when it is not declared.
        landed: The type that landed; None when it never did.
        path: The first file that had it so; empty when none did.
    """

    name: str
    declared: Type | None
    landed: Type | None
    path: str = ""


@dataclass
class Discovery:
    """A stream.

    Args:
        source, stream: Its names.
        files: How many files there are.
        looked_into: How many of them were looked into.
        is_declared: Whether a dbt source declares it.
        columns: What landed, Airbyte's own columns left out; of a column that is declared, the
            declared type with what else landed in it.
        is_airbyte: Whether Airbyte's own columns landed.
        parts: What is not as declared.
        unreadable: Files that cannot be fed, and why.
    """

    source: str
    stream: str
    files: int = 0
    looked_into: int = 0
    is_declared: bool = True
    columns: dict[str, Type] = field(default_factory=dict)
    is_airbyte: bool = False
    parts: list[Part] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.stream}"

    @property
    def undeclared(self) -> list[Part]:
        """What landed and is not declared."""
        return [part for part in self.parts if part.declared is None]

    @property
    def missing(self) -> list[Part]:
        """What is declared and was in no file that was looked into."""
        return [part for part in self.parts if part.landed is None]

    @property
    def different(self) -> list[Part]:
        """What landed with another type than the declared one."""
        return [part for part in self.parts if part.declared and part.landed]

    @property
    def in_step(self) -> bool:
        """Whether nothing is to be said of it."""
        return self.is_declared and not self.parts and not self.unreadable


def discover(
    connection: duckdb.DuckDBPyConnection,
    landing: Landing,
    declared: Mapping[str, Stream],
    only: Sequence[str] = (),
    files: int = FILES,
) -> list[Discovery]:
    """Compare every stream.

    Args:
        connection: DuckDB connection, for its view of schemas.
        landing: The landing zone.
        declared: The declared streams, by label.
        only: Labels of the streams to look at; all if empty.
        files: How many files of each stream to look into; 0 for all of them.

    Raises:
        UnknownStream: There is no such stream.
        LakeError: The landing zone cannot be read.
    """
    folders = {f"{source}.{stream}": (source, stream) for source, stream in landing.streams()}
    for label, one in declared.items():
        folders.setdefault(label, (one.source, one.name))
    for label in only:
        if label not in folders:
            raise UnknownStream(
                f"There is no stream {label}, neither landed nor declared. There are: "
                f"{', '.join(sorted(folders))}."
            )
    return [
        _look(connection, landing, declared.get(label), *folders[label], files)
        for label in sorted(folders)
        if not only or label in only
    ]


def _look(
    connection: duckdb.DuckDBPyConnection,
    landing: Landing,
    stream: Stream | None,
    source: str,
    name: str,
    files: int,
) -> Discovery:
    listed = landing.files(f"{source}/{name}/")
    chosen = _spread(listed, files)
    found = Discovery(source, name, len(listed), len(chosen), is_declared=stream is not None)
    declared = _own(stream) if stream else {}
    own = Type.struct(list(declared.items()))
    # Capitals do not tell columns apart.
    names = {name.lower(): name for name in declared}
    prober = Prober(landing, stream.limits if stream else None)
    landed = Type.struct([])
    # By name and type, in the order of the files.
    other: dict[tuple[str, str], Part] = {}
    for file, probe in prober.probe(chosen):
        if not isinstance(probe, Probe):
            found.unreadable.append((file.path, str(probe)))
            continue
        found.is_airbyte = found.is_airbyte or not AIRBYTE_COLUMNS.keys().isdisjoint(probe.schema)
        schema = {
            column: type_
            for column, type_ in _types(connection, prober, probe, declared).items()
            if column not in AIRBYTE_COLUMNS and not type_.unknown
        }
        for column, type_ in schema.items():
            known = names.setdefault(column.lower(), column)
            before = found.columns.get(known, declared.get(known))
            grow = merge if known in declared else common
            found.columns[known] = grow(before, type_) if before else type_
        if stream:
            refused = _refused(connection, stream, landing, prober, probe)
            if refused:
                found.unreadable.append((file.path, refused))
            row = Type.struct(list(schema.items()))
            landed = common(landed, row)
            for path, before, after in differences(own, row):
                if before and not _has_no_types(probe, before, after):
                    part = Part(dotted(path), before, after, file.path)
                    other.setdefault((part.name, after.sql()), part)
    if stream:
        found.parts = [*other.values(), *_apart(own, found.columns, landed)]
    return found


def _own(stream: Stream) -> dict[str, Type]:
    """The declared columns, without those that Airbyte adds by itself."""
    return {
        name: type_
        for name, type_ in stream.columns.items()
        if not (stream.airbyte and name in AIRBYTE_COLUMNS)
    }


def _types(
    connection: duckdb.DuckDBPyConnection,
    prober: Prober,
    probe: Probe,
    declared: Collection[str],
) -> dict[str, Type]:
    """A file's columns; text that nobody declared has the type that its values are written in."""
    is_declared = {name.lower() for name in declared}
    types = {column: type_.known() for column, type_ in probe.schema.items() if not type_.unknown}
    texts = [
        column
        for column, type_ in types.items()
        if probe.format != "parquet"
        and type_.name == "VARCHAR"
        and column.lower() not in is_declared
        and column not in AIRBYTE_COLUMNS
    ]
    return types | written_types(connection, prober, probe, texts)


def common(one: Type, other: Type) -> Type:
    """The type of a column that landed as both: what the feeder can take either into."""
    if one.kind == "struct" and other.kind == "struct":
        fields = [
            (name, common(child, same) if (same := other.child(name)) else child)
            for name, child in one.fields
        ]
        return Type.struct([*fields, *((n, c) for n, c in other.fields if one.child(n) is None)])
    if one.element and other.element:
        return Type.list_of(common(one.element, other.element))
    if one == other or (one.nested and other.name == "VARCHAR"):
        return one  # An object may land as a text of JSON.
    if other.nested and one.name == "VARCHAR":
        return other
    types = {one.name, other.name}
    if types <= set(_INTEGERS):
        return max(one, other, key=lambda type_: _INTEGERS.index(type_.name))
    if is_number(one) and is_number(other):
        return Type.scalar("DOUBLE")
    if all(name == "DATE" or name.startswith("TIMESTAMP") for name in types):
        return Type.scalar("TIMESTAMP WITH TIME ZONE")
    return Type.scalar("VARCHAR")


def _refused(
    connection: duckdb.DuckDBPyConnection,
    stream: Stream,
    landing: Landing,
    prober: Prober,
    probe: Probe,
) -> str | None:
    """Why the feeder would not feed a file into the declared columns."""
    quarantine = Quarantine()
    fitter = Fitter(connection, stream, landing, prober)
    fitter.fit(Group([probe], dict(probe.schema)), Columns(stream.columns), quarantine)
    return quarantine.get(probe.file.path)


def _has_no_types(probe: Probe, declared: Type, landed: Type) -> bool:
    """Whether it is only the format that has no other type: the values tell whether they fit."""
    if declared.nested or landed.nested:
        return False
    return probe.format == "csv" or (
        probe.format == "jsonl" and is_number(declared) == is_number(landed)
    )


def is_number(type_: Type) -> bool:
    """Whether a type is one of numbers."""
    return type_.name in (*_INTEGERS, "FLOAT", "DOUBLE") or type_.name.startswith("DECIMAL")


def _apart(declared: Type, columns: Mapping[str, Type], landed: Type) -> Iterator[Part]:
    """What landed and is not declared, and the other way round."""
    for path, before, after in differences(declared, Type.struct(list(columns.items()))):
        if before is None:
            yield Part(dotted(path), None, after)
    for path, before, after in differences(landed, declared):
        if before is None:
            yield Part(dotted(path), after, None)


def _spread(files: Sequence[LandedFile], most: int) -> list[LandedFile]:
    """So many files, the oldest and the newest among them, evenly."""
    if not most or len(files) <= most:
        return list(files)
    step = (len(files) - 1) / max(most - 1, 1)
    return [files[round(place * step)] for place in range(most)]


def dotted(path: Sequence[str]) -> str:
    """A part's place as people write it: ``line_items[].price``."""
    text = ""
    for step in path:
        text += step if step == "[]" else f".{step}"
    return text.removeprefix(".")
