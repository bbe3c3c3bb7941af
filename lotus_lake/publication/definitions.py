"""What is published, as the project declares it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lotus_lake.config import LakeError
from lotus_lake.diff.personal import is_personal, meta_of, read_manifest
from lotus_lake.diff.sides import declared_keys
from lotus_lake.schema.types import quote


@dataclass(frozen=True)
class Definition:
    """A published table.

    Args:
        name: Its name in the lake and in PostgreSQL.
        query: The SQL that has its rows, for a saved query; empty for a table of the lake.
        inputs: The tables of the lake, ``schema.name``, that it follows.
        comment: Its description.
        comments: The published columns, with their descriptions.
        key: The columns that tell its rows apart.
        is_complete: Whether no column of the key is ever null.
        block: The columns by which the lake replaces its rows; empty if it replaces all.
        indexes: The columns that have an index of their own.
    """

    name: str
    query: str
    inputs: tuple[str, ...]
    comment: str
    comments: dict[str, str]
    key: tuple[str, ...] = ()
    is_complete: bool = False
    block: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    # PostgreSQL's type of each published column; known when the lake was read.
    types: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """As ``marts.published`` keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Definition:
        """The definition that a table was published with."""
        fields = json.loads(text)
        for name in ("inputs", "key", "block", "indexes"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


def read_definitions(manifest: Path) -> list[Definition]:
    """What the project publishes.

    Args:
        manifest: dbt's ``manifest.json``; its ``semantic_manifest.json`` lies beside it.

    Raises:
        LakeError: A manifest cannot be read, or something is declared that cannot be published.
    """
    project = read_manifest(manifest)
    row_keys = declared_keys(project["nodes"])
    definitions = [
        _table(node, row_keys.get(node["alias"], []), project)
        for node in project["nodes"].values()
        if node["resource_type"] in ("model", "seed", "snapshot") and meta_of(node).get("publish")
    ]
    definitions += _saved_queries(project, manifest.with_name("semantic_manifest.json"))
    names = [definition.name for definition in definitions]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise LakeError(f"Several models or saved queries to publish are named {min(duplicates)}.")
    return sorted(definitions, key=lambda definition: definition.name)


def _table(node: dict[str, Any], key: list[str], project: dict[str, Any]) -> Definition:
    name = node["alias"]
    if "view" in node["config"]["materialized"]:
        raise LakeError(f"{name} is a view and cannot be published: remove publish from its meta.")
    columns = {
        column["name"]: _in_one_line(column.get("description"))
        for column in node["columns"].values()
        if meta_of(column).get("publish") or not is_personal(column)
    }
    if not columns:
        raise LakeError(f"{name} declares no column that may be published.")
    indexes = meta_of(node).get("indexes") or []
    if unknown := [column for column in indexes if column not in columns]:
        raise LakeError(f"{name} declares an index on {unknown[0]}, which is not published.")
    unique_key = node["config"].get("unique_key") or []
    block = [unique_key] if isinstance(unique_key, str) else unique_key
    required = {
        test["test_metadata"]["kwargs"].get("column_name")
        for test in project["nodes"].values()
        if test.get("attached_node") == node["unique_id"]
        and (test.get("test_metadata") or {}).get("name") == "not_null"
    }
    return Definition(
        name=name,
        query="",
        inputs=(f"{node['schema']}.{name}",),
        comment=_in_one_line(node.get("description")),
        comments=columns,
        key=tuple(key) if set(key) <= set(columns) else (),
        is_complete=set(key) <= required,
        block=tuple(block) if set(block) <= set(columns) else (),
        indexes=tuple(indexes),
    )


def _saved_queries(project: dict[str, Any], semantic_manifest: Path) -> Iterator[Definition]:
    queries = project.get("saved_queries") or {}
    if not queries:
        return
    from lotus_lake.metrics import GRAINS, Metrics

    metrics = Metrics(semantic_manifest)
    described = {metric["name"]: metric["description"] for metric in project["metrics"].values()}
    for unique_id, query in queries.items():
        columns, sql = metrics.saved_query(query["name"])
        days = [name for name in columns if name.rpartition("__")[2] in GRAINS]
        # DuckDB makes a timestamp of the first day of a month.
        casts = ", ".join(f"cast({quote(name)} as date) as {quote(name)}" for name in days)
        yield Definition(
            name=query["name"],
            query=f"select * replace ({casts}) from ({sql})" if days else sql,
            inputs=tuple(sorted(_tables_of(unique_id, project))),
            comment=_in_one_line(query.get("description")),
            comments={name: _in_one_line(described.get(name)) for name in columns},
            key=tuple(name for name in columns if name not in described),
        )


def _in_one_line(description: str | None) -> str:
    return " ".join((description or "").split())


def _tables_of(unique_id: str, project: dict[str, Any]) -> set[str]:
    """The tables that a saved query, a metric or a semantic model reads, ``schema.name``."""
    node = project["nodes"].get(unique_id)
    if node:
        return {f"{node['schema']}.{node['alias']}"}
    parents = project["parent_map"].get(unique_id, [])
    return {table for parent in parents for table in _tables_of(parent, project)}
