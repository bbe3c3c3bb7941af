"""Say what a table said then, what it says now, and which deliveries changed it (`make as-of`).

Exit codes: 0 shown, 40 the lake cannot be read, 64 wrong usage or environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.history.command import main


def arguments() -> argparse.Namespace:
    """What was asked for."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", help="a table, such as fct_daily_sales or staging.stg_…")
    parser.add_argument("at", help="a date (its 00:00), a time (UTC unless it says), a snapshot")
    parser.add_argument("--where", default="", help="a condition for the rows, in SQL")
    parser.add_argument("--manifest", type=Path, default=target / "manifest.json")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    sys.exit(main(options.table, options.at, options.where, options.manifest))
