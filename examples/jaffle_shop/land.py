"""Land the shop's three CSV files with dlt, where the feeder finds them.

    python land.py [FOLDER or URL]      # default: data/

Each load writes one CSV for each table, in the folder of its day. Nothing is compared here: in the
lake, a row that lands again replaces the earlier one of its id.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

# No statistics about this machine to anybody.
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")

import dlt

TABLES = ("customers", "orders", "payments")
# The landing zone's layout below the folder of the source.
LAYOUT = "{table_name}/year={YYYY}/month={MM}/day={DD}/{load_id}.{file_id}.{ext}"


def rows(place: str, table: str) -> Iterator[dict[str, str]]:
    """The rows of a table's CSV, as text: the lake has the types."""
    name = f"raw_{table}.csv"
    if "://" in place:
        with urlopen(f"{place.rstrip('/')}/{name}") as answer:
            text = answer.read().decode("utf-8-sig")
    else:
        text = (Path(place) / name).read_text(encoding="utf-8-sig")
    yield from csv.DictReader(io.StringIO(text))


def main(place: str) -> None:
    """Land all three."""
    landing = os.environ.get("LAKE_LANDING_URL") or ".lake/landing/raw"
    if "://" not in landing:
        landing = Path(landing).resolve().as_uri()
    pipeline = dlt.pipeline(
        pipeline_name="jaffle_shop",
        pipelines_dir=os.environ.get("DLT_DATA_DIR") or ".lake/dlt",
        destination=dlt.destinations.filesystem(bucket_url=landing, layout=LAYOUT),
        # The folder of the source.
        dataset_name="jaffle_shop",
    )
    tables = [
        dlt.resource(rows(place, table), name=table, write_disposition="append") for table in TABLES
    ]
    print(pipeline.run(tables, loader_file_format="csv"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data")
