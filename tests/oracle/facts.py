"""Facts and dimensions over orders, customers and e-mail (contract, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from .values import Record, money, money_or_zero, nulls_lowest, total


def group(rows: Iterable[Record], *columns: str) -> dict[Any, list[Record]]:
    """Return the rows by the value of one column, or by the tuple of several."""
    found: dict[Any, list[Record]] = {}
    for row in rows:
        key = row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns)
        found.setdefault(key, []).append(row)
    return found


def column_sum(rows: Iterable[Record], name: str) -> Decimal:
    """Return the sum of a money column."""
    return money_or_zero(total(row[name] for row in rows))


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
        net_sales = gross_sales - discounts - returns
        shipping = money_or_zero(order["shipping"]) - column_sum(returned, "returned_shipping")
        taxes = money_or_zero(order["taxes"]) - column_sum(returned, "returned_taxes")
        moment = order["order_date"]
        rows.append(
            {
                **order,
                "order_day": moment.astimezone(zone).date() if moment is not None else None,
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


def counting(sale_rows: list[Record]) -> list[Record]:
    """Return the sales that count: not deleted, not test, not cancelled."""
    return [row for row in sale_rows if not row["is_test_order"] and row["cancelled_at"] is None]


def first_days(counted: list[Record]) -> dict[int, date]:
    """Return the day of each customer's first counting order; guests have none."""
    first: dict[int, Record] = {}
    for row in counted:
        customer_id = row["customer_id"]
        if customer_id is None or row["order_date"] is None:
            continue
        known = first.get(customer_id)
        if known is None or _in_time(row) < _in_time(known):
            first[customer_id] = row
    return {customer_id: row["order_day"] for customer_id, row in first.items()}


def _in_time(row: Record) -> tuple[datetime, int]:
    return row["order_date"], row["order_id"]


def daily_sales(counted: list[Record]) -> list[Record]:
    """Return one row per day and currency."""
    first = first_days(counted)
    rows = []
    for (order_day, currency), own in group(counted, "order_day", "currency").items():
        gross_sales, discounts = column_sum(own, "gross_sales"), column_sum(own, "discounts")
        began = [
            first[customer_id]
            for customer_id in {row["customer_id"] for row in own}
            if order_day is not None and customer_id in first
        ]
        rows.append(
            {
                "order_day": order_day,
                "currency": currency,
                "orders": len(own),
                "units": sum(row["units"] for row in own),
                "gross_sales": gross_sales,
                "discounts": discounts,
                "returns": column_sum(own, "returns"),
                "net_sales": column_sum(own, "net_sales"),
                "shipping": column_sum(own, "shipping"),
                "taxes": column_sum(own, "taxes"),
                "total_sales": column_sum(own, "total_sales"),
                "average_order_value": _average(gross_sales - discounts, len(own)),
                "new_customers": sum(day == order_day for day in began),
                "returning_customers": sum(day < order_day for day in began),
            }
        )
    return rows


def _average(amount: Decimal, orders: int) -> Decimal | None:
    return money(Fraction(amount) / orders) if orders else None


def customer_cohorts(counted: list[Record]) -> list[Record]:
    """Return one row per cohort and month of activity; months without activity have none."""
    first = first_days(counted)
    sizes: dict[date, int] = {}
    for day in first.values():
        cohort = day.replace(day=1)
        sizes[cohort] = sizes.get(cohort, 0) + 1
    cells: dict[tuple[date, int], list[Record]] = {}
    for row in counted:
        day, begun = row["order_day"], first.get(row["customer_id"])
        if day is None or begun is None:
            continue
        months = 12 * (day.year - begun.year) + day.month - begun.month
        cells.setdefault((begun.replace(day=1), months), []).append(row)
    return [
        {
            "cohort_month": cohort,
            "months_since_first": months,
            "customers": sizes[cohort],
            "active_customers": len({row["customer_id"] for row in own}),
            "orders": len(own),
            "net_sales": column_sum(own, "net_sales"),
        }
        for (cohort, months), own in cells.items()
    ]


