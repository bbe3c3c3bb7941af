"""A lock on a file that ends with its process, on every system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Windows locks bytes, and keeps others from reading them: one that no file has.
_BYTE = 1 << 30


def lock(path: str | Path) -> int | None:
    """Lock a file, which is made if it is not there.

    Returns:
        What ``os.close`` releases the lock by; None if another process has it.

    Raises:
        OSError: It cannot be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if _is_locked_by_others(file):
        os.close(file)
        return None
    return file


def _is_locked_by_others(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
