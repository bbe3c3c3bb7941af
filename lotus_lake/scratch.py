"""A folder for files that one process needs for a while."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from lotus_lake.connection import make_spill_folder
from lotus_lake.locks import lock

_PREFIX, _LOCK = "landed-", ".lock"


class Scratch:
    """A folder beside DuckDB's spilled data; ``remove`` or the end of the process removes it.

    It is locked as long as it is used. Whoever makes one removes those that nobody uses any more,
    because their process was killed.

    Raises:
        LakeError: It cannot be made.
    """

    def __init__(self) -> None:
        parent = make_spill_folder()
        for folder in parent.glob(f"{_PREFIX}*"):
            _remove_unused(folder)
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir=parent.absolute())
        self.remove = weakref.finalize(self, _remove, self.path, lock(f"{self.path}/{_LOCK}"))


def _remove(path: str, its_lock: int | None) -> None:
    # Before the folder: Windows removes no open file.
    if its_lock is not None:
        os.close(its_lock)
    shutil.rmtree(path, ignore_errors=True)


def _remove_unused(folder: Path) -> None:
    try:
        its_lock = lock(folder / _LOCK)
    except OSError:
        return  # removed meanwhile
    if its_lock is not None:  # else it is in use
        _remove(str(folder), its_lock)
