"""Reading the landing zone: which files there are, and what records each holds.

A file's format is what its first bytes say it is. Names and extensions are not trusted
(``part_0.parquet-1``), and neither is the order in which files appear.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Container, Iterable
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .values import Record

AD_KEY = ("date", "platform", "campaign", "currency")
AIRBYTE_COLUMNS = (
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_generation_id",
    "_airbyte_meta",
)
_KLAVIYO = ("id", "attributes", "relationships", "updated", "updated_at", "datetime")

# The root columns the contract's tables need, per stream; reading no others keeps the oracle fast.
STREAMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("shopify", "orders"): (
        *("id", "name", "email", "customer", "customer_id", "created_at", "updated_at"),
        *("deleted_at", "cancelled_at", "cancel_reason", "test", "financial_status"),
        *("fulfillment_status", "currency", "taxes_included", "total_discounts", "total_tax"),
        *("total_tip_received", "total_price", "total_shipping_price_set", "source_name"),
        *("processed_at", "discount_codes", "shipping_lines", "shipping_address", "checkout_id"),
        "line_items",
    ),
    ("shopify", "customers"): (
        *("id", "email", "first_name", "last_name", "created_at", "updated_at", "orders_count"),
        *("total_spent", "tags", "state", "default_address", "accepts_marketing"),
        "email_marketing_consent",
    ),
    ("shopify", "order_refunds"): (
        *("id", "order_id", "created_at", "processed_at", "refund_line_items"),
        *("order_adjustments", "transactions"),
    ),
    ("shopify", "products"): (
        *("id", "created_at", "updated_at", "deleted_at", "product_type", "status", "tags"),
    ),
    ("shopify", "product_variants"): (
        *("id", "product_id", "updated_at", "sku", "title", "price", "compare_at_price"),
        "inventory_item_id",
    ),
    ("shopify", "inventory_items"): ("id", "updated_at", "cost"),
    ("shopify", "inventory_levels"): (
        *("id", "updated_at", "inventory_item_id", "location_id", "available"),
    ),
    ("shopify", "locations"): ("id", "updated_at", "name"),
    ("shopify", "transactions"): (
        *("id", "order_id", "created_at", "processed_at", "kind", "status", "gateway"),
        *("currency", "amount", "test"),
    ),
    ("shopify", "fulfillments"): (
        *("id", "order_id", "created_at", "updated_at", "status", "shipment_status"),
        *("tracking_company", "line_items"),
    ),
    # No table of the contract needs a column of these; a code is what orders and checkouts carry.
    ("shopify", "discount_codes"): ("id",),
    ("shopify", "abandoned_checkouts"): (
        *("id", "created_at", "updated_at", "completed_at", "customer", "email", "currency"),
        *("total_price", "discount_codes"),
    ),
    ("klaviyo", "profiles"): _KLAVIYO,
    ("klaviyo", "events"): _KLAVIYO,
    ("klaviyo", "campaigns"): _KLAVIYO,
    ("klaviyo", "flows"): _KLAVIYO,
    ("klaviyo", "metrics"): _KLAVIYO,
    ("klaviyo", "lists"): _KLAVIYO,
    ("ads", "spend"): (*AD_KEY, "cost", "impressions", "clicks"),
}

_DAY = re.compile(r"year=(\d+)/month=(\d+)/day=(\d+)/")
# Nested columns of a CSV file are one long field each; the default limit is 128 KiB.
_CSV_FIELD_LIMIT = 2**27


class Unreadable(Exception):
    """A file that holds no usable records; the message says why."""


def landed(landing: Path) -> list[str]:
    """Return every file of a known stream, relative to ``landing``, in reading order."""
    paths = (
        path.relative_to(landing).as_posix()
        for source, stream in STREAMS
        for path in (landing / source / stream).rglob("*")
        if path.is_file()
    )
    return sorted(paths, key=reading_order)


def stream_of(path: str) -> tuple[str, str]:
    """Return the source and stream that a relative path belongs to."""
    parts = PurePosixPath(path).parts
    if len(parts) < 3 or (parts[0], parts[1]) not in STREAMS:
        raise ValueError(f"{path} does not belong to a known stream")
    return parts[0], parts[1]


def key_of(stream: tuple[str, str]) -> tuple[str, ...]:
    """Return the columns without which a file says nothing."""
    return AD_KEY if stream == ("ads", "spend") else ("id",)


def reading_order(path: str) -> tuple[Any, ...]:
    """Return the sort key (day folder, natural file name): ``part_9`` is before ``part_10``."""
    found = _DAY.search(path)
    day = tuple(int(number) for number in found.groups()) if found else ()
    # Splitting on digits alternates text and numbers, so like is always compared with like.
    pieces = re.split(r"(\d+)", PurePosixPath(path).name)
    natural = tuple(int(piece) if at % 2 else piece for at, piece in enumerate(pieces))
    return day, natural, path


def read(landing: Path, path: str) -> list[Record]:
    """Return the records of one file, in file order; raises `Unreadable`."""
    stream = stream_of(path)
    columns, key = (*STREAMS[stream], *AIRBYTE_COLUMNS), key_of(stream)
    content = (landing / path).read_bytes()
    if not content:
        raise Unreadable("empty file")
    if content.startswith(b"PARE"):
        raise Unreadable("encrypted Parquet footer")
    is_parquet = content.startswith(b"PAR1")
    records = _parquet(content, columns, key) if is_parquet else _plain_text(content, key)
    if not records:
        raise Unreadable("no rows")
    return records


def read_all(
    landing: Path, files: Iterable[str] | None
) -> tuple[dict[tuple[str, str], list[Record]], dict[str, str]]:
    """Return the records per stream in reading order, and the reason per file left out."""
    paths = landed(landing) if files is None else sorted(set(files), key=reading_order)
    records: dict[tuple[str, str], list[Record]] = {stream: [] for stream in STREAMS}
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            records[stream_of(path)] += read(landing, path)
        except Unreadable as problem:
            left_out[path] = str(problem)
    return records, left_out


def _parquet(content: bytes, columns: Iterable[str], key: tuple[str, ...]) -> list[Record]:
    try:
        # ParquetFile and not read_table: the latter adds year, month and day from the path.
        file = pq.ParquetFile(pa.BufferReader(content))
        names = set(file.schema_arrow.names)
        _check_key(key, names)
        table = file.read(columns=[name for name in columns if name in names])
    except (pa.ArrowException, OSError) as problem:
        raise Unreadable(f"not a whole Parquet file: {problem}") from problem
    return table.to_pylist()  # type: ignore[no-any-return]


def _check_key(key: tuple[str, ...], names: Container[str]) -> None:
    for column in key:
        if column not in names:
            raise Unreadable(f"no column {column}")


def _plain_text(content: bytes, key: tuple[str, ...]) -> list[Record]:
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as problem:
            raise Unreadable(f"not a whole gzip file: {problem}") from problem
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise Unreadable("neither Parquet nor UTF-8 text") from problem
    if "\0" in decoded:
        raise Unreadable("neither Parquet nor text")
    return _jsonl(decoded, key) if decoded.lstrip().startswith("{") else _csv(decoded, key)


def _jsonl(decoded: str, key: tuple[str, ...]) -> list[Record]:
    records = []
    # split, not splitlines: JSON strings may hold U+2028, which splitlines takes for a line end.
    for line in decoded.split("\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_float=Decimal)
        except ValueError as problem:
            raise Unreadable(f"not a whole JSON line: {problem}") from problem
        if not isinstance(record, dict):
            raise Unreadable("a JSON line that is not an object")
        records.append(record)
    _check_key(key, {name for record in records for name in record})
    return records


def _csv(decoded: str, key: tuple[str, ...]) -> list[Record]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(decoded, newline=""), strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as problem:
        raise Unreadable(f"not a whole CSV file: {problem}") from problem
    _check_key(key, rows[0] if rows else ())
    header = rows.pop(0)
    if any(len(row) != len(header) for row in rows):
        raise Unreadable("a CSV row with more or fewer fields than the header")
    # CSV cannot tell an empty text from a missing one.
    return [{name: value or None for name, value in zip(header, row, strict=True)} for row in rows]
