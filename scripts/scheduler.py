"""One tick of the scheduler, as a CronJob runs it: ``lake tick`` in this project's folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.cli import main

if __name__ == "__main__":
    # dbt wants to be there; the lake's relative paths begin there too.
    os.chdir(Path(__file__).resolve().parent.parent)
    main(["tick", *sys.argv[1:]])
