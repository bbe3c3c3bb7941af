"""What the shop's streams say, one row per record (contract, section 4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

from .values import (
    Record,
    boolean,
    dig,
    exact,
    exact_or_zero,
    integer,
    is_list,
    items,
    lower,
    mapping,
    moment,
    money,
    text,
    total,
)
from .versions import by_column, newest, newest_generation, versions


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
        taxes_included = _taxes_included(content)
        own = [
            _line(order_id, line, taxes_included=taxes_included)
            for line in items(content.get("line_items"))
        ]
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
    taxes_included = _taxes_included(record)
    gross_sales = sum((line["_gross_sales"] for line in lines), Fraction(0))
    shipping_discounts = total(
        allocation.get("amount")
        for shipping_line in items(record.get("shipping_lines"))
        for allocation in items(shipping_line.get("discount_allocations"))
    )
    discounts = exact(record.get("total_discounts"))
    if discounts is not None:
        discounts -= shipping_discounts
        discounts -= sum((line["_tax_within_discount"] for line in lines), Fraction(0))
    shipping = exact_or_zero(dig(record, "total_shipping_price_set", "shop_money", "amount"))
    shipping -= shipping_discounts
    if taxes_included:
        # What the lines do not account for of the order's tax is the tax on shipping.
        line_taxes = sum((line["_tax"] for line in lines), Fraction(0))
        shipping -= exact_or_zero(record.get("total_tax")) - line_taxes
    customer_id = integer(dig(record, "customer", "id"))
    return {
        "order_id": order_id,
        "order_name": text(record.get("name")),
        "customer_id": integer(record.get("customer_id")) if customer_id is None else customer_id,
        "email": text(record.get("email")),
        "order_date": _processed_or_created(record),
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
        "discounts": money(discounts),
        "shipping": money(shipping),
        "taxes": money(record.get("total_tax")),
        "tips": money(record.get("total_tip_received")),
        "total_price": money(record.get("total_price")),
        "source_name": text(record.get("source_name")),
        # What facts need beside the order's own columns.
        "shipping_country": text(dig(record, "shipping_address", "country_code")),
        "discount_codes": _codes(record),
        "_checkout_id": integer(record.get("checkout_id")),
    }


def _taxes_included(record: Record) -> bool:
    return boolean(record.get("taxes_included")) or False


def _processed_or_created(record: Record) -> datetime | None:
    return moment(record.get("processed_at")) or moment(record.get("created_at"))


def _codes(record: Record) -> list[str] | None:
    """Return the codes as given: none at all when the source has no list."""
    if not is_list(record.get("discount_codes")):
        return None
    codes = (text(code.get("code")) for code in items(record.get("discount_codes")))
    return [code for code in codes if code is not None]


def _line(order_id: int, line: Record, *, taxes_included: bool) -> Record:
    quantity = integer(line.get("quantity"))
    tax_lines = items(line.get("tax_lines"))
    tax = total(tax_line.get("price") for tax_line in tax_lines)
    # A discount on the whole order is spread over the lines in the allocations only.
    allocations = items(line.get("discount_allocations"))
    discount = (
        total(allocation.get("amount") for allocation in allocations)
        if allocations
        else exact(line.get("total_discount"))
    )
    rate = total(tax_line.get("rate") for tax_line in tax_lines)
    within = Fraction(0)
    if taxes_included and discount is not None and rate != -1:
        within = discount * rate / (1 + rate)
    before_tax = None if discount is None else discount - within
    worth = exact_or_zero(line.get("price")) * (quantity or 0)
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
        "discount": money(before_tax),
        "tax": money(tax),
        "is_gift_card": boolean(line.get("gift_card")) or False,
        # Exact values for sums: the columns above are rounded already.
        "_price_times_quantity": worth,
        "_tax": tax,
        "_tax_within_discount": within,
        "_gross_sales": worth - tax - within if taxes_included else worth,
        "_discount": before_tax or Fraction(0),
    }


def refunds(records: list[Record]) -> list[Record]:
    """Return one row per refund, whether or not its order has landed."""
    found = newest(records, integer, by_column("created_at"))
    return [_refund(refund_id, record) for refund_id, record in found.items()]


def _refund(refund_id: int, record: Record) -> Record:
    lines = [
        {
            "order_line_id": integer(line.get("line_item_id")),
            "quantity": integer(line.get("quantity")) or 0,
            "_subtotal": exact_or_zero(line.get("subtotal")),
            "_tax": exact_or_zero(line.get("total_tax")),
        }
        for line in items(record.get("refund_line_items"))
    ]
    # Adjustments are negative: they lower what the order was worth.
    shipping: list[Record] = []
    discrepancies: list[Record] = []
    for adjustment in items(record.get("order_adjustments")):
        is_shipping = adjustment.get("kind") == "shipping_refund"
        (shipping if is_shipping else discrepancies).append(adjustment)
    paid_back = (
        transaction.get("amount")
        for transaction in items(record.get("transactions"))
        if transaction.get("kind") == "refund" and transaction.get("status") == "success"
    )
    line_taxes = total(line["_tax"] for line in lines)
    return {
        "refund_id": refund_id,
        "order_id": integer(record.get("order_id")),
        "refunded_at": _processed_or_created(record),
        "returned_quantity": sum(line["quantity"] for line in lines),
        "returned_merchandise": money(total(line["_subtotal"] for line in lines)),
        "returned_taxes": money(line_taxes - total(row.get("tax_amount") for row in shipping)),
        "returned_line_taxes": money(line_taxes),
        "returned_shipping": money(-total(row.get("amount") for row in shipping)),
        "refund_discrepancy": money(-total(row.get("amount") for row in discrepancies)),
        "refund_discrepancy_taxes": money(-total(row.get("tax_amount") for row in discrepancies)),
        "refunded_amount": money(total(paid_back)),
        "_lines": lines,
    }


def customers(records: list[Record]) -> list[Record]:
    """Return one row per customer."""
    found = newest(records, integer, by_column("updated_at"))
    return [_customer(customer_id, record) for customer_id, record in found.items()]


def _customer(customer_id: int, record: Record) -> Record:
    address = mapping(record.get("default_address"))
    consent = text(dig(record, "email_marketing_consent", "state"))
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
        "accepts_email_marketing": (
            boolean(record.get("accepts_marketing")) if consent is None else consent == "subscribed"
        ),
    }


def products(records: list[Record]) -> dict[int, Record]:
    """Return each product's own fields, by its id; a deleted one keeps the last that are known."""
    contents = [record for record in records if not is_tombstone(record)]
    return {
        product_id: {name: text(record.get(name)) for name in ("product_type", "status", "tags")}
        for product_id, record in newest(contents, integer, by_column("updated_at")).items()
    }


