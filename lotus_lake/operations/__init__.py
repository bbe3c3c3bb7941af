"""What changes or proves a lake beside building it: for the command ``lake``, and for macros.

``operate`` is the macros' side: the beginning and the end of each run, by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import duckdb

from lotus_lake import settings
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import forget_unknown_bounds
from lotus_lake.escaping import printable
from lotus_lake.operations import starting, upkeep
from lotus_lake.operations.lake import Lake

# What a run asks for; a step may give warnings.
STEPS: dict[str, Callable[..., Iterable[str] | None]] = {
    "check_version": starting.check_version,
    "check_variables": lambda lake, **values: settings.check(values),
    "create_meta": starting.create_meta,
    "forget_unknown_bounds": lambda lake: forget_unknown_bounds(lake.connection),
    "declare_streams": starting.declare_streams,
    "check_landing": starting.check_landing,
    "keep_up": upkeep.keep_up,
}


def operate(
    connection: duckdb.DuckDBPyConnection, config: LakeConfig, step: str, given: str
) -> dict[str, Any]:
    """Take a step of ``STEPS``, with arguments as a JSON object, on a connection of its own: what
    went wrong, or None, as ``problem``, and lines that dbt has to warn of as ``warnings``."""
    try:
        warnings = STEPS[step](Lake(connection, config), **json.loads(given)) or ()
        return {"problem": None, "warnings": [printable(line) for line in warnings]}
    except (LakeError, duckdb.Error) as error:
        return {"problem": printable(str(error)), "warnings": []}
