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
from lotus_lake.schema.growth import differences, join, merge
from lotus_lake.schema.types import Type
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

# Files scanned of each stream, the newest.
SAMPLE = 20
# The same of a stream that is named and not declared: what lands of it decides its key.
NEW_SAMPLE, NEW_SAMPLE_BYTES = 500, 2 << 30


@dataclass
class Discovery:
    """A stream: its columns as they landed, without Airbyte's own, and what is not as declared.

    A declared column has its declared type, with the fields that landed besides. Parts are named
    as people write them: ``line_items[].price``. The prober reads the rows of the probed files.
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
    prober: Prober | None = None
    probes: list[Probe] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.source}.{self.stream}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; types as DuckDB writes them."""
        return {
            "stream": self.label,
            "is_declared": self.is_declared,
            "files": self.files,
            "scanned": self.scanned,
            **{
                name: {column: type_text(type_) for column, type_ in getattr(self, name).items()}
                for name in ("columns", "undeclared", "missing")
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
        LakeError: There is no such stream, or the landing zone cannot be read.
    """
    folders = {f"{source}.{stream}": (source, stream) for source, stream in landing.streams()}
    folders |= {label: (stream.source, stream.name) for label, stream in declared.items()}
    for label in only:
        if label not in folders:
            raise LakeError(
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
    declared = {
        name: type_
        for name, type_ in (stream.columns if stream else {}).items()
        if not (stream and stream.airbyte and name in AIRBYTE_COLUMNS)
    }
    # Capitals do not tell columns apart.
    names = {name.lower(): name for name in declared}
    found.prober = Prober(landing, stream.limits if stream else None)
    landed: dict[str, Type] = {}
    for file, probe in found.prober.probe(files):
        found.scanned += 1
        if not isinstance(probe, Probe):
            found.unreadable.append((file.path, str(probe)))
            continue
        found.probes.append(probe)
        found.is_airbyte = found.is_airbyte or not AIRBYTE_COLUMNS.keys().isdisjoint(probe.schema)
        for column, type_ in probe.schema.items():
            if column not in AIRBYTE_COLUMNS and not type_.unknown:
                name = names.setdefault(column.lower(), column)
                landed[name] = _joined(landed.get(name), type_.known())
        if stream:
            # What the feeder would not feed.
            refused: dict[str, str] = {}
            group = Group([probe], dict(probe.schema))
            columns = Columns(stream.columns, stream.columns)
            Fitter(connection, stream, found.prober).fit(group, columns, refused)
            found.unreadable += refused.items()
    found.columns = {
        name: merge(declared[name], type_) if name in declared else type_
        for name, type_ in landed.items()
    }
    if stream:
        found.undeclared = _added(declared, found.columns)
        found.missing = _added(landed, declared)


def _joined(known: Type | None, type_: Type) -> Type:
    """The type of a column that landed as both; an object may land as a text of JSON."""
    if known and known.nested == type_.nested:
        return join(known, type_)
    return known if known and known.nested else type_


def _added(before: Mapping[str, Type], after: Mapping[str, Type]) -> dict[str, Type]:
    """Columns and fields that only the second has, by their names."""
    old, new = (Type.struct(list(columns.items())) for columns in (before, after))
    return {
        ".".join(path).replace(".[]", "[]"): type_
        for path, known, type_ in differences(old, new)
        if known is None
    }
