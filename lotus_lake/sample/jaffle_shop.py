"""The three CSV streams of `jaffle_shop`, the small shop that many dbt projects start from."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lotus_lake.sample.landing import DeliveredFile
from lotus_lake.sample.shop import DAY, Size
from lotus_lake.sample.words import JAFFLE_NAMES

Row = tuple[object, ...]

HEADERS = {
    "customers": ("id", "first_name", "last_name"),
    "orders": ("id", "user_id", "order_date", "status"),
    "payments": ("id", "order_id", "payment_method", "amount"),
}
STATUSES = ("completed", "completed", "completed", "shipped", "placed", "returned")
METHODS = ("credit_card", "credit_card", "bank_transfer", "coupon", "gift_card")
# A delivery every third day.
RHYTHM_DAYS = 3
# The streams are small beside the others; they do not grow with a large Shopify shop.
MOST_ORDERS = 20_000


def jaffle_shop_files(size: Size) -> list[tuple[DeliveredFile, bytes]]:
    """Return the CSV files with their content.

    Every delivery has new rows and repeats the last row of the previous one, unchanged. The second
    delivery of each stream begins with a byte order mark, the third is compressed.
    """
    orders_in_all = max(20, min(size.orders // 10, MOST_ORDERS))
    deliveries = max(3, size.days // RHYTHM_DAYS)
    dice = random.Random(f"{size.seed} jaffle_shop")
    customers_in_all = max(10, orders_in_all // 3)
    rows: dict[str, list[list[Row]]] = {stream: [] for stream in HEADERS}
    next_payment = 1
    for delivery in range(deliveries):
        customers = range(
            1 + delivery * customers_in_all // deliveries,
            1 + (delivery + 1) * customers_in_all // deliveries,
        )
        rows["customers"].append(
            [(number, *JAFFLE_NAMES[dice.randrange(len(JAFFLE_NAMES))]) for number in customers]
        )
        orders: list[Row] = []
        payments: list[Row] = []
        for number in range(
            1 + delivery * orders_in_all // deliveries,
            1 + (delivery + 1) * orders_in_all // deliveries,
        ):
            day = size.start + timedelta(days=delivery * RHYTHM_DAYS + dice.randrange(RHYTHM_DAYS))
            customer = dice.randrange(1, max(2, customers.stop))
            orders.append((number, customer, day.isoformat(), dice.choice(STATUSES)))
            # Most orders are paid at once, some in two payments, a few not yet.
            for _ in range(dice.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))):
                cents = 100 * dice.randrange(1, 31) + dice.choice((0, 0, 50, 99))
                payments.append((next_payment, number, dice.choice(METHODS), cents))
                next_payment += 1
        rows["orders"].append(orders)
        rows["payments"].append(payments)
    return [
        _file(size, stream, delivery, stream_rows)
        for stream, stream_rows in rows.items()
        for delivery in range(deliveries)
    ]


def _file(
    size: Size, stream: str, delivery: int, deliveries: Sequence[Sequence[Row]]
) -> tuple[DeliveredFile, bytes]:
    """Return one delivery of one stream and its content."""
    repeated = list(deliveries[delivery - 1][-1:]) if delivery else []
    rows = [*repeated, *deliveries[delivery]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADERS[stream])
    writer.writerows(rows)
    content = text.getvalue().encode()
    name = f"{stream}_{delivery}.csv"
    cases: tuple[str, ...] = ()
    if delivery == 1:
        content, cases = b"\xef\xbb\xbf" + content, ("byte_order_mark",)
    if delivery == 2:
        # Without the time of compression, so that the same rows give the same bytes.
        content, cases, name = gzip.compress(content, mtime=0), ("gzip",), f"{name}.gz"
    arrived_at = datetime.fromtimestamp(
        size.start_seconds + (delivery + 1) * RHYTHM_DAYS * DAY + 5 * 3600, tz=UTC
    )
    file = DeliveredFile(
        path=f"jaffle_shop/{stream}/{arrived_at:year=%Y/month=%m/day=%d}/{name}",
        source="jaffle_shop",
        stream=stream,
        sync_id=None,
        arrived_at=arrived_at,
        rows=len(rows),
        bytes=len(content),
        cases=cases,
    )
    return file, content
