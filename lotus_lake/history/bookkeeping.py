"""What the lake's bookkeeping says: what the models had read, what was fed, and what ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from lotus_lake.history.catalog import Row, Snapshot, fetch


@dataclass(frozen=True)
class FedFile:
    """A file whose rows came into a stream, or left it."""

    stream: str
    path: str
    undone: bool
    rows: int | None
    at: datetime


class Bookkeeping:
    """The tables of the schema ``meta``.

    Args:
        connection: Connection with the lake attached as ``lakehouse``.
        oldest: The oldest snapshot that the lake still has.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, oldest: int) -> None:
        self._connection = connection
        self._oldest = oldest
        self._leaves_cache: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}

    def leaves(self, model: str, snapshot: int) -> dict[str, tuple[int, int]]:
        """The tables that no model writes behind a model's state: the oldest and the newest of
        their snapshots that it has read, over all ways that lead there."""
        known = self._leaves_cache.get((model, snapshot))
        if known is not None:
            return known
        inputs = {
            name: position
            for name, (_, position, _) in self._cursors(model, snapshot).items()
            if name != model
        }
        found: dict[str, tuple[int, int]] = {}
        for name, position in inputs.items():
            for leaf, (low, high) in self.leaves(name, position).items():
                lowest, highest = found.get(leaf, (low, high))
                found[leaf] = (min(lowest, low), max(highest, high))
        found = found or {model: (snapshot, snapshot)}
        self._leaves_cache[model, snapshot] = found
        return found

    def code_changes(self, model: str, before: int, after: int) -> list[str]:
        """The models whose code changed: the model itself, or else those behind it."""
        ours, theirs = self._cursors(model, before), self._cursors(model, after)
        own = ours.get(model), theirs.get(model)
        if own[0] and own[1] and own[0][2] != own[1][2]:
            return [model]
        found: list[str] = []
        for name, (uuid, position, _) in theirs.items():
            was = ours.get(name)
            if name != model and was and was[0] != uuid:
                found += self.code_changes(name, was[1], position)
        return list(dict.fromkeys(found))

    def streams(self) -> dict[str, tuple[str, str]]:
        """Source and stream of each table that is fed."""
        return {
            f"stg_{source}__{stream}": (source, stream)
            for source, stream in self._tolerant(
                "select source, stream from lakehouse.meta.feeder_cursors", []
            )
        }

    def fed(self, stream: tuple[str, str], after: int, until: int) -> list[FedFile]:
        """The files that came into a stream, or left it, after one snapshot and up to another."""
        # What went into quarantine brought no rows; what was undone took some away. Entries are
        # unique, but the past of a table whose rows were inlined may be read twice (decision 0010).
        ledger = (
            "select path, cursor_version, status = 'quarantined', row_count, loaded_at"
            " from lakehouse.meta.feeder_files at (version => {}) where source = ? and stream = ?"
            " and (status = 'loaded' or starts_with(reason, 'undone'))"
        )
        return [
            FedFile(".".join(stream), path, undone, rows, loaded_at)
            for path, _, undone, rows, loaded_at in self._tolerant(
                f"{ledger.format(until)} except {ledger.format(max(after, self._oldest))}"
                " order by path",
                [*stream, *stream],
            )
        ]

    def run(self, snapshot: Snapshot) -> str:
        """The run of dbt that made a snapshot, in words; empty if none is known."""
        found = self._tolerant(
            "select command, invocation_id, code_version from lakehouse.meta.invocations"
            " where started_at <= ? and finished_at >= ? order by started_at desc limit 1",
            [snapshot.at, snapshot.at],
        )
        if not found:
            return ""
        command, invocation, code = found[0]
        return f"dbt {command} {invocation[:8]}" + (f", code {code}" if code else "")

    def _cursors(self, model: str, snapshot: int) -> dict[str, tuple[str, int, str]]:
        """A model's positions in a state of the lake: input, position and fingerprint by name."""
        if snapshot < self._oldest:
            return {}
        return {
            name: (uuid, position, fingerprint)
            for name, uuid, position, fingerprint in self._tolerant(
                "select upstream, upstream_uuid, snapshot_id, fingerprint"
                f" from lakehouse.meta.model_cursors at (version => {snapshot}) where model = ?",
                [model],
            )
        }

    def _tolerant(self, sql: str, values: list[Any]) -> list[Row]:
        """Rows of the bookkeeping; none where the lake had none yet."""
        try:
            return fetch(self._connection, sql, values)
        except duckdb.CatalogException:
            return []
