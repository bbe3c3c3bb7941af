"""Sales by order, line, day, code and cohort, payments and profit (contract, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from .values import Record, average, column_sum, day_in, group, money, money_or_zero, rate, total

_ZERO = Decimal("0.00")


def sales(
    orders: list[Record], lines: list[Record], refunds: list[Record], zone: ZoneInfo
) -> list[Record]:
    """Return one row per order that is not deleted; cancelled and test orders are included."""
    lines_of, refunds_of = group(lines, "order_id"), group(refunds, "order_id")
    rows = []
    for order in orders:
        if order["is_deleted"]:
            continue
        returned = refunds_of.get(order["order_id"], [])
        gross_sales = money_or_zero(order["gross_sales"])
        discounts = money_or_zero(order["discounts"])
        returns = column_sum(returned, "returned_merchandise")
        returns += column_sum(returned, "refund_discrepancy")
        if order["taxes_included"]:
            returns -= column_sum(returned, "returned_line_taxes")
        net_sales = gross_sales - discounts - returns
        shipping = money_or_zero(order["shipping"]) - column_sum(returned, "returned_shipping")
        taxes = money_or_zero(order["taxes"]) - column_sum(returned, "returned_taxes")
        taxes -= column_sum(returned, "refund_discrepancy_taxes")
        rows.append(
            {
                **order,
                "order_day": day_in(zone, order["order_date"]),
                "units": sum(line["quantity"] or 0 for line in lines_of.get(order["order_id"], [])),
                "gross_sales": gross_sales,
                "discounts": discounts,
                "returns": returns,
                "net_sales": net_sales,
                "shipping": shipping,
                "taxes": taxes,
                "total_sales": net_sales + shipping + taxes,
                "refunded_amount": column_sum(returned, "refunded_amount"),
            }
        )
    return rows


def in_ledger(sale_rows: list[Record]) -> list[Record]:
    """Return the sales that the ledger books: not deleted and not test."""
    return [row for row in sale_rows if not row["is_test_order"]]


def counting(sale_rows: list[Record]) -> list[Record]:
    """Return the sales that count: not deleted, not test, not cancelled."""
    return [row for row in in_ledger(sale_rows) if row["cancelled_at"] is None]


def in_time(row: Record) -> tuple[Any, ...]:
    """Return the sort key of orders: by moment, those without one last, then by id."""
    return row["order_date"] is None, row["order_date"], row["order_id"]


def first_orders(rows: Iterable[Record], *key: str) -> dict[Any, Record]:
    """Return each customer's first order, by ``key``; guests and orders without a day have none."""
    dated = (row for row in rows if None not in (row["customer_id"], row["order_date"]))
    return {found: min(own, key=in_time) for found, own in group(dated, *key).items()}


def _new_and_returning(own: list[Record], first: dict[int, Record]) -> Record:
    """Count the customers of a day's orders, each once."""
    began = {
        customer_id: first[customer_id]["order_day"]
        for row in own
        if row["order_day"] is not None and (customer_id := row["customer_id"]) in first
    }
    day = own[0]["order_day"] if own else None
    return {
        "new_customers": sum(began_on == day for began_on in began.values()),
        "returning_customers": sum(began_on < day for began_on in began.values()),
    }


def daily_sales(sale_rows: list[Record], ledger: list[Record]) -> list[Record]:
    """Return one row per day and currency, as the shop's own report has it."""
    placed = in_ledger(sale_rows)
    first = first_orders(placed, "customer_id")
    movements = group(ledger, "sale_day", "currency")
    orders = group(placed, "order_day", "currency")
    rows = []
    for sale_day, currency in {**movements, **orders}:
        if sale_day is None:
            continue
        own_orders = orders.get((sale_day, currency), [])
        booked = movements.get((sale_day, currency), [])
        goods = [row for row in booked if row["line_type"] != "gift_card"]
        cards = [row for row in booked if row["line_type"] == "gift_card"]
        amounts = {name: column_sum(goods, name) for name in _DAILY_AMOUNTS}
        sold = [row["quantity"] for row in goods if row["movement"] == "sale"]
        rows.append(
            {
                "sale_day": sale_day,
                "currency": currency,
                "orders": len(own_orders),
                "units": sum(sold),
                "returned_units": sum(sold) - sum(row["quantity"] for row in goods),
                **amounts,
                "gift_card_sales": column_sum(cards, "net_sales"),
                "average_order_value": average(
                    amounts["gross_sales"] - amounts["discounts"], len(own_orders)
                ),
                **_new_and_returning(own_orders, first),
            }
        )
    return rows


