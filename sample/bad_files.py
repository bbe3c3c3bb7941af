"""Files that a feeder must refuse, and a file whose content changes under the same name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from sample import DeliveredFile, write

GARBAGE = b'<html><body>503 Service Unavailable: it\'s "down"</body></html>\n' * 40


def add_bad_files(landing: Path, files: Sequence[DeliveredFile]) -> list[DeliveredFile]:
    """Make a landing zone bad, an hour after all else arrived; return all its files.

    Bad files lie beside the newest good ones of their streams. The oldest file of profiles is
    overwritten: its rows come in reverse order, the first of them twice.
    """
    arrived_at = max(file.arrived_at for file in files) + timedelta(hours=1)
    by_path = sorted((file for file in files if ".csv" not in file.path), key=lambda it: it.path)
    newest = {file.stream: file for file in by_path}
    orders = landing / newest["orders"].path
    half = orders.read_bytes()[: orders.stat().st_size // 2]
    no_rows = pq.read_schema(landing / newest["customers"].path).empty_table()
    bad: dict[str, tuple[str, bytes | pa.Table]] = {
        "truncated": ("orders", half),
        "empty": ("order_refunds", b""),
        "no_rows": ("customers", no_rows),
        "lossy": ("orders", _lossy(pq.ParquetFile(orders).read())),
        "garbage": ("events", GARBAGE),
    }
    made = []
    for name, (stream, content) in bad.items():
        path = PurePosixPath(newest[stream].path).with_name(f"{name}_0.parquet")
        made.append(DeliveredFile(str(path), arrived_at, 0))
        write(landing, made[-1], content)
    oldest = next(file for file in by_path if file.stream == "profiles")
    rows = pq.ParquetFile(landing / oldest.path).read()
    rows = rows.take([*reversed(range(rows.num_rows)), 0])
    overwritten = DeliveredFile(oldest.path, arrived_at + timedelta(seconds=1), rows.num_rows)
    write(landing, overwritten, rows)
    return [*(file for file in files if file != oldest), *made, overwritten]


def _lossy(table: pa.Table) -> pa.Table:
    """Return orders with `total_price` as text, in every third row not a number."""
    position = table.schema.get_field_index("total_price")
    prices = [
        "n/a" if row % 3 == 0 else str(price)
        for row, price in enumerate(table.column(position).to_pylist())
    ]
    return table.set_column(position, "total_price", pa.array(prices, pa.string()))
