"""A folder for files that one process needs for a while."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from lotus_lake.connection import make_spill_folder

_PREFIX = "landed-"


class Scratch:
    """A folder beside DuckDB's spilled data, that goes with its process.

    It is locked as long as it is used. Whoever makes one removes those that nobody uses any more,
    because their process was killed.

    Attributes:
        path: The folder.
        remove: Removes it, as does the end of the process.

    Raises:
        LakeError: It cannot be made.
    """

    def __init__(self) -> None:
        parent = make_spill_folder()
        for folder in parent.glob(f"{_PREFIX}*"):
            _remove_unused(folder)
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent.absolute())
        lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.remove = weakref.finalize(self, _remove, self.path, lock)


def _remove(path: str, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _remove_unused(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # removed meanwhile
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # in use
    finally:
        os.close(lock)