_ORDER_AMOUNTS = (
    *("gross_sales", "discounts", "returns", "net_sales", "shipping", "taxes", "total_sales"),
)
_DAILY_AMOUNTS = (*_ORDER_AMOUNTS, "tips")


def daily_orders(counted: list[Record]) -> list[Record]:
    """Return one row per day and currency, all figures credited to the day of the order."""
    first = first_orders(counted, "customer_id")
    rows = []
    for (order_day, currency), own in group(counted, "order_day", "currency").items():
        amounts = {name: column_sum(own, name) for name in _ORDER_AMOUNTS}
        rows.append(
            {
                "order_day": order_day,
                "currency": currency,
                "orders": len(own),
                "units": sum(row["units"] for row in own),
                **amounts,
                "average_order_value": average(
                    amounts["gross_sales"] - amounts["discounts"], len(own)
                ),
                **_new_and_returning(own, first),
            }
        )
    return rows


def order_lines(
    sale_rows: list[Record],
    lines: list[Record],
    ledger: list[Record],
    products: dict[int, Record],
    costs: dict[int, Fraction | None],
) -> list[Record]:
    """Return one row per line of an order in the ledger, with what the ledger books for it."""
    order_of = {row["order_id"]: row for row in in_ledger(sale_rows)}
    goods = (row for row in ledger if row["line_type"] in ("product", "gift_card"))
    booked = group(goods, "order_id", "order_line_id", "movement")
    rows = []
    for line in lines:
        order = order_of.get(line["order_id"])
        if order is None:
            continue
        sold, returned = (
            booked.get((line["order_id"], line["order_line_id"], movement), [])
            for movement in ("sale", "return")
        )
        gross_sales, discounts = column_sum(sold, "gross_sales"), column_sum(sold, "discounts")
        returns = column_sum(returned, "returns")
        returned_quantity = -sum(row["quantity"] for row in returned)
        unit_cost = costs.get(line["variant_id"])
        kept = (line["quantity"] or 0) - returned_quantity
        cost = None if unit_cost is None else money(unit_cost * kept)
        net_sales = gross_sales - discounts - returns
        rows.append(
            {
                **line,
                **{name: order[name] for name in ("order_day", "customer_id", "currency")},
                "product_type": products.get(line["product_id"], {}).get("product_type"),
                "returned_quantity": returned_quantity,
                "gross_sales": gross_sales,
                "discounts": discounts,
                "returns": returns,
                "net_sales": net_sales,
                "unit_cost": money(unit_cost),
                "cost": cost,
                "gross_margin": None if cost is None else net_sales - cost,
                "is_counted": order["cancelled_at"] is None,
                "_order_date": order["order_date"],
            }
        )
    return rows


def customer_cohorts(counted: list[Record]) -> list[Record]:
    """Return one row per cohort, month of activity and currency; idle months have none.

    Each currency is a shop of its own: a customer belongs to one cohort in each.
    """
    first = first_orders(counted, "customer_id", "currency")
    cohorts: dict[tuple[date, str | None], dict[int, list[Record]]] = {}
    sizes: dict[tuple[date, str | None], int] = {}
    for (_, currency), order in first.items():
        cohort = order["order_day"].replace(day=1), currency
        sizes[cohort] = sizes.get(cohort, 0) + 1
    for row in counted:
        begun, day = first.get((row["customer_id"], row["currency"])), row["order_day"]
        if begun is None or day is None:
            continue
        month = begun["order_day"].replace(day=1)
        months = 12 * (day.year - month.year) + day.month - month.month
        cohorts.setdefault((month, row["currency"]), {}).setdefault(months, []).append(row)
    rows = []
    for (month, currency), cells in cohorts.items():
        size, cumulative = sizes[month, currency], _ZERO
        for months, own in sorted(cells.items()):
            active = len({row["customer_id"] for row in own})
            net_sales = column_sum(own, "net_sales")
            cumulative += net_sales
            rows.append(
                {
                    "cohort_month": month,
                    "months_since_first": months,
                    "currency": currency,
                    "customers": size,
                    "active_customers": active,
                    "orders": len(own),
                    "gross_sales": column_sum(own, "gross_sales"),
                    "returns": column_sum(own, "returns"),
                    "net_sales": net_sales,
                    "cumulative_net_sales": cumulative,
                    "cumulative_net_sales_per_customer": average(cumulative, size),
                    "retention_rate": rate(active, size),
                }
            )
    return rows


