"""Exchange rates of an HTTP API, landed by dlt where the feeder finds them.

    RATES_URL=https://rates.example.com/v1/rates LAKE_LANDING_URL=.lake/landing/raw \
        .venv/bin/python examples/exchange_rates.py

What Airbyte has no connector for lands the same way: one Parquet file for each load, in the folder
of its day. docs/dlt.md says how it becomes a stream.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# No statistics about this machine to anybody.
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")

import dlt
from dlt.sources.helpers import requests

# The landing zone's layout below the folder of the source.
LAYOUT = "{table_name}/year={YYYY}/month={MM}/day={DD}/{load_id}.{file_id}.{ext}"


@dlt.resource(
    name="daily",
    write_disposition="append",
    # Types are declared, so that a day without decimals does not land as another type.
    columns={"rate": {"data_type": "double"}, "updated_at": {"data_type": "timestamp"}},
)
def daily_rates(
    url: str,
    updated: Any = dlt.sources.incremental(  # noqa: B008 - dlt reads it from here
        "updated_at", initial_value="2020-01-01T00:00:00Z"
    ),
) -> Iterator[list[dict[str, Any]]]:
    """Rates that changed since the last run, page by page."""
    page: str | None = f"{url}?updated_since={updated.last_value}"
    while page:
        answer = requests.get(page).json()
        if answer["rates"]:
            yield answer["rates"]
        page = answer.get("next")


def main() -> int:
    """Land what is new."""
    url = os.environ.get("RATES_URL")
    if not url:
        print("exchange_rates: RATES_URL is not set; give it the API's address.", file=sys.stderr)
        return 64
    landing = os.environ.get("LAKE_LANDING_URL") or ".lake/landing/raw"
    if "://" not in landing:
        landing = Path(landing).resolve().as_uri()
    pipeline = dlt.pipeline(
        pipeline_name="exchange_rates",
        # What dlt remembers between runs; a pod keeps nothing here, and asks the destination.
        pipelines_dir=os.environ.get("DLT_DATA_DIR"),
        destination=dlt.destinations.filesystem(bucket_url=landing, layout=LAYOUT),
        # The folder of the source.
        dataset_name="rates",
    )
    print(pipeline.run(daily_rates(url), loader_file_format="parquet"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
