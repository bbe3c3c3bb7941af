"""Back up the lake's catalog, list the backups, and go back to one.

    python scripts/backup.py backup --keep 14
    python scripts/backup.py list
    python scripts/backup.py restore 20260105T0300

The catalog is the one of LAKE_CATALOG. A backup may be taken while a build runs; restoring takes
the scheduler's lock. docs/runbooks/disaster-recovery.md tells when, and what to do afterwards.

Exit codes: 0 done, 30 another run holds the lock, 40 the catalog or the backups cannot be reached,
64 wrong usage, or a restore that was refused because it would lose something.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.backup import Backups
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.scheduler.exits import Exit, Locked, Unreachable


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        backups = Backups(LakeConfig.from_env(), options.at)
        if options.command == "backup":
            print(f"Saved {backups.take(options.keep)} in {backups.url}")
        elif options.command == "list":
            for backup in backups.list():
                print(f"{backup}  {backup.size / 1e6:,.1f} MB")
        else:
            return _restore(backups, options.name, options.force)
    except LakeError as error:
        print(f"backup: {error}", file=sys.stderr)
        if isinstance(error, Locked):
            return Exit.LOCKED
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    return Exit.OK


def _restore(backups: Backups, name: str | None, force: bool) -> int:
    backup = backups.find(name)
    before = backups.restore(backup, force=force)
    print(f"Restored {backup}")
    if before:
        print(f"What was there before is kept as {before.name}")
    missing = backups.missing()
    if missing:
        print(
            f"backup: {len(missing)} data files of this catalog are not there any more, the first: "
            f"{missing[0]}. Restore a newer backup.",
            file=sys.stderr,
        )
        return Exit.UNREACHABLE
    print("Every data file is there. Next: make reconcile, then a tick feeds what came since")
    return Exit.OK


class _Parser(argparse.ArgumentParser):
    """Ends with the project's own code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.format_usage()}backup: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    backup = commands.add_parser("backup", help="copy the catalog")
    backup.add_argument(
        "--keep", type=_number, metavar="N", help="delete all but the newest N backups"
    )
    listing = commands.add_parser("list", help="show the backups, oldest first")
    restore = commands.add_parser("restore", help="make the catalog what it was")
    restore.add_argument(
        "name", nargs="?", help="the backup, or the beginning of its name (default: the newest)"
    )
    restore.add_argument(
        "--force", action="store_true", help="also when the lake is newer, or cannot be read"
    )
    for command in (backup, listing, restore):
        command.add_argument(
            "--at",
            metavar="URL",
            help="folder of the backups, local or s3:// (default: backups/ beside the lake's data)",
        )
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
