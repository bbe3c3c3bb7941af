"""Command lines of the scripts."""

from __future__ import annotations

import argparse

from lotus_lake.scheduler.exits import Exit


class Parser(argparse.ArgumentParser):
    """Exits with the project's own code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(Exit.USAGE, f"{self.format_usage()}{self.prog}: {message}. See --help.\n")
