"""A sample landing zone: a small shop that never was, delivered as Airbyte would deliver it.

Everything is computed set-wise by DuckDB, from hashes: `shop.sql` has what happens in the shop,
`deliveries.sql` what of it lands in which file, `records.sql` what the records look like. The same
arguments give the same files, byte for byte, with the same modification times.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

SOURCES = {"shopify", "klaviyo", "ads"}
DAY = 86_400
# What is rendered at once: bounds memory.
ROWS_AT_ONCE = 40_000


class LandingError(ValueError):
    """The landing zone cannot be written as asked; the message is one line for the user."""


@dataclass(frozen=True)
class DeliveredFile:
    """A file of the landing zone; `arrived_at` is also its modification time."""

    path: str
    arrived_at: datetime
    rows: int

    @property
    def source(self) -> str:
        return self.path.split("/")[0]

    @property
    def stream(self) -> str:
        return self.path.split("/")[1]


@dataclass(frozen=True)
class Delivery:
    """A landing zone as delivered: `files` are in order of arrival, bad ones included."""

    out: Path
    files: tuple[DeliveredFile, ...]


def generate(
    out: Path,
    *,
    orders: int,
    days: int,
    seed: int,
    start: date,
    bad_files: bool = False,
    force: bool = False,
) -> Delivery:
    """Write a sample landing zone to `out` and return what was delivered.

    `orders` are placed during `days` days from `start` (UTC). `bad_files` adds files that a feeder
    must refuse. `out` must not exist or be empty, unless `force` is set and it holds nothing but a
    landing zone.
    """
    from sample.bad_files import add_bad_files

    if not 7 <= days <= 3650 or orders < days:
        raise LandingError(f"7 to 3650 days with an order each are needed, not {orders} in {days}")
    _check_target(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        landing = Path(folder, "landing")
        with duckdb.connect(config={"temp_directory": folder, "memory_limit": "3GB"}) as connection:
            _build(connection, orders, days, seed, start)
            files = list(_write_files(connection, landing))
        if bad_files:
            files = add_bad_files(landing, files)
        if out.exists():
            shutil.rmtree(out)
        landing.rename(out)
    return Delivery(out, tuple(sorted(files, key=lambda file: (file.arrived_at, file.path))))


def _check_target(out: Path, force: bool) -> None:
    """Raise LandingError if writing to `out` would lose something."""
    if out.exists() and not out.is_dir():
        raise LandingError(f"{out} is not a directory")
    entries = {entry.name for entry in out.iterdir()} if out.exists() else set()
    if entries and not force:
        raise LandingError(f"{out} is not empty; --force replaces it")
    if not entries <= SOURCES:
        raise LandingError(f"{out} holds more than a landing zone; remove it yourself")


def _build(
    connection: duckdb.DuckDBPyConnection,
    orders: int,
    days: int,
    seed: int,
    start: date,
) -> None:
    """Build the shop, its deliveries and the views that render their records."""
    midnight = int(datetime.combine(start, time(), UTC).timestamp())
    numbers = {
        "seed": seed,
        "orders": orders,
        "days": days,
        "start": midnight,
        "until": midnight + days * DAY,
        "seconds": days * DAY,
        "half_way": midnight + days * DAY // 2,
        "old_customers": 10 + orders // 20,
    }
    connection.execute("set timezone = 'UTC'")
    for name, number in numbers.items():
        connection.execute(f"set variable {name} = {number}::bigint")
    connection.execute(f"set variable first_day = date '{start}'")
    for script in ("words", "shop", "deliveries", "records"):
        connection.execute(Path(__file__).with_name(f"{script}.sql").read_text())


def _write_files(connection: duckdb.DuckDBPyConnection, landing: Path) -> Iterator[DeliveredFile]:
    """Write all files; neighbours of one schema are rendered by one query."""
    planned = connection.execute("from files").to_arrow_table().to_pylist()

    def batch_of(file: dict[str, Any]) -> tuple[Any, ...]:
        batch = file["first_row"] // ROWS_AT_ONCE
        return file["stream"], file["added"], file["replaced"], batch

    for (stream, added, replaced, _), batch in groupby(planned, batch_of):
        files = list(batch)
        first, last = files[0]["first_row"], files[-1]["first_row"] + files[-1]["row_count"] - 1
        columns = f"* replace ({replaced})" if replaced else "*"
        table = connection.execute(
            f'select {columns}, {added or ""} from "{stream}"'
            f" where row_no between {first} and {last}"
        ).to_arrow_table()
        # Arrow sorts nested rows several times faster.
        table = _typed(table.sort_by("row_no").drop_columns("row_no"))
        for file in files:
            rows = table.slice(file["first_row"] - first, file["row_count"])
            delivered = DeliveredFile(file["path"], file["arrived_at"], rows.num_rows)
            write(landing, delivered, _csv(rows, delivered) if ".csv" in delivered.path else rows)
            yield delivered


def _typed(table: pa.Table) -> pa.Table:
    """Give the time of extraction the type that Airbyte's files have and DuckDB has not."""
    position = table.schema.get_field_index("_airbyte_extracted_at")
    if position < 0:
        return table
    times = table.column(position).cast(pa.timestamp("ms", "UTC"))
    return table.set_column(position, "_airbyte_extracted_at", times)


def _csv(rows: pa.Table, file: DeliveredFile) -> bytes:
    """Return rows as CSV; the second file of a stream has a byte order mark, one is compressed."""
    content = io.BytesIO(b"\xef\xbb\xbf" if file.path.endswith("_1.csv") else b"")
    content.seek(0, io.SEEK_END)
    csv.write_csv(rows, content)
    # Without the time of compression.
    zipped = file.path.endswith(".gz")
    return gzip.compress(content.getvalue(), mtime=0) if zipped else content.getvalue()


def write(landing: Path, file: DeliveredFile, content: pa.Table | bytes) -> None:
    """Write a file with its modification time."""
    path = landing / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        # Airbyte's writer knows nothing of Arrow.
        pq.write_table(
            content, path, store_schema=False, write_statistics=["_airbyte_generation_id"]
        )
    os.utime(path, (file.arrived_at.timestamp(), file.arrived_at.timestamp()))
