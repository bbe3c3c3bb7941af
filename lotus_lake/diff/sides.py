"""The two sides of a diff: a branch, and the lake that it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError, memory_limit, spill_folder
from lotus_lake.connection import ALIAS, attach, attach_sql, connect
from lotus_lake.diff.personal import read_manifest
from lotus_lake.schema.types import quote

_BRANCH = "branch"


@dataclass(frozen=True)
class Side:
    """A database of the connection at one of its snapshots, and what to call it."""

    database: str
    snapshot: int
    label: str

    def relation(self, table: str) -> str:
        """SQL for a table, ``schema.name``, as of the snapshot."""
        schema, _, name = table.partition(".")
        return f"{self.database}.{schema}.{quote(name)} at (version => {self.snapshot})"


@contextmanager
def opened(
    lake: LakeConfig, name: str, *, latest: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Side, Side]]:
    """A connection, the lake's side and the branch's side.

    The lake is as it was when it was branched, which the branch still has, so that only the
    branch's own changes are seen; ``latest`` is the lake as it is now.

    Raises:
        LakeError: There is no such branch, or it no longer has the snapshot that it was made of.
    """
    config = (lake.branch_of or lake).of_branch(name)
    branch = branches.require(config)
    connection = connect(config, alias=_BRANCH)
    spilled = str(spill_folder()).replace("'", "''")
    connection.execute(f"set memory_limit = '{memory_limit()}B'; set temp_directory = '{spilled}'")
    try:
        after = Side(_BRANCH, max(_snapshots(connection, _BRANCH)), f"branch {branch.name}")
        if latest:
            attach(connection, lake, attach_sql(lake, ALIAS, read_only=True))
            before = Side(ALIAS, max(_snapshots(connection, ALIAS)), "the lake")
        else:
            before = Side(_BRANCH, branch.base_snapshot, "the lake")
            if branch.base_snapshot not in _snapshots(connection, _BRANCH):
                raise LakeError(
                    f"Branch {branch.name} no longer has snapshot {branch.base_snapshot}, of which "
                    "it was made: maintenance has expired it there. Compare with the lake as it is "
                    "now (--latest), or make the branch again."
                )
        yield connection, before, after
    finally:
        connection.close()


def keys(manifest: Path) -> dict[str, list[str]]:
    """The key columns of each model, see :func:`declared_keys`.

    Raises:
        LakeError: dbt's ``manifest.json`` is not there.
    """
    return declared_keys(read_manifest(manifest)["nodes"])


def declared_keys(nodes: Mapping[str, Any]) -> dict[str, list[str]]:
    """The key columns of each model, as its tests for uniqueness declare them.

    Args:
        nodes: Those of dbt's manifest.
    """
    found: dict[str, list[str]] = {}
    for node in nodes.values():
        test = node.get("test_metadata") or {}
        model = nodes.get(node.get("attached_node") or "")
        if model and test.get("name") == "unique_combination":
            found[model["alias"]] = list(test["kwargs"]["columns"])
        elif model and test.get("name") == "unique":
            found.setdefault(model["alias"], [test["kwargs"]["column_name"]])
    return found


def _snapshots(connection: duckdb.DuckDBPyConnection, database: str) -> set[int]:
    found = connection.execute(f"select snapshot_id from ducklake_snapshots('{database}')")
    return {number for (number,) in found.fetchall()}
