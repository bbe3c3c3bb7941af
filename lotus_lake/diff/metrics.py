"""What a change does to metrics: each one by month, before and after."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.diff.results import LakeDiff, MetricDelta
from lotus_lake.diff.sides import Side

# A table, as MetricFlow writes it: database, schema and name.
_TABLE = re.compile(r'"\w+"\."(\w+)"\."(\w+)"')


def compare_metrics(
    connection: duckdb.DuckDBPyConnection, diff: LakeDiff, semantic_manifest: Path
) -> list[MetricDelta]:
    """The months in which a metric of a table that differs does, those of each metric in order.

    Args:
        connection: Has both sides.
        diff: The tables that differ; metrics of other tables are left out.
        semantic_manifest: What dbt has parsed of the metrics, after the change.
    """
    if not semantic_manifest.exists() or not json.loads(semantic_manifest.read_bytes())["metrics"]:
        return []
    from lotus_lake.metrics import Metrics, Question

    changed = {table.name for table in diff.changed}
    metrics = Metrics(semantic_manifest)
    deltas = []
    for metric in metrics.declared():
        by = ["currency"] if "currency" in metric.dimensions else []
        columns, sql = metrics.sql(Question([metric.name], by, grain="month"))
        if changed.isdisjoint(".".join(table) for table in _TABLE.findall(sql)):
            continue
        before, after = (
            _by_month(connection, side, columns, sql) for side in (diff.before, diff.after)
        )
        deltas += [
            MetricDelta(metric.name, f"{month:%Y-%m}", currency, before.get(key), after.get(key))
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
            for month, currency in (key,)
        ]
    return deltas


def _by_month(
    connection: duckdb.DuckDBPyConnection, side: Side, columns: list[str], sql: str
) -> dict[tuple[date, str], Any]:
    """A metric's values by month and currency; none if a table or column does not exist."""
    from lotus_lake.metrics import execute

    of_side = _TABLE.sub(lambda table: f"(from {side.relation('.'.join(table.groups()))})", sql)
    try:
        answer = execute(connection, columns, of_side)
    except (LakeError, duckdb.BinderException):
        return {}
    return {(month, "".join(currency)): value for month, *currency, value in answer.rows if month}
