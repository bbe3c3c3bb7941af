"""Orders, order lines, refunds and customers of the shop (contract, section 4)."""

from __future__ import annotations

from fractions import Fraction

from .values import (
    Record,
    boolean,
    dig,
    exact,
    exact_or_zero,
    integer,
    items,
    mapping,
    moment,
    money,
    text,
    total,
)
from .versions import by_column, newest, versions


def orders_and_lines(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """Return one row per order and one per line of its newest version that has content."""
    orders, lines = [], []
    for order_id, found in versions(records, integer, order_cursor).items():
        deleted = moment(found[-1].get("deleted_at")) is not None
        with_content = [version for version in found if not is_tombstone(version)]
        if not with_content:
            # Nothing but its deletion was ever landed: all else about the order is unknown.
            orders.append({"order_id": order_id, "is_deleted": True})
            continue
        content = with_content[-1]
        own = [_line(order_id, line) for line in items(content.get("line_items"))]
        orders.append(_order(order_id, content, own, deleted=deleted))
        lines += own
    return orders, lines


def order_cursor(record: Record) -> object:
    """Return when a version of an order was made.

    A tombstone may lack ``updated_at``; the deletion itself is then what is known.
    """
    return moment(record.get("updated_at")) or moment(record.get("deleted_at"))


def is_tombstone(record: Record) -> bool:
    """Tell whether a version only reports a deletion; every real order has a creation time."""
    return moment(record.get("deleted_at")) is not None and moment(record.get("created_at")) is None


def _order(order_id: int, record: Record, lines: list[Record], *, deleted: bool) -> Record:
    taxes_included = boolean(record.get("taxes_included")) or False
    line_taxes = sum((line["_tax"] for line in lines), Fraction(0))
    gross_sales = sum((line["_price_times_quantity"] for line in lines), Fraction(0))
    shipping = exact_or_zero(dig(record, "total_shipping_price_set", "shop_money", "amount"))
    if taxes_included:
        gross_sales -= line_taxes
        # What the lines do not account for of the order's tax is the tax on shipping.
        shipping -= exact_or_zero(record.get("total_tax")) - line_taxes
    for line in lines:
        # A product's sales are net of tax too, which only the order can tell.
        line["_gross_sales"] = line["_price_times_quantity"] - (
            line["_tax"] if taxes_included else 0
        )
    customer_id = integer(dig(record, "customer", "id"))
    return {
        "order_id": order_id,
        "order_name": text(record.get("name")),
        "customer_id": integer(record.get("customer_id")) if customer_id is None else customer_id,
        "email": text(record.get("email")),
        "order_date": moment(record.get("created_at")),
        "order_updated_at": moment(record.get("updated_at")),
        "cancelled_at": moment(record.get("cancelled_at")),
        "cancel_reason": text(record.get("cancel_reason")),
        "is_deleted": deleted,
        "is_test_order": boolean(record.get("test")) or False,
        "financial_status": text(record.get("financial_status")),
        "fulfillment_status": text(record.get("fulfillment_status")),
        "currency": text(record.get("currency")),
        "taxes_included": taxes_included,
        "gross_sales": money(gross_sales),
        "discounts": money(record.get("total_discounts")),
        "shipping": money(shipping),
        "taxes": money(record.get("total_tax")),
        "tips": money(record.get("total_tip_received")),
        "total_price": money(record.get("total_price")),
        "source_name": text(record.get("source_name")),
    }


def _line(order_id: int, line: Record) -> Record:
    quantity = integer(line.get("quantity"))
    tax = total(tax_line.get("price") for tax_line in items(line.get("tax_lines")))
    # A discount on the whole order is spread over the lines in the allocations only.
    allocations = items(line.get("discount_allocations"))
    allocated = total(allocation.get("amount") for allocation in allocations)
    return {
        "order_line_id": integer(line.get("id")),
        "order_id": order_id,
        "product_id": integer(line.get("product_id")),
        "variant_id": integer(line.get("variant_id")),
        "sku": text(line.get("sku")),
        "title": text(line.get("title")),
        "variant_title": text(line.get("variant_title")),
        "vendor": text(line.get("vendor")),
        "quantity": quantity,
        "unit_price": money(line.get("price")),
        "discount": money(allocated if allocations else exact(line.get("total_discount"))),
        "tax": money(tax),
        "is_gift_card": boolean(line.get("gift_card")) or False,
        # Exact values for sums: the columns above are rounded already.
        "_price_times_quantity": exact_or_zero(line.get("price")) * (quantity or 0),
        "_tax": tax,
    }


def refunds(records: list[Record]) -> list[Record]:
    """Return one row per refund, whether or not its order has landed."""
    found = newest(records, integer, by_column("created_at"))
    return [_refund(refund_id, record) for refund_id, record in found.items()]


def _refund(refund_id: int, record: Record) -> Record:
    lines = items(record.get("refund_line_items"))
    # Adjustments are negative: they lower what the order was worth.
    shipping = [
        adjustment
        for adjustment in items(record.get("order_adjustments"))
        if adjustment.get("kind") == "shipping_refund"
    ]
    paid_back = (
        transaction.get("amount")
        for transaction in items(record.get("transactions"))
        if transaction.get("kind") == "refund" and transaction.get("status") == "success"
    )
    line_taxes = total(line.get("total_tax") for line in lines)
    return {
        "refund_id": refund_id,
        "order_id": integer(record.get("order_id")),
        "refunded_at": moment(record.get("created_at")),
        "returned_quantity": sum(integer(line.get("quantity")) or 0 for line in lines),
        "returned_merchandise": money(total(line.get("subtotal") for line in lines)),
        "returned_taxes": money(line_taxes - total(one.get("tax_amount") for one in shipping)),
        "returned_shipping": money(-total(one.get("amount") for one in shipping)),
        "refunded_amount": money(total(paid_back)),
    }


def customers(records: list[Record]) -> list[Record]:
    """Return one row per customer."""
    found = newest(records, integer, by_column("updated_at"))
    return [_customer(customer_id, record) for customer_id, record in found.items()]


def _customer(customer_id: int, record: Record) -> Record:
    address = mapping(record.get("default_address"))
    return {
        "customer_id": customer_id,
        "email": text(record.get("email")),
        "first_name": text(record.get("first_name")),
        "last_name": text(record.get("last_name")),
        "customer_created_at": moment(record.get("created_at")),
        "customer_updated_at": moment(record.get("updated_at")),
        "orders_count": integer(record.get("orders_count")),
        "total_spent": money(record.get("total_spent")),
        "tags": text(record.get("tags")),
        "customer_state": text(record.get("state")),
        "city": text(address.get("city")),
        "country": text(address.get("country")),
    }
