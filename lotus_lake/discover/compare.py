"""What landed beside what is declared: streams, columns, nested fields, types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.probe import Probe, Prober
from lotus_lake.schema import Conflict, Type, convert, differences, merge
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

# Of a stream's files, so many are looked into: the oldest, the newest, and others in between.
FILES = 20


@dataclass(frozen=True)
class Part:
    """A column or nested field.

    Args:
        name: As people write it: ``line_items[].price``.
        declared: Its declared type; None when it is not declared.
        landed: The type that landed; None when it never did.
        path: The first file that had it; empty when none did.
        problem: Why its values cannot be fed as declared; empty when they can.
    """

    name: str
    declared: Type | None
    landed: Type | None
    path: str = ""
    problem: str = ""


@dataclass
class Discovery:
    """A stream.

    Args:
        source, stream: Its names.
        files: How many files there are.
        looked_into: How many of them were looked into.
        is_declared: Whether a dbt source declares it.
        columns: What landed, Airbyte's own columns left out.
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
        LakeError: The landing zone cannot be read, or there is no such stream.
    """
    folders = {f"{source}.{stream}": (source, stream) for source, stream in landing.streams()}
    for label, one in declared.items():
        folders.setdefault(label, (one.source, one.name))
    for label in only:
        if label not in folders:
            raise LakeError(
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
    first: dict[str, str] = {}
    is_text = False
    for file, probe in Prober(connection, landing).probe(chosen):
        if not isinstance(probe, Probe):
            found.unreadable.append((file.path, str(probe)))
            continue
        # A CSV file has no types of its own.
        is_text = is_text or probe.format == "csv"
        for column, type_ in probe.schema.items():
            if column in AIRBYTE_COLUMNS:
                found.is_airbyte = True
            elif not type_.unknown:
                first.setdefault(column, file.path)
                known = found.columns.get(column)
                found.columns[column] = merge(known, type_) if known else type_.known()
    if stream:
        found.parts = _parts(stream, found.columns, first, is_text=is_text)
    return found


def _spread(files: Sequence[LandedFile], most: int) -> list[LandedFile]:
    """So many files, the oldest and the newest among them, evenly."""
    if not most or len(files) <= most:
        return list(files)
    step = (len(files) - 1) / max(most - 1, 1)
    return [files[round(place * step)] for place in range(most)]


def _parts(
    stream: Stream, columns: Mapping[str, Type], first: Mapping[str, str], *, is_text: bool
) -> list[Part]:
    own = {
        name: type_
        for name, type_ in stream.columns.items()
        if not (stream.airbyte and name in AIRBYTE_COLUMNS)
    }
    declared, landed = Type.struct(list(own.items())), Type.struct(list(columns.items()))
    parts = []
    for path, before, after in differences(declared, landed):
        file = next((first[name] for name in first if name.lower() == path[0].lower()), "")
        if before is None:
            parts.append(Part(dotted(path), None, after, file))
        elif not is_text:
            parts.append(Part(dotted(path), before, after, file, _problem(after, before)))
    parts += [
        Part(dotted(path), after, None)
        for path, before, after in differences(landed, declared)
        if before is None
    ]
    return parts


def _problem(landed: Type, declared: Type) -> str:
    try:
        convert("value", landed, declared)
    except Conflict as conflict:
        return str(conflict)
    return ""


def dotted(path: Sequence[str]) -> str:
    """A part's place as people write it: ``line_items[].price``."""
    text = ""
    for step in path:
        text += step if step == "[]" else f".{step}"
    return text.removeprefix(".")
