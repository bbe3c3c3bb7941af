"""The floor: a plain DuckDB script that does the lake's first load and nothing else.

It reads each landed file once, writes the same staging, int_, fct_ and dim_ tables into an equal
DuckLake (SQLite catalog, local files) with the very SQL of the models, and keeps no ledger, no
cursor, no tests and no history. What the lake takes beyond it is the price of its guarantees.

    python -m benchmarks.floor LANDING LAKE MANIFEST

MANIFEST is the manifest.json that `dbt compile` wrote. Prints one line of JSON: seconds, peak_mb.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.memory import peak_memory
from lotus_lake.config import LakeConfig
from lotus_lake.connection import prepare


def main(landing: Path, lake: Path, manifest_path: Path) -> None:
    """Load everything, and say how long it took."""
    manifest = json.loads(manifest_path.read_text())
    lake.mkdir(parents=True)
    config = LakeConfig(str(landing), f"sqlite:{lake}/catalog.sqlite", f"{lake}/data/")
    connection = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(lake / "tmp")})
    prepare(connection, config)

    started = time.perf_counter()
    connection.execute(
        f"attach 'ducklake:{config.catalog}' as lakehouse"
        f" (data_path '{config.data_url}', data_inlining_row_limit 0)"
    )
    connection.execute("use lakehouse")
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    for schema in ("staging", "reference"):
        connection.execute(f"create schema {schema}")
    # One model asks whether files wait for the next run; here none ever does.
    connection.execute("create schema meta")
    connection.execute(
        "create table meta.feeder_cursors (source varchar, stream varchar, backlog_files bigint)"
    )
    for node in in_order(manifest):
        write(connection, node, landing, manifest)
    print(
        json.dumps(
            {
                "seconds": round(time.perf_counter() - started, 2),
                "peak_mb": peak_memory(),
            }
        )
    )


def in_order(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Seeds and tables, each after what it reads; views over the bookkeeping load nothing."""
    nodes = {
        name: node
        for name, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed") and node["config"]["materialized"] != "view"
    }
    done: dict[str, dict[str, Any]] = {}
    while len(done) < len(nodes):
        for name, node in nodes.items():
            needs = [need for need in node.get("depends_on", {}).get("nodes", []) if need in nodes]
            if name not in done and all(need in done for need in needs):
                done[name] = node
    return list(done.values())


def write(
    connection: duckdb.DuckDBPyConnection,
    node: dict[str, Any],
    landing: Path,
    manifest: dict[str, Any],
) -> None:
    """Write one table."""
    table = f"{node['schema']}.{node['alias']}"
    if node["resource_type"] == "seed":
        query = f"from read_csv('{Path(node['root_path']) / node['original_file_path']}')"
    elif node["language"] == "python":
        source = manifest["sources"][node["depends_on"]["nodes"][0]]
        query = f"select * from {files(landing, source)}"
        declared = ", ".join(
            f'"{column["name"]}" {column["data_type"]}'
            for column in source["columns"].values()
            if column["data_type"]
        )
        connection.execute(f"create table {table}_declared ({declared})")
        query = f"(from {table}_declared limit 0) union all by name ({query})"
    else:
        query = node["compiled_code"]
    connection.execute(f"create table {table} as {query}")


def files(landing: Path, source: dict[str, Any]) -> str:
    """What reads all files of a stream, with the lineage columns that some models use."""
    folder = landing / source["source_name"] / source["name"]
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    listed = "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
    if ".parquet" in paths[0]:
        relation = (
            f"read_parquet({listed}, union_by_name = true, hive_partitioning = false,"
            " filename = '_source_file', file_row_number = true)"
        )
        columns = "* rename (file_row_number as _source_row), 1 as _cursor_version"
        return f"(select {columns} from {relation})"
    relation = f"read_csv({listed}, header = true, union_by_name = true, filename = '_source_file')"
    return f"(select *, row_number() over () as _source_row, 1 as _cursor_version from {relation})"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