def discount_codes(counted: list[Record], checkouts: list[Record]) -> list[Record]:
    """Return one row per code and currency; an order with two codes counts for both."""
    first = {row["order_id"] for row in first_orders(counted, "customer_id").values()}
    orders, abandoned = _by_code(counted), _by_code(checkouts)
    rows = []
    for code, currency in {**orders, **abandoned}:
        own = orders.get((code, currency), [])
        amounts = {
            name: column_sum(own, name) for name in ("gross_sales", "discounts", "net_sales")
        }
        rows.append(
            {
                "code": code,
                "currency": currency,
                "orders": len(own),
                "new_customer_orders": sum(row["order_id"] in first for row in own),
                **amounts,
                "average_order_value": average(
                    amounts["gross_sales"] - amounts["discounts"], len(own)
                ),
                "abandoned_checkouts": len(abandoned.get((code, currency), [])),
            }
        )
    return rows


def _by_code(rows: list[Record]) -> dict[tuple[str, str | None], list[Record]]:
    found: dict[tuple[str, str | None], list[Record]] = {}
    for row in rows:
        for code in dict.fromkeys(row["discount_codes"] or []):
            found.setdefault((code, row["currency"]), []).append(row)
    return found


def daily_payments(payments: list[Record], zone: ZoneInfo) -> list[Record]:
    """Return one row per day, gateway and currency, of the payments that move money."""
    moving = [
        {**row, "day": day_in(zone, row["processed_at"])}
        for row in payments
        if row["kind"] in ("sale", "capture", "refund")
        and row["processed_at"] is not None
        and not row["_is_test"]
    ]
    rows = []
    for (day, gateway, currency), own in group(moving, "day", "gateway", "currency").items():
        refunded = total(row["_amount"] for row in own if row["kind"] == "refund")
        net = total(row["_amount"] for row in own)
        rows.append(
            {
                "day": day,
                "gateway": gateway,
                "currency": currency,
                "payments": money(net - refunded),
                "refunds": money(-refunded),
                "net_amount": money(net),
                "transactions": len(own),
            }
        )
    return rows


def daily_profit(
    daily: list[Record],
    ledger: list[Record],
    costs: dict[int, Fraction | None],
    payments: list[Record],
    marketing: list[Record],
) -> list[Record]:
    """Return one row per day and currency with sales, ad spend or refunded payments.

    ``payments`` are rows of fct_daily_payments, ``daily`` of fct_daily_sales.
    """
    sold = group(daily, "sale_day", "currency")
    spent = group(marketing, "day", "currency")
    refunded = group((row for row in payments if row["refunds"]), "day", "currency")
    goods = group((row for row in ledger if row["line_type"] == "product"), "sale_day", "currency")
    rows = []
    for key in {**sold, **spent, **refunded}:
        day, currency = key
        if day is None:
            continue
        own = sold.get(key, [])
        net_sales = column_sum(own, "net_sales")
        cost_of_goods = money_or_zero(
            total(
                (costs.get(row["variant_id"]) or 0) * row["quantity"] for row in goods.get(key, [])
            )
        )
        ad_spend = column_sum(spent.get(key, []), "cost")
        new_customers = sum(row["new_customers"] for row in own)
        rows.append(
            {
                "day": day,
                "currency": currency,
                "net_sales": net_sales,
                "cost_of_goods": cost_of_goods,
                "shipping": column_sum(own, "shipping"),
                "payment_refunds": column_sum(refunded.get(key, []), "refunds"),
                "ad_spend": ad_spend,
                "gross_margin": net_sales - cost_of_goods,
                "contribution_margin": net_sales - cost_of_goods - ad_spend,
                "new_customers": new_customers,
                "customer_acquisition_cost": average(ad_spend, new_customers),
                "marketing_efficiency_ratio": rate(net_sales, ad_spend),
            }
        )
    return rows
