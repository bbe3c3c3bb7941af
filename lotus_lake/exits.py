"""Exit codes, and the errors that lead to them."""

from __future__ import annotations

from enum import IntEnum

from lotus_lake.config import LakeError


class Exit(IntEnum):
    """What a tick exits with; when several apply, the greatest."""

    OK = 0
    PARTIAL = 10
    FAILED = 20
    LOCKED = 30
    UNREACHABLE = 40
    USAGE = 64

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "all is well",
    Exit.PARTIAL: "built, but something waits for a person",
    Exit.FAILED: "the build failed",
    Exit.LOCKED: "another run holds the lock",
    Exit.UNREACHABLE: "the catalog or the object store cannot be reached",
    Exit.USAGE: "wrong usage or configuration",
}


class Locked(LakeError):
    """Another run holds the lock."""


class Unreachable(LakeError):
    """The catalog or the object store cannot be reached."""


def exit_code(error: LakeError) -> Exit:
    """What a command ends with that an error has stopped."""
    if isinstance(error, Locked):
        return Exit.LOCKED
    return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
