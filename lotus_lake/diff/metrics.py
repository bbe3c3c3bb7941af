"""What a change does to metrics: each one by month, before and after."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

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
        diff: What the change does to the tables.
        semantic_manifest: What dbt has parsed of the metrics, after the change.
    """
    changed = {table.name for table in diff.changed}
    if not semantic_manifest.exists() or not json.loads(semantic_manifest.read_bytes())["metrics"]:
        return []
    from lotus_lake.metrics import Metrics, Question

    metrics = Metrics(semantic_manifest)
    found = []
    for declared in metrics.declared():
        by = ["currency"] if "currency" in declared.dimensions else []
        _, sql = metrics.sql(Question([declared.name], by, grain="month"))
        tables = {".".join(names) for names in _TABLE.findall(sql)}
        if tables.isdisjoint(changed):
            continue
        old, new = (
            _by_month(connection, side, sql, declared.name) for side in (diff.before, diff.after)
        )
        found += [
            MetricDelta(declared.name, f"{month:%Y-%m}", currency, old.get(key), new.get(key))
            for key in sorted({*old, *new})
            for month, currency in [key]
            if old.get(key) != new.get(key)
        ]
    return found


def _by_month(
    connection: duckdb.DuckDBPyConnection, side: Side, sql: str, metric: str
) -> dict[tuple[date, str], Any]:
    """A metric's values by month and currency; none if a table or column is not there."""
    of_side = _TABLE.sub(lambda name: f"(from {side.relation(f'{name[1]}.{name[2]}')})", sql)
    try:
        result = connection.execute(of_side)
    except (duckdb.CatalogException, duckdb.BinderException):
        return {}
    names = [column[0] for column in result.description]
    rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    return {
        (row["metric_time__month"], row.get("currency") or ""): row[metric]
        for row in rows
        if row["metric_time__month"]
    }
