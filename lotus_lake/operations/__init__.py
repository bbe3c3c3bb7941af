"""What macros ask of Python by name: the beginning of each run, and dbt's operations.

The macro ``operate`` hands over a name and arguments. ``OPERATIONS`` says which operations there
are, and the kinds of the arguments that a person gives; an operation yields what it has to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import duckdb

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import printable
from lotus_lake.operations import branching, deliveries, starting, upkeep
from lotus_lake.operations.arguments import checked
from lotus_lake.operations.lake import Lake, Warned
from lotus_lake.operations.reconcile import reconcile
from lotus_lake.operations.variables import check_variables

_DELIVERY = {
    **{"source": "text", "stream": "text", "path": "text", "day": "day"},
    **{"cursor_version": "number", "dry_run": "flag"},
}

OPERATIONS: dict[str, tuple[Callable[..., Iterable[str]], dict[str, str]]] = {
    "check_variables": (check_variables, {}),
    "check_version": (starting.check_version, {}),
    "inline_meta": (starting.inline_meta, {}),
    "declare_streams": (starting.declare_streams, {}),
    "check_landing": (starting.check_landing, {}),
    "undo_delivery": (deliveries.undo, _DELIVERY),
    "replay_delivery": (deliveries.replay, _DELIVERY),
    "release_quarantine": (deliveries.release, _DELIVERY),
    "full_sweep": (deliveries.sweep, {"dry_run": "flag"}),
    "stream_status": (deliveries.status, {}),
    "reconcile": (reconcile, {"source": "text", "stream": "text", "read_files": "flag"}),
    "branch": (branching.create, {"name": "name"}),
    "branch_list": (branching.show, {}),
    "branch_drop": (branching.drop, {"name": "text", "older_than": "days"}),
    "maintain": (upkeep.maintain, {"dry_run": "flag", "keep_landed": "flag"}),
    "keep_up": (upkeep.keep_up, {}),
    "remove_orphans": (upkeep.remove_orphans, {"days": "days", "dry_run": "flag"}),
}


def operate(
    connection: duckdb.DuckDBPyConnection, config: LakeConfig, operation: str, given: str
) -> dict[str, Any]:
    """Do an operation, and print what it says.

    Args:
        connection: Of its own, with the lake attached; no transaction open.
        config: Where the lake lies.
        operation: A key of ``OPERATIONS``.
        given: Its arguments, as a JSON object.

    Returns:
        ``problem``: what went wrong, or None; ``warnings``: lines that dbt has to warn of.
    """
    function, kinds = OPERATIONS[operation]
    warnings: list[str] = []
    try:
        for line in function(Lake(connection, config), **checked(json.loads(given), kinds)):
            if isinstance(line, Warned):
                warnings.append(printable(line))
            else:
                print(printable(line), flush=True)
    except (LakeError, duckdb.Error) as error:
        return {"problem": printable(str(error)), "warnings": warnings}
    return {"problem": None, "warnings": warnings}
