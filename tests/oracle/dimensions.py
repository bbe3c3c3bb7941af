"""Customers, products, variants and what is in stock (contract, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from .facts import in_time
from .values import (
    Record,
    average,
    column_sum,
    group,
    money,
    money_or_zero,
    nulls_lowest,
    rate,
    total,
)

_SCORES = {
    "recency_score": "last_order_at",
    "frequency_score": "orders",
    "monetary_score": "net_sales",
}


def customers(
    customers_landed: list[Record],
    profiles: list[Record],
    counted: list[Record],
    lines: list[Record],
) -> list[Record]:
    """Return one row per customer and currency; without orders, one row of no currency."""
    orders_of = group(counted, "customer_id")
    lines_of = group(lines, "order_id")
    profile_of = _latest_profiles(profiles)
    rows = []
    for customer in customers_landed:
        profile = profile_of.get(_comparable(customer["email"]), {})
        by_currency = group(orders_of.get(customer["customer_id"], []), "currency")
        for currency, own in (by_currency or {None: []}).items():
            rows.append(
                {
                    **customer,
                    "currency": currency,
                    **_figures(own),
                    **_first_order(own, lines_of),
                    "klaviyo_profile_id": profile.get("profile_id"),
                    "email_consent": profile.get("email_consent"),
                    "last_event_at": profile.get("last_event_date"),
                    "predicted_clv": profile.get("predicted_clv"),
                }
            )
    buyers = (row for row in rows if row["orders"])
    for own in group(buyers, "currency").values():
        for score, measure in _SCORES.items():
            _add_quintiles(own, score, measure)
    return rows


def _figures(own: list[Record]) -> Record:
    moments = [row["order_date"] for row in own if row["order_date"] is not None]
    first, last = min(moments, default=None), max(moments, default=None)
    between = None
    if first is not None and last is not None and len(own) > 1:
        between = (last - first) / timedelta(days=1) / (len(own) - 1)
    gross_sales, discounts = column_sum(own, "gross_sales"), column_sum(own, "discounts")
    return {
        "first_order_at": first,
        "last_order_at": last,
        "orders": len(own),
        "gross_sales": gross_sales,
        "returns": column_sum(own, "returns"),
        "net_sales": column_sum(own, "net_sales"),
        "average_order_value": average(gross_sales - discounts, len(own)),
        "average_days_between_orders": between,
    }


def _first_order(own: list[Record], lines_of: dict[int, list[Record]]) -> Record:
    """Return what the customer came for: the product and the code of the first order."""
    if not own:
        return {}
    first = min(own, key=in_time)
    sold = [line for line in lines_of.get(first["order_id"], []) if line["product_id"] is not None]
    lowest = min(sold, key=lambda line: _nulls_last(line["order_line_id"]), default={})
    return {
        "first_product_id": lowest.get("product_id"),
        "first_discount_code": next(iter(first["discount_codes"] or []), None),
    }


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return value is None, value


def _add_quintiles(rows: list[Record], score: str, measure: str) -> None:
    """Cut the rows, lowest first, into five parts of which the first take what is over."""
    rows = sorted(rows, key=lambda row: nulls_lowest(row[measure], row["customer_id"]))
    size, over = divmod(len(rows), 5)
    parts = [part for part in range(1, 6) for _ in range(size + (part <= over))]
    for row, part in zip(rows, parts, strict=True):
        row[score] = part


def _latest_profiles(profiles: list[Record]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for profile in sorted(
        profiles, key=lambda row: nulls_lowest(row["updated_at"], row["profile_id"])
    ):
        if email := _comparable(profile["email"]):
            found[email] = profile
    return found


def _comparable(email: str | None) -> str:
    """Return the e-mail as it is joined on; nothing and blanks alone are no e-mail."""
    return (email or "").strip().lower()


def stock(levels: list[Record], variants: list[Record]) -> dict[int, int]:
    """Return what is on hand of each variant, over all locations; unknown ones have no entry."""
    on_hand: dict[int, int] = {}
    for level in levels:
        item_id = level["_inventory_item_id"]
        if item_id is not None and level["available"] is not None:
            on_hand[item_id] = on_hand.get(item_id, 0) + level["available"]
    return {
        variant["variant_id"]: on_hand[variant["_inventory_item_id"]]
        for variant in variants
        if variant["_inventory_item_id"] in on_hand
    }


def inventory(
    levels: list[Record], variants: list[Record], locations: dict[int, str | None]
) -> list[Record]:
    """Return one row per variant and location; items of no known variant have none."""
    variants_of = group(variants, "_inventory_item_id")
    return [
        {
            **level,
            "variant_id": variant["variant_id"],
            "location_name": locations.get(level["location_id"]),
        }
        for level in levels
        if level["_inventory_item_id"] is not None
        for variant in variants_of.get(level["_inventory_item_id"], [])
    ]


def products(
    order_lines: list[Record],
    products_landed: dict[int, Record],
    variants: list[Record],
    on_hand: dict[int, int],
) -> list[Record]:
    """Return one row per product and currency on a line of a counting order."""
    stock_of: dict[Any, int] = {}
    for variant in variants:
        if variant["variant_id"] in on_hand:
            product_id = variant["product_id"]
            stock_of[product_id] = stock_of.get(product_id, 0) + on_hand[variant["variant_id"]]
    sold = (row for row in order_lines if row["is_counted"] and row["product_id"] is not None)
    rows = []
    for (product_id, currency), own in group(sold, "product_id", "currency").items():
        latest = max(own, key=lambda row: nulls_lowest(row["_order_date"], row["order_line_id"]))
        units_sold, returned_units = _units(own), sum(row["returned_quantity"] for row in own)
        rows.append(
            {
                **products_landed.get(product_id, {}),
                "product_id": product_id,
                "currency": currency,
                "title": latest["title"],
                "vendor": latest["vendor"],
                "first_sold_at": min(_moments(own), default=None),
                "last_sold_at": max(_moments(own), default=None),
                "units_sold": units_sold,
                "returned_units": returned_units,
                "gross_sales": money_or_zero(total(row["_gross_sales"] for row in own)),
                "net_sales": column_sum(own, "net_sales"),
                "return_rate": rate(returned_units, units_sold),
                "on_hand": stock_of.get(product_id),
            }
        )
    return rows


def product_variants(
    variants: list[Record],
    order_lines: list[Record],
    on_hand: dict[int, int],
    newest_order_day: date | None,
) -> list[Record]:
    """Return one row per variant, sold or not; cover is over the 28 days to the newest order."""
    counted = group((row for row in order_lines if row["is_counted"]), "variant_id")
    rows = []
    for variant in variants:
        own, available = counted.get(variant["variant_id"], []), on_hand.get(variant["variant_id"])
        recent = _units(
            row
            for row in own
            if row["order_day"] is not None
            and newest_order_day is not None
            and row["order_day"] > newest_order_day - timedelta(days=28)
        )
        cover = None
        if available is not None and recent:
            cover = money(Fraction(available * 28, recent))
        rows.append(
            {
                **variant,
                "on_hand": available,
                "units_sold": _units(own),
                "last_sold_at": max(_moments(own), default=None),
                "days_of_cover": cover,
            }
        )
    return rows


def _units(rows: Iterable[Record]) -> int:
    return sum(row["quantity"] or 0 for row in rows)


def _moments(rows: list[Record]) -> list[Any]:
    return [row["_order_date"] for row in rows if row["_order_date"] is not None]
