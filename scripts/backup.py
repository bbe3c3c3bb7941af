"""Back up an embedded lake's catalog, list the backups, go back to one, and check the data files.

    python scripts/backup.py backup --keep 14
    python scripts/backup.py list
    python scripts/backup.py restore 20260105T0300
    python scripts/backup.py check

A backup may be taken while a build runs; restoring takes the scheduler's lock. `check` names data
files that the catalog needs and that are not there, also for a catalog in PostgreSQL, which is
backed up with its own tools: docs/runbooks/disaster-recovery.md.

Exit codes: 0 done, 30 another run holds the lock, 40 the catalog or the backups cannot be reached,
or data files are missing, 64 wrong usage, or a restore that was refused because it would lose
something.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.backup import Backups, missing_files
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.scheduler.exits import Exit, Locked, Unreachable


def main() -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args()
    try:
        config = LakeConfig.from_env()
        if options.command == "check":
            return _check(config)
        backups = Backups(config, options.at)
        if options.command == "backup":
            print(f"Saved {backups.take(options.keep).name} in {backups.url}")
        elif options.command == "list":
            for backup in backups.list():
                print(f"{backup.name}  {backup.size / 1e6:,.1f} MB")
        else:
            backup = backups.find(options.name)
            before = backups.restore(backup, force=options.force)
            print(f"Restored {backup.name}")
            if before:
                print(f"What was there before is kept as {before.name}")
            return _check(config)
    except LakeError as error:
        print(f"backup: {error}", file=sys.stderr)
        if isinstance(error, Locked):
            return Exit.LOCKED
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    return Exit.OK


def _check(config: LakeConfig) -> int:
    missing = missing_files(config)
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
    parser.add_argument("command", choices=("backup", "list", "restore", "check"))
    parser.add_argument(
        "name", nargs="?", help="restore this one, or what begins so (default: the newest)"
    )
    parser.add_argument("--keep", type=_number, metavar="N", help="backup: keep the newest N only")
    parser.add_argument(
        "--force", action="store_true", help="restore also when the lake is newer, or damaged"
    )
    parser.add_argument(
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
