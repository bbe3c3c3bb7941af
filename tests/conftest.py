"""What every pytest of the project shares."""

from __future__ import annotations

import sys
from pathlib import Path

# `tests` and `lotus_lake` are imported from this checkout, whatever is installed or started where.
PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))
