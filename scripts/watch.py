"""Build what is selected, and again whenever a file of the project is saved (`make watch`).

Exit codes: 0 ended with Ctrl-C, 64 wrong usage (a selection of nothing, too) or environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.watch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
