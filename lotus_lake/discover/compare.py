"""What landed beside what is declared: streams, columns, nested fields."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.feeder.fitting import Columns, Fitter, Group
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.probe import Probe, Prober
from lotus_lake.schema.growth import differences, merge
from lotus_lake.schema.types import Type
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

# Files scanned of each stream, the newest.
SAMPLE = 20
# The same of a stream that is named and not declared: what lands of it decides its key.
NEW_SAMPLE, NEW_SAMPLE_BYTES = 500, 2 << 30

_NUMBERS = ("INT", "INTEGER", "FLOAT", "DOUBLE")


class UnknownStream(LakeError):
    """A stream that neither landed nor is declared."""


@dataclass(frozen=True)
class Landed:
    """The scanned files of a stream, to read their rows."""

    landing: Landing
    prober: Prober
    probes: Sequence[Probe]


@dataclass
class Discovery:
    """A stream: its columns as they landed, without Airbyte's own, and what is not as declared.

    A declared column has its declared type, with the fields that landed besides. Parts are named
    as people write them: ``line_items[].price``.
    """

    source: str
    stream: str
    is_declared: bool
    files: int = 0
    scanned: int = 0
    columns: dict[str, Type] = field(default_factory=dict)
    is_airbyte: bool = False
    undeclared: dict[str, Type] = field(default_factory=dict)
    missing: dict[str, Type] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    landed: Landed | None = None

    @property
    def label(self) -> str:
        """The stream as messages name it."""
        return f"{self.source}.{self.stream}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; types as DuckDB writes them."""
        types = {name: getattr(self, name) for name in ("columns", "undeclared", "missing")}
        return {
            **{"stream": self.label, "is_declared": self.is_declared},
            **{"files": self.files, "scanned": self.scanned},
            **{
                name: {column: type_text(type_) for column, type_ in found.items()}
                for name, found in types.items()
            },
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
        }

    @property
    def needs_work(self) -> bool:
        """Whether something landed that is not declared, or cannot be fed."""
        return not self.is_declared or bool(self.undeclared or self.unreadable)


def discover(
    connection: duckdb.DuckDBPyConnection,
    landing: Landing,
    declared: Mapping[str, Stream],
    only: Collection[str] = (),
    whole: bool = False,
) -> list[Discovery]:
    """Compare all streams, or the named ones; ``whole`` scans every file of them.

    Raises:
        UnknownStream: There is no such stream.
        LakeError: The landing zone cannot be read.
    """
    folders = {f"{source}.{stream}": (source, stream) for source, stream in landing.streams()}
    folders |= {label: (stream.source, stream.name) for label, stream in declared.items()}
    for label in only:
        if label not in folders:
            raise UnknownStream(
                f"There is no stream {label}, neither landed nor declared. There are: "
                f"{', '.join(sorted(folders))}."
            )
    found = []
    for label in sorted(only or folders):
        source, name = folders[label]
        files: Sequence[LandedFile] = landing.files(f"{source}/{name}/")
        one = Discovery(source, name, label in declared, len(files))
        if not whole:
            files = _newest(files) if only and not one.is_declared else files[-SAMPLE:]
        _scan(connection, landing, declared.get(label), files, one)
        found.append(one)
    return found


def type_text(type_: Type) -> str:
    """A type in small letters, quoted names excepted."""
    return re.sub(
        r'"(?:[^"]|"")*"|\w+',
        lambda word: word[0] if word[0].startswith('"') else word[0].lower(),
        type_.sql(),
    )


def _newest(files: Sequence[LandedFile]) -> Sequence[LandedFile]:
    sizes = accumulate(file.size for file in reversed(files[-NEW_SAMPLE:]))
    return files[-max(1, sum(size <= NEW_SAMPLE_BYTES for size in sizes)) :]


def _scan(
    connection: duckdb.DuckDBPyConnection,
    landing: Landing,
    stream: Stream | None,
    files: Sequence[LandedFile],
    found: Discovery,
) -> None:
    """Fill in what the files hold."""
    declared = {
        name: type_
        for name, type_ in (stream.columns if stream else {}).items()
        if not (stream and stream.airbyte and name in AIRBYTE_COLUMNS)
    }
    # Capitals do not tell columns apart.
    names = {name.lower(): name for name in declared}
    prober = Prober(landing, stream.limits if stream else None)
    landed: dict[str, Type] = {}
    probes = []
    for file, probe in prober.probe(files):
        found.scanned += 1
        if not isinstance(probe, Probe):
            found.unreadable.append((file.path, str(probe)))
            continue
        probes.append(probe)
        found.is_airbyte = found.is_airbyte or not AIRBYTE_COLUMNS.keys().isdisjoint(probe.schema)
        for column, type_ in probe.schema.items():
            if column not in AIRBYTE_COLUMNS and not type_.unknown:
                name = names.setdefault(column.lower(), column)
                known = landed.get(name, type_.known())
                landed[name] = _common(known, type_.known())
        if stream and (reason := _refusal(connection, stream, prober, probe)):
            found.unreadable.append((file.path, reason))
    found.landed = Landed(landing, prober, probes)
    found.columns = {
        name: merge(declared[name], type_) if name in declared else type_
        for name, type_ in landed.items()
    }
    if stream:
        found.undeclared = _added(declared, found.columns)
        found.missing = _added(landed, declared)


def _common(one: Type, other: Type) -> Type:
    """The type of a column that landed as both."""
    if one.nested or other.nested:
        # An object may land as a text of JSON.
        return merge(one, other) if one.nested else other
    widest = merge(one, other)
    if widest == merge(other, one):
        return widest
    are_numbers = all(type_.name.endswith(_NUMBERS) for type_ in (one, other))
    return Type.scalar("DOUBLE" if are_numbers else "VARCHAR")


def _refusal(
    connection: duckdb.DuckDBPyConnection,
    stream: Stream,
    prober: Prober,
    probe: Probe,
) -> str | None:
    """Why the feeder would not feed a file."""
    quarantine: dict[str, str] = {}
    fitter = Fitter(connection, stream, prober)
    fitter.fit(
        Group([probe], dict(probe.schema)), Columns(stream.columns, stream.columns), quarantine
    )
    return quarantine.get(probe.file.path)


def _added(before: Mapping[str, Type], after: Mapping[str, Type]) -> dict[str, Type]:
    """Columns and fields that only the second has, by their names."""
    old, new = (Type.struct(list(columns.items())) for columns in (before, after))
    return {
        ".".join(path).replace(".[]", "[]"): type_
        for path, known, type_ in differences(old, new)
        if known is None
    }
