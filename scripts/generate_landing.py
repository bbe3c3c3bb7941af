"""Write a sample landing zone: a small shop, delivered as Airbyte's S3 destination delivers it.

Exit codes: 0 written, 2 bad arguments or a directory that must not be overwritten.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

# The sample is no part of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sample import LandingError, generate


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--orders", type=int, default=3_000, help="default %(default)s")
    parser.add_argument("--days", type=int, default=60, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    # A fixed day, not today: the same command always writes the same files.
    parser.add_argument("--start", type=date.fromisoformat, default=date(2025, 1, 1))
    parser.add_argument("--bad-files", action="store_true", help="add files that must be refused")
    parser.add_argument("--force", action="store_true", help="replace the landing zone at --out")
    try:
        delivery = generate(**vars(parser.parse_args(arguments)))
    except (LandingError, OSError) as error:
        print(f"generate_landing: {error}", file=sys.stderr)
        return 2
    files, rows = Counter[str](), Counter[str]()
    for file in delivery.files:
        files[f"{file.source}/{file.stream}"] += 1
        rows[f"{file.source}/{file.stream}"] += file.rows
    for stream in sorted(files):
        print(f"{stream:28} {files[stream]:8,} files {rows[stream]:12,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
