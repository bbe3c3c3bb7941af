"""The files of a landing zone, and how they are written down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


class LandingError(ValueError):
    """The landing zone cannot be written as asked; the message is one line for the user."""


@dataclass(frozen=True)
class DeliveredFile:
    """One file of the landing zone.

    `path` is relative to the landing zone, `arrived_at` is also the file's modification time.
    `cases` names what is awkward about it: `late`, `part_name`, `name_clash`, `retry`,
    `number_as_string`, `number_as_double`, `struct_as_json`, `superseded_generation`, or, for
    files made by `add_bad_files`, `bad_*`. `removed_at` is when Airbyte removes the file because
    a newer generation replaced it; such files exist only with `keep_generations`.
    """

    path: str
    source: str
    stream: str
    sync_id: int | None
    arrived_at: datetime
    rows: int
    bytes: int
    cases: tuple[str, ...] = ()
    removed_at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """A landing zone as delivered: `files` are in order of arrival, bad ones included."""

    out: Path
    files: tuple[DeliveredFile, ...]

    def with_case(self, case: str) -> tuple[DeliveredFile, ...]:
        """Return the files that have a case, in order of arrival."""
        return tuple(file for file in self.files if case in file.cases)


def write_bytes(path: Path, content: bytes, modified: datetime) -> None:
    """Write a file and its modification time, creating its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    set_modified(path, modified)


def set_modified(path: Path, modified: datetime) -> None:
    """Set a file's modification time, so that a generation repeated is the same in that too."""
    seconds = int(modified.timestamp())
    os.utime(path, (seconds, seconds))
