"""Build what this checkout changes on a branch, and show the effect (`make pr NAME=...`).

Exit codes: 0 built, and both ways of building agree; 20 a model or a test failed, or they do not;
40 the lake cannot be reached; 64 wrong usage, no lake, or no artefacts of its last build.
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
from lotus_lake.diff.report import print_report
from lotus_lake.pull_request import PullRequest
from lotus_lake.scheduler.exits import Exit, Unreachable


def main() -> int:
    """Run all steps, print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", help="the branch; one of that name is made again")
    options = parser.parse_args()
    out = Path(os.environ.get("DBT_TARGET_PATH") or "target") / "pr"
    console = Console()
    try:
        diff = PullRequest(
            LakeConfig.from_env(), options.name, out, lambda line: print(f"pr: {line}", flush=True)
        ).run()
    except LakeError as error:
        print(f"pr: {error}", file=sys.stderr)
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    print_report(diff, console)
    console.print(f"\nReports: {out}/report.md, {out}/report.html", highlight=False)
    return Exit.FAILED if diff.failed else Exit.OK


if __name__ == "__main__":
    sys.exit(main())
