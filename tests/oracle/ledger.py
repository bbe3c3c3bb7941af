"""The sales ledger: what the shop's own report books, when it books it (contract, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from .values import Record, day_in, group, money_or_zero

AMOUNTS = ("gross_sales", "discounts", "returns", "shipping", "taxes", "tips")
_ZERO = Decimal("0.00")


def ledger(
    orders: list[Record], lines: list[Record], refunds: list[Record], zone: ZoneInfo
) -> list[Record]:
    """Return the movements of the orders that are neither test nor deleted."""
    lines_of, refunds_of = group(lines, "order_id"), group(refunds, "order_id")
    rows: list[Record] = []
    for order in orders:
        if order["is_deleted"] or order["is_test_order"]:
            continue
        own_lines = lines_of.get(order["order_id"], [])
        booked = _sale(order, own_lines)
        line_of = {line["order_line_id"]: line for line in reversed(own_lines)}
        for refund in refunds_of.get(order["order_id"], []):
            booked += _return(order, refund, line_of)
        if order["cancelled_at"] is not None:
            booked += _cancellation(order, booked)
        rows += [_finished(order, row, zone) for row in booked]
    return rows


def _sale(order: Record, lines: list[Record]) -> list[Record]:
    at = order["order_date"]
    rows = [
        _movement(
            *("sale", at, _line_type(line), line),
            quantity=line["quantity"] or 0,
            gross_sales=money_or_zero(line["_gross_sales"]),
            discounts=money_or_zero(line["_discount"]),
            taxes=money_or_zero(line["_tax"]),
        )
        for line in lines
    ]
    gross_sales, discounts = money_or_zero(order["gross_sales"]), money_or_zero(order["discounts"])
    if rows:
        largest = _largest(rows, lambda at: lines[at]["_price_times_quantity"])
        _add_remainder(rows, largest, "gross_sales", gross_sales)
        _add_remainder(rows, largest, "discounts", discounts)
    line_taxes = sum((row["taxes"] for row in rows), _ZERO)
    others = [
        _movement("sale", at, "shipping", shipping=money_or_zero(order["shipping"])),
        _movement("sale", at, "tip", tips=money_or_zero(order["tips"])),
    ]
    others[0]["taxes"] = money_or_zero(order["taxes"]) - line_taxes
    if not rows:
        others.append(_movement("sale", at, "adjustment", discounts=discounts))
    return rows + [row for row in others if _books(row)]


def _return(order: Record, refund: Record, line_of: dict[Any, Record]) -> list[Record]:
    at, lines, included = refund["refunded_at"], refund["_lines"], order["taxes_included"]
    rows = [
        _movement(
            *("return", at, _line_type(sold), {**sold, "order_line_id": line["order_line_id"]}),
            quantity=-line["quantity"],
            returns=money_or_zero(line["_subtotal"] - (line["_tax"] if included else 0)),
            taxes=-money_or_zero(line["_tax"]),
        )
        for line in lines
        for sold in [line_of.get(line["order_line_id"], {})]
    ]
    line_taxes = money_or_zero(refund["returned_line_taxes"])
    if rows:
        largest = _largest(rows, lambda at: lines[at]["_subtotal"])
        returned = money_or_zero(refund["returned_merchandise"])
        _add_remainder(rows, largest, "returns", returned - (line_taxes if included else 0))
        _add_remainder(rows, largest, "taxes", -line_taxes)
    others = [
        _movement(
            *("return", at, "shipping"),
            shipping=-money_or_zero(refund["returned_shipping"]),
            taxes=line_taxes - money_or_zero(refund["returned_taxes"]),
        ),
        _movement(
            *("return", at, "adjustment"),
            returns=money_or_zero(refund["refund_discrepancy"]),
            taxes=-money_or_zero(refund["refund_discrepancy_taxes"]),
        ),
    ]
    return rows + [row for row in others if _books(row)]


def _cancellation(order: Record, booked: list[Record]) -> list[Record]:
    """Return the negation of what sale and returns leave, line by line."""
    rows = []
    for own in group(booked, "line_type", "order_line_id").values():

        def left(name: str, own: list[Record] = own) -> Any:
            return sum((row[name] for row in own), 0 if name == "quantity" else _ZERO)

        row = _movement(
            *("cancellation", order["cancelled_at"], own[0]["line_type"], own[0]),
            quantity=-left("quantity"),
            returns=left("gross_sales") - left("discounts") - left("returns"),
            **{name: -left(name) for name in ("shipping", "taxes", "tips")},
        )
        if _books(row):
            rows.append(row)
    return rows


def _movement(
    movement: str, at: Any, line_type: str, line: Record | None = None, **figures: Any
) -> Record:
    line = line or {}
    return {
        "movement": movement,
        "happened_at": at,
        "line_type": line_type,
        **{name: line.get(name) for name in ("order_line_id", "product_id", "variant_id")},
        "quantity": 0,
        **dict.fromkeys(AMOUNTS, _ZERO),
        **figures,
    }


def _line_type(line: Record) -> str:
    return "gift_card" if line.get("is_gift_card") else "product"


def _largest(rows: list[Record], size: Callable[[int], Fraction]) -> Record:
    """Return the row of the largest line, of equals the lowest id."""

    def rank(at: int) -> tuple[Any, ...]:
        line_id = rows[at]["order_line_id"]
        return size(at), line_id is not None, -(line_id or 0)

    return rows[max(range(len(rows)), key=rank)]


def _add_remainder(rows: list[Record], largest: Record, name: str, wanted: Decimal) -> None:
    largest[name] += wanted - sum((row[name] for row in rows), _ZERO)


def _books(row: Record) -> bool:
    return any(row[name] for name in ("quantity", *AMOUNTS))


def _finished(order: Record, row: Record, zone: ZoneInfo) -> Record:
    net_sales = row["gross_sales"] - row["discounts"] - row["returns"]
    return {
        **row,
        **{name: order[name] for name in ("order_id", "customer_id", "currency")},
        "sale_day": day_in(zone, row["happened_at"]),
        "net_sales": net_sales,
        "total_sales": net_sales + row["shipping"] + row["taxes"],
    }
