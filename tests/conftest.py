"""What every pytest of the project shares."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# `tests` and `lotus_lake` are imported from this checkout, whatever is installed or started where.
PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

# What takes longest comes first, so that no worker is left with it when the others have ended.
LONGEST = (
    *("test_kills", "test_incremental_truth", "test_maintenance", "test_s3", "test_postgres"),
    *("test_scheduler", "test_running", "test_least_privilege", "test_configuration"),
    *("test_deploy", "test_site", "test_watching", "test_local"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests first."""
    place = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested, and what to do about it."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
        for reason, count in reasons.items():
            terminalreporter.line(f"{count} tests: {reason.removeprefix('Skipped: ')}", red=True)
