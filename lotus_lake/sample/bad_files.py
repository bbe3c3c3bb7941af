"""Files that a feeder must refuse, and a file whose content changes under the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from lotus_lake.sample.landing import DeliveredFile, set_modified, write_bytes

GARBAGE = b'<html><body>503 Service Unavailable: it\'s "down"</body></html>\n' * 40


def add_bad_files(landing: Path, files: Sequence[DeliveredFile]) -> tuple[DeliveredFile, ...]:
    """Make a landing zone bad in known ways; return all its files in order of arrival.

    `files` are the good files that lie below `landing`. The bad ones arrive an hour after all of
    them, each beside the newest good file of its stream. Their cases:

    `bad_truncated` (orders: the first half of a good file), `bad_empty` (order_refunds: 0 bytes),
    `bad_no_rows` (customers: a schema without rows; nothing to feed, and nothing wrong in it),
    `bad_lossy` (orders: `total_price` is text, in part not a number), `bad_garbage` (events: an
    error page named .parquet), `overwritten` (profiles: the oldest file now has its rows in
    reverse order, the first twice; no record is lost). Only the last replaces an existing file.
    """
    arrived_at = max(file.arrived_at for file in files) + timedelta(hours=1)
    orders = _newest(files, "orders")
    refunds = _newest(files, "order_refunds")
    customers = _newest(files, "customers")
    events = _newest(files, "events")
    bad = [
        _truncated(landing, orders, arrived_at),
        _bytes(landing, refunds, "bad_empty", b"", arrived_at + timedelta(seconds=1)),
        _no_rows(landing, customers, arrived_at + timedelta(seconds=2)),
        _lossy(landing, orders, arrived_at + timedelta(seconds=3)),
        _bytes(landing, events, "bad_garbage", GARBAGE, arrived_at + timedelta(seconds=4)),
    ]
    oldest = next(file for file in files if file.stream == "profiles")
    overwritten = _overwritten(landing, oldest, arrived_at + timedelta(seconds=5))
    kept = [file for file in files if file.path != overwritten.path]
    return tuple(sorted([*kept, *bad, overwritten], key=lambda file: (file.arrived_at, file.path)))


def _newest(files: Sequence[DeliveredFile], stream: str) -> DeliveredFile:
    """Return the file of a stream that lies in the newest folder, the last by name."""
    return max((file for file in files if file.stream == stream), key=lambda file: file.path)


def _beside(good: DeliveredFile, case: str, arrived_at: datetime) -> DeliveredFile:
    """Return a file in the folder of a good one, named after what is wrong with it."""
    path = str(PurePosixPath(good.path).with_name(f"{case.removeprefix('bad_')}_0.parquet"))
    return replace(good, path=path, arrived_at=arrived_at, rows=0, bytes=0, cases=(case,))


def _bytes(
    landing: Path, good: DeliveredFile, case: str, content: bytes, arrived_at: datetime
) -> DeliveredFile:
    """Write given bytes as a file beside a good one."""
    file = _beside(good, case, arrived_at)
    write_bytes(landing / file.path, content, arrived_at)
    return replace(file, bytes=len(content))


def _truncated(landing: Path, good: DeliveredFile, arrived_at: datetime) -> DeliveredFile:
    """Write the first half of a good file, as an upload that broke off."""
    content = (landing / good.path).read_bytes()
    return _bytes(landing, good, "bad_truncated", content[: len(content) // 2], arrived_at)


def _no_rows(landing: Path, good: DeliveredFile, arrived_at: datetime) -> DeliveredFile:
    """Write a valid file with the columns of a good one and no rows."""
    file = _beside(good, "bad_no_rows", arrived_at)
    schema = pq.read_schema(landing / good.path)
    return _table(landing, file, schema.empty_table())


def _lossy(landing: Path, good: DeliveredFile, arrived_at: datetime) -> DeliveredFile:
    """Write a good file's rows with `total_price` as text, in every third row not a number."""
    file = _beside(good, "bad_lossy", arrived_at)
    table = pq.ParquetFile(landing / good.path).read()
    prices = [
        "n/a" if row % 3 == 0 else str(price)
        for row, price in enumerate(table.column("total_price").to_pylist())
    ]
    position = table.schema.get_field_index("total_price")
    table = table.set_column(position, "total_price", pa.array(prices, type=pa.string()))
    return _table(landing, file, table)


def _overwritten(landing: Path, good: DeliveredFile, arrived_at: datetime) -> DeliveredFile:
    """Overwrite a good file with its rows in reverse order and the first of them twice."""
    file = replace(good, arrived_at=arrived_at, cases=(*good.cases, "overwritten"))
    table = pq.ParquetFile(landing / good.path).read()
    reverse = list(range(table.num_rows - 1, -1, -1))
    return _table(landing, file, table.take([*reverse, 0]))


def _table(landing: Path, file: DeliveredFile, table: pa.Table) -> DeliveredFile:
    """Write a table as a file and return the file with its counts."""
    path = landing / file.path
    pq.write_table(table, path, compression="zstd")
    set_modified(path, file.arrived_at)
    return replace(file, rows=table.num_rows, bytes=path.stat().st_size)
