"""Show what a branch changes in the numbers (`make diff NAME=...`).

Exit codes: 0 shown, 40 the lake cannot be reached, 64 wrong usage or no such branch.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.diff.compare import compare
from lotus_lake.diff.personal import shown
from lotus_lake.diff.report import print_report, write_reports
from lotus_lake.diff.sides import keys, opened
from lotus_lake.scheduler.exits import Exit, Unreachable


def main() -> int:
    """Compare, print, and write the reports."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", help="the branch")
    parser.add_argument("--latest", action="store_true", help="compare with the lake as it is now")
    parser.add_argument("--only", nargs="+", default=[], metavar="TABLE", help="only these tables")
    parser.add_argument("--manifest", type=Path, default=target / "manifest.json")
    parser.add_argument("--out", type=Path, default=target / "diff", help="folder for the reports")
    options = parser.parse_args()
    try:
        lake = LakeConfig.from_env()
        declared = keys(options.manifest), shown(options.manifest)
        with opened(lake, options.name, latest=options.latest) as sides:
            diff = compare(*sides, *declared, options.only)
    except LakeError as error:
        print(f"diff: {error}", file=sys.stderr)
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    write_reports(diff, options.out)
    console = Console()
    print_report(diff, console)
    console.print(f"\nReports: {options.out}/report.md, {options.out}/report.html", highlight=False)
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
