"""What e-mail, SMS and advertisements cost and bring (contract, section 4)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import timedelta
from fractions import Fraction
from typing import Any

from .landing import AD_KEY
from .values import (
    Record,
    day,
    group,
    integer,
    money,
    money_or_zero,
    rounded,
    text,
    total,
)

# What a metric stands for: role and channel, by the name that Klaviyo gives it.
METRICS = {
    "Received Email": ("received", "email"),
    "Opened Email": ("opened", "email"),
    "Clicked Email": ("clicked", "email"),
    "Bounced Email": ("bounced", "email"),
    "Marked Email as Spam": ("marked_as_spam", "email"),
    "Unsubscribed": ("unsubscribed", "email"),
    "Unsubscribed from Email Marketing": ("unsubscribed", "email"),
    "Received SMS": ("received", "sms"),
    "Clicked SMS": ("clicked", "sms"),
    "Failed to Deliver SMS": ("bounced", "sms"),
    "Unsubscribed from SMS": ("unsubscribed", "sms"),
    "Unsubscribed from SMS Marketing": ("unsubscribed", "sms"),
    "Placed Order": ("placed_order", None),
}
_COLUMNS = {
    "received": "received",
    "opened": "unique_opens",
    "clicked": "unique_clicks",
    "bounced": "bounces",
    "marked_as_spam": "spam_complaints",
    "unsubscribed": "unsubscribes",
}
MODELS = ("first", "last", "linear", "position")


class Journeys:
    """Who was reached by which campaign or flow, and which touches came before which order."""

    def __init__(
        self,
        campaigns: list[Record],
        events: list[Record],
        metrics: list[Record],
        orders: list[Record],
        window: timedelta,
    ) -> None:
        roles = {metric["metric_id"]: METRICS.get(metric["name"]) for metric in metrics}
        campaign_of: dict[str, str] = {}
        for campaign in campaigns:
            for message in campaign["_message_ids"]:
                campaign_id = campaign["campaign_id"]
                campaign_of[message] = max(campaign_id, campaign_of.get(message, campaign_id))
        currencies = {order["order_id"]: order.get("currency") for order in orders}

        self.reached: dict[tuple[str, str], dict[tuple[str | None, str], set[str]]] = {}
        self.placed: list[Record] = []
        touches: list[Record] = []
        for event in events:
            role, channel = roles.get(event["metric_id"]) or (None, None)
            if role == "placed_order":
                order_id, currency = event["_order_id"], event["_currency"]
                self.placed.append({**event, "currency": currency or currencies.get(order_id)})
                continue
            source = _source(event, campaign_of)
            if role is None or source is None or event["profile_id"] is None:
                continue
            profiles = self.reached.setdefault(source, {})
            profiles.setdefault((channel, role), set()).add(event["profile_id"])
            if role in ("opened", "clicked") and event["event_at"] is not None:
                touches.append({**event, "source": source, "channel": channel})
        touches.sort(key=lambda touch: (touch["event_at"], touch["event_id"]))
        for order in self.placed:
            order["touches"] = []
        by_profile = group(touches, "profile_id")
        for order in self.placed:
            at, own = order["event_at"], by_profile.get(order["profile_id"], [])
            if at is not None:
                start = bisect_left(own, at - window, key=_event_at)
                order["touches"] = own[start : bisect_right(own, at, key=_event_at)]


def _event_at(event: Record) -> Any:
    return event["event_at"]


def _source(event: Record, campaign_of: dict[str, str]) -> tuple[str, str] | None:
    """Return the campaign that an event is of, or else the flow."""
    if event["message_id"] in campaign_of:
        return "campaign", campaign_of[event["message_id"]]
    return ("flow", event["flow_id"]) if event["flow_id"] else None


def campaign_performance(campaigns: list[Record], journeys: Journeys) -> list[Record]:
    """Return one row per campaign, channel and currency of its orders."""
    credited = _credited(journeys, "campaign")
    return [
        {
            **row,
            "campaign_name": campaign["name"],
            "sent_at": campaign["sent_at"],
            "recipients": row["received"],
        }
        for campaign in campaigns
        for row in _performance(
            journeys, credited, "campaign", campaign["campaign_id"], campaign["channel"] or "email"
        )
    ]


def flow_performance(flows: list[Record], journeys: Journeys) -> list[Record]:
    """Return one row per flow, channel and currency of its orders."""
    credited = _credited(journeys, "flow")
    return [
        row
        for flow in flows
        for row in _performance(journeys, credited, "flow", flow["flow_id"], None)
    ]


def _credited(journeys: Journeys, source_type: str) -> dict[Any, dict[Any, list[Record]]]:
    """Return the orders by source and channel of the last touch of this type, and by currency."""
    found: dict[Any, dict[Any, list[Record]]] = {}
    for order in journeys.placed:
        own = [touch for touch in order["touches"] if touch["source"][0] == source_type]
        if own:
            by_currency = found.setdefault((own[-1]["source"], own[-1]["channel"]), {})
            by_currency.setdefault(order["currency"], []).append(order)
    return found


def _performance(
    journeys: Journeys,
    credited: dict[Any, dict[Any, list[Record]]],
    source_type: str,
    source_id: str,
    usual_channel: str | None,
) -> Iterable[Record]:
    """Yield a source's rows; without events its channel is the usual one."""
    source = source_type, source_id
    profiles = journeys.reached.get(source, {})
    for channel in {channel for channel, _ in profiles} or {usual_channel}:
        counts = {
            column: len(profiles.get((channel, role), ())) for role, column in _COLUMNS.items()
        }
        orders = credited.get((source, channel)) or {None: []}
        for currency, own in orders.items():
            yield {
                f"{source_type}_id": source_id,
                "channel": channel,
                "currency": currency,
                **counts,
                "attributed_orders": len(own),
                "attributed_revenue": money(total(order["_value"] for order in own)),
            }


