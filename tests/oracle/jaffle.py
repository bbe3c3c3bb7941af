"""The jaffle shop: plain CSV files, in which the last row landed for a key is the truth."""

from __future__ import annotations

from typing import Any

from .values import Record, day, exact_or_zero, integer, money, text, total

_METHODS = ("credit_card", "coupon", "bank_transfer", "gift_card")


def last_landed(records: list[Record]) -> dict[int, Record]:
    """Return the last record of each key; ``records`` come in reading order."""
    found = ((integer(record.get("id")), record) for record in records)
    return {key: record for key, record in found if key is not None}


def orders(orders_landed: list[Record], payments_landed: list[Record]) -> list[Record]:
    """Return one row per order, with what was paid by each method in whole currency units."""
    payments: dict[int | None, list[Record]] = {}
    for payment in last_landed(payments_landed).values():
        payments.setdefault(integer(payment.get("order_id")), []).append(payment)
    rows = []
    for order_id, record in last_landed(orders_landed).items():
        row: Record = {
            "order_id": order_id,
            "customer_id": integer(record.get("user_id")),
            "order_date": day(record.get("order_date")),
            "status": text(record.get("status")),
        }
        paid = [
            (text(payment.get("payment_method")), exact_or_zero(payment.get("amount")) / 100)
            for payment in payments.get(order_id, [])
        ]
        for method in _METHODS:
            row[f"{method}_amount"] = money(total(amount for by, amount in paid if by == method))
        row["amount"] = money(total(amount for _, amount in paid))
        rows.append(row)
    return rows


def customers(customers_landed: list[Record], order_rows: list[Record]) -> list[Record]:
    """Return one row per customer; one without orders has none and is worth nothing."""
    by_customer: dict[int | None, list[Record]] = {}
    for order in order_rows:
        by_customer.setdefault(order["customer_id"], []).append(order)
    rows = []
    for customer_id, record in last_landed(customers_landed).items():
        own = by_customer.get(customer_id, [])
        days: list[Any] = [order["order_date"] for order in own if order["order_date"] is not None]
        rows.append(
            {
                "customer_id": customer_id,
                "first_name": text(record.get("first_name")),
                "last_name": text(record.get("last_name")),
                "first_order": min(days, default=None),
                "most_recent_order": max(days, default=None),
                "number_of_orders": len(own),
                "customer_lifetime_value": money(total(order["amount"] for order in own)),
            }
        )
    return rows