def variants(variants_landed: list[Record], items_landed: list[Record]) -> list[Record]:
    """Return one row per variant; ``_cost`` is the exact cost of a unit, if it is known."""
    stock_items = newest(items_landed, integer, by_column("updated_at"))
    rows = []
    for variant_id, record in newest(variants_landed, integer, by_column("updated_at")).items():
        item_id = integer(record.get("inventory_item_id"))
        stock_item = {} if item_id is None else stock_items.get(item_id, {})
        rows.append(
            {
                "variant_id": variant_id,
                "product_id": integer(record.get("product_id")),
                "sku": text(record.get("sku")),
                "title": text(record.get("title")),
                "price": money(record.get("price")),
                "compare_at_price": money(record.get("compare_at_price")),
                "unit_cost": money(stock_item.get("cost")),
                "_cost": exact(stock_item.get("cost")),
                "_inventory_item_id": item_id,
            }
        )
    return rows


def inventory_levels(records: list[Record]) -> list[Record]:
    """Return one row per level: what of an item is available at a location."""
    return [
        {
            "_inventory_item_id": integer(record.get("inventory_item_id")),
            "location_id": integer(record.get("location_id")),
            "available": integer(record.get("available")),
            "updated_at": moment(record.get("updated_at")),
        }
        for record in newest(records, text, by_column("updated_at")).values()
    ]


def location_names(records: list[Record]) -> dict[int, str | None]:
    """Return the name of each location of the newest generation: the stream is re-sent whole."""
    found = newest(newest_generation(records), integer, by_column("updated_at"))
    return {location_id: text(record.get("name")) for location_id, record in found.items()}


def payments(records: list[Record]) -> list[Record]:
    """Return one row per successful transaction; a refund takes away."""
    rows = []
    for transaction_id, record in newest(records, integer, by_column("created_at")).items():
        # The connector's two ways to read transactions differ in the case of these words.
        kind, status = (lower(record.get(name)) for name in ("kind", "status"))
        if status != "success":
            continue
        amount = exact(record.get("amount"))
        if kind == "refund" and amount is not None:
            amount = -amount
        rows.append(
            {
                "transaction_id": transaction_id,
                "order_id": integer(record.get("order_id")),
                "processed_at": _processed_or_created(record),
                "kind": kind,
                "gateway": text(record.get("gateway")),
                "currency": text(record.get("currency")),
                "amount": money(amount),
                "_amount": amount,
                "_is_test": boolean(record.get("test")) or False,
            }
        )
    return rows


def fulfillments(records: list[Record], orders: list[Record]) -> list[Record]:
    """Return one row per fulfilment, whether or not its order has landed."""
    ordered_at = {order["order_id"]: order.get("order_date") for order in orders}
    rows = []
    for fulfillment_id, record in newest(records, integer, by_column("updated_at")).items():
        order_id, created_at = integer(record.get("order_id")), moment(record.get("created_at"))
        placed_at = ordered_at.get(order_id)
        hours = None
        if created_at is not None and placed_at is not None:
            hours = (created_at - placed_at) / timedelta(hours=1)
        lines = items(record.get("line_items"))
        rows.append(
            {
                "fulfillment_id": fulfillment_id,
                "order_id": order_id,
                "created_at": created_at,
                "status": text(record.get("status")),
                "shipment_status": text(record.get("shipment_status")),
                "tracking_company": text(record.get("tracking_company")),
                "units": sum(integer(line.get("quantity")) or 0 for line in lines),
                "hours_to_fulfil": hours,
            }
        )
    return rows


def abandoned_checkouts(records: list[Record], orders: list[Record]) -> list[Record]:
    """Return one row per checkout, with the lowest order that came of it."""
    order_of: dict[int, int] = {}
    for order in orders:
        checkout_id, order_id = order.get("_checkout_id"), order["order_id"]
        if checkout_id is not None and not order["is_deleted"]:
            order_of[checkout_id] = min(order_id, order_of.get(checkout_id, order_id))
    rows = []
    for checkout_id, record in newest(records, integer, by_column("updated_at")).items():
        recovered_order_id = order_of.get(checkout_id)
        completed = moment(record.get("completed_at")) is not None
        rows.append(
            {
                "checkout_id": checkout_id,
                "created_at": moment(record.get("created_at")),
                "customer_id": integer(dig(record, "customer", "id")),
                "email": text(record.get("email")),
                "currency": text(record.get("currency")),
                "total_price": money(record.get("total_price")),
                "discount_codes": _codes(record),
                "is_recovered": completed or recovered_order_id is not None,
                "recovered_order_id": recovered_order_id,
            }
        )
    return rows
