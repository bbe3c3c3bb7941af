"""Write a sample landing zone: a small shop, delivered as Airbyte's S3 destination delivers it.

Exit codes: 0 written, 2 bad arguments or a directory that must not be overwritten.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from lotus_lake.sample import Delivery, LandingError, generate

DEFAULT_ORDERS = 3_000
DEFAULT_DAYS = 60
# A fixed day, not today: the same command always writes the same files.
DEFAULT_START = date(2025, 1, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parse(arguments)
    console = Console(quiet=options.quiet)
    try:
        with Progress(
            TextColumn("Writing the sample landing zone"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task("files", total=None)
            delivery = generate(
                options.out,
                orders=options.orders,
                days=options.days,
                seed=options.seed,
                start=options.start,
                bad_files=options.bad_files,
                keep_generations=options.keep_generations,
                force=options.force,
                progress=lambda done, in_all: bar.update(task, completed=done, total=in_all),
            )
    except (LandingError, OSError) as error:
        print(f"generate_landing: {error}", file=sys.stderr)
        return 2
    _report(delivery, console)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; argparse itself exits with 2 on anything it does not understand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--orders", type=int, default=DEFAULT_ORDERS, help="default %(default)s")
    parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument(
        "--start",
        type=date.fromisoformat,
        default=DEFAULT_START,
        metavar="YYYY-MM-DD",
        help="first day of the history (UTC), default %(default)s",
    )
    parser.add_argument(
        "--bad-files", action="store_true", help="add files that a feeder must refuse"
    )
    parser.add_argument(
        "--keep-generations",
        action="store_true",
        help="keep earlier full refreshes, which Airbyte removes",
    )
    parser.add_argument("--force", action="store_true", help="replace the landing zone at --out")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    return parser.parse_args(arguments)


def _report(delivery: Delivery, console: Console) -> None:
    """Print files, rows and bytes of each stream, and what was made bad."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for file in delivery.files:
        for name in (f"{file.source}/{file.stream}", "all"):
            for position, amount in enumerate((1, file.rows, file.bytes)):
                totals[name][position] += amount
    table = Table(title=str(delivery.out))
    table.add_column("stream")
    for heading in ("files", "rows", "bytes"):
        table.add_column(heading, justify="right")
    for name in sorted(totals, key=lambda name: (name == "all", name)):
        table.add_row(name, *(f"{amount:,}" for amount in totals[name]))
    console.print(table)
    for file in delivery.files:
        for case in file.cases:
            if case.startswith("bad_") or case == "overwritten":
                console.print(f"{case}: {file.path}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