def attribution(journeys: Journeys) -> list[Record]:
    """Return one row per placed order, touch and model; one per model where nothing touched it."""
    rows = []
    for order in journeys.placed:
        value, touches = money_or_zero(order["_value"]), order["touches"]
        for model in MODELS:
            shares = _shares(model, len(touches) or 1)
            weights = [rounded(share, 8) for share in shares]
            weights[-1] += 1 - sum(weights)
            amounts = [money_or_zero(Fraction(value) * share) for share in shares]
            amounts[-1] += value - sum(amounts)
            for touch, weight, amount in zip(
                touches or [{"source": ("direct", None)}], weights, amounts, strict=True
            ):
                rows.append(
                    {
                        "order_id": order["_order_id"],
                        "placed_event_id": order["event_id"],
                        "touch_event_id": touch.get("event_id"),
                        "currency": order["currency"],
                        "source_type": touch["source"][0],
                        "source_id": touch["source"][1],
                        "attribution_model": model,
                        "weight": weight,
                        "attributed_revenue": amount,
                    }
                )
    return rows


def _shares(model: str, touches: int) -> list[Fraction]:
    """Return the share of an order that each of its touches has."""
    if model == "linear":
        exact = [Fraction(1, touches)] * touches
    elif model == "position" and touches > 2:
        between = [Fraction(2, 10 * (touches - 2))] * (touches - 2)
        exact = [Fraction(4, 10), *between, Fraction(4, 10)]
    elif model == "position":
        exact = [Fraction(1, touches)] * touches
    else:
        exact = [Fraction(0)] * touches
        exact[0 if model == "first" else -1] = Fraction(1)
    return exact


def daily_marketing(records: list[Record]) -> list[Record]:
    """Return one row per day, platform and currency; ``records`` come in reading order."""
    # Of a campaign's day the row landed last is the truth.
    landed: dict[tuple[Any, ...], Record] = {}
    for record in records:
        key = day(record.get("date")), *(text(record.get(name)) for name in AD_KEY[1:])
        if key[0] is not None:
            landed[key] = record
    days: dict[tuple[Any, ...], list[Record]] = {}
    for (on, platform, _, currency), record in landed.items():
        days.setdefault((on, platform, currency), []).append(record)
    return [
        {
            "day": on,
            "platform": platform,
            "currency": currency,
            "cost": money(total(record.get("cost") for record in own)),
            **{
                name: sum(integer(record.get(name)) or 0 for record in own)
                for name in ("impressions", "clicks")
            },
        }
        for (on, platform, currency), own in days.items()
    ]
