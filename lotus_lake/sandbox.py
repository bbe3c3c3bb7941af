"""Where a program may write, limited by Linux' own Landlock; elsewhere nothing is limited."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# Of linux/landlock.h: write and truncate a file; these, and make and remove files of any kind.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_WRITE = _WRITE_FILE | 0b1_1111_1111 << 4
_REFER = 1 << 13
# The numbers of its system calls, the same on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES = 38


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def write_only_in(*places: Path) -> None:
    """Take from this process, and all that it starts, the right to write anywhere else."""
    if sys.platform != "linux":
        return
    system = ctypes.CDLL(None)
    version = system.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return  # an older kernel, or one without it
    handled = _WRITE | (_REFER if version > 1 else 0) | (_TRUNCATE if version > 2 else 0)
    rules = system.syscall(_CREATE_RULESET, ctypes.byref(ctypes.c_uint64(handled)), 8, 0)
    for place in places:
        if place.exists():
            allowed = handled if place.is_dir() else handled & (_WRITE_FILE | _TRUNCATE)
            rule = _Rule(allowed, os.open(place, os.O_PATH))
            system.syscall(_ADD_RULE, rules, 1, ctypes.byref(rule), 0)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    system.syscall(_RESTRICT_SELF, rules, 0)
