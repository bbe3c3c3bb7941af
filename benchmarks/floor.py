"""The floors of a first load: plain DuckDB into an equal DuckLake (SQLite catalog, local files).

    python -m benchmarks.floor LANDING LAKE [--physical]

Each landed file is read once, all its columns, and written as staging; then the tables of
`floor.sql` follow. `--physical` stops after staging. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.harness import peak_memory, plain_lake


def main(landing: Path, lake: Path, physical: bool) -> None:
    lake.mkdir(parents=True)
    connection = plain_lake(lake, "3GB")
    started, used = time.perf_counter(), time.process_time()
    connection.execute("create schema staging")
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    for folder in sorted(landing.glob("*/*")):
        connection.execute(
            f"create table staging.{folder.parent.name}_{folder.name} as from {files(folder)}"
        )
    figures: dict[str, float] = {}
    if not physical:
        connection.execute(Path(__file__).with_suffix(".sql").read_text())
    figures["seconds"] = round(time.perf_counter() - started, 2)
    figures["processor_seconds"] = round(time.process_time() - used, 2)
    figures["peak_mb"] = peak_memory()
    if not physical:
        row = connection.execute("select sum(total_sales) from fct_sales").fetchone()
        figures["total_sales"] = float(row[0]) if row else 0
    print(json.dumps(figures))


def files(folder: Path) -> str:
    """Return what reads all files of a stream, with the file that each row is from."""
    paths = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    if ".csv" in paths[0]:
        dialect = "header = true, delim = ',', quote = '\"', escape = '\"'"
        return f"read_csv({paths}, {dialect}, filename = true)"
    options = "union_by_name = true, hive_partitioning = false"
    return f"read_parquet({paths}, {options}, filename = true, file_row_number = true)"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), "--physical" in sys.argv)
