"""Open DuckDB's shell on the lake, read-only (`make sql`); arguments go to the shell.

Exit codes: the shell's own, 40 the lake cannot be read, 64 the environment is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.shell import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