def customer_dimension(
    customers: list[Record], profiles: list[Record], counted: list[Record]
) -> list[Record]:
    """Return one row per customer, with or without orders or a profile."""
    orders_of = group(counted, "customer_id")
    profile_of: dict[str, Record] = {}
    for profile in profiles:
        email = _comparable(profile["email"])
        known = profile_of.get(email) if email else None
        if email and (known is None or _recency(profile) > _recency(known)):
            profile_of[email] = profile
    rows = []
    for customer in customers:
        own = orders_of.get(customer["customer_id"], [])
        moments = [row["order_date"] for row in own if row["order_date"] is not None]
        gross_sales, discounts = column_sum(own, "gross_sales"), column_sum(own, "discounts")
        profile = profile_of.get(_comparable(customer["email"]), {})
        rows.append(
            {
                **customer,
                "first_order_at": min(moments, default=None),
                "last_order_at": max(moments, default=None),
                "orders": len(own),
                "gross_sales": gross_sales,
                "returns": column_sum(own, "returns"),
                "net_sales": column_sum(own, "net_sales"),
                "average_order_value": _average(gross_sales - discounts, len(own)),
                "klaviyo_profile_id": profile.get("profile_id"),
                "email_consent": profile.get("email_consent"),
                "last_event_at": profile.get("last_event_date"),
                "predicted_clv": profile.get("predicted_clv"),
            }
        )
    return rows


def _comparable(email: str | None) -> str:
    """Return the e-mail as it is joined on; nothing and blanks alone are no e-mail."""
    return (email or "").strip().lower()


def _recency(profile: Record) -> tuple[Any, ...]:
    return nulls_lowest(profile["updated_at"], profile["profile_id"])


def products(counted: list[Record], lines: list[Record]) -> list[Record]:
    """Return one row per product on a line of a counting order."""
    moments = {row["order_id"]: row["order_date"] for row in counted}
    sold = [line for line in lines if line["order_id"] in moments]
    rows = []
    for product_id, own in group(sold, "product_id").items():
        if product_id is None:
            continue

        def recency(line: Record) -> tuple[Any, ...]:
            return nulls_lowest(moments[line["order_id"]], line["order_line_id"])

        latest = max(own, key=recency)
        sold_at = [at for line in own if (at := moments[line["order_id"]]) is not None]
        rows.append(
            {
                "product_id": product_id,
                "title": latest["title"],
                "vendor": latest["vendor"],
                "first_sold_at": min(sold_at, default=None),
                "last_sold_at": max(sold_at, default=None),
                "units_sold": sum(line["quantity"] or 0 for line in own),
                "gross_sales": money(total(line["_gross_sales"] for line in own)),
            }
        )
    return rows


def campaign_performance(
    campaigns: list[Record], events: list[Record], metrics: list[Record], window: timedelta
) -> list[Record]:
    """Return one row per campaign, also for those that nothing happened to."""
    metric_names = {metric["metric_id"]: metric["name"] for metric in metrics}
    campaigns_of: dict[str, set[str]] = {}
    for campaign in campaigns:
        for message in (campaign["message_id"], campaign["campaign_id"]):
            if message is not None:
                campaigns_of.setdefault(message, set()).add(campaign["campaign_id"])

    profiles: dict[tuple[str, str], set[str]] = {}
    touches: dict[str, list[Record]] = {}
    placed: list[Record] = []
    for event in events:
        name, profile_id = metric_names.get(event["metric_id"]), event["profile_id"]
        if name == "Placed Order":
            placed.append(event)
        if name not in _RESPONSES or profile_id is None:
            continue
        matching = campaigns_of.get(event["message_id"], set())
        for campaign_id in matching:
            profiles.setdefault((campaign_id, name), set()).add(profile_id)
        if matching and name != "Received Email" and event["event_at"] is not None:
            touches.setdefault(profile_id, []).append(event)

    orders: dict[str, int] = {}
    revenue: dict[str, Fraction] = {}
    for order in placed:
        at = order["event_at"]
        reached = [
            touch
            for touch in touches.get(order["profile_id"], [])
            if at is not None and at - window <= touch["event_at"] <= at
        ]
        if not reached:
            continue
        last = max(reached, key=lambda touch: (touch["event_at"], touch["event_id"]))
        credited = max(campaigns_of[last["message_id"]])
        orders[credited] = orders.get(credited, 0) + 1
        revenue[credited] = revenue.get(credited, Fraction(0)) + (order["_value"] or 0)

    rows = []
    for campaign in campaigns:
        campaign_id = campaign["campaign_id"]
        row = {
            "campaign_id": campaign_id,
            "campaign_name": campaign["name"],
            "sent_at": campaign["sent_at"],
            "attributed_orders": orders.get(campaign_id, 0),
            "attributed_revenue": money(revenue.get(campaign_id, Fraction(0))),
        }
        for name, column in _RESPONSES.items():
            row[column] = len(profiles.get((campaign_id, name), set()))
        rows.append(row)
    return rows


_RESPONSES = {
    "Received Email": "recipients",
    "Opened Email": "unique_opens",
    "Clicked Email": "unique_clicks",
}
