"""Profiles, events, campaigns, flows, metrics and lists (contract, section 4)."""

from __future__ import annotations

from typing import Any

from .values import (
    Record,
    boolean,
    dig,
    double,
    exact,
    integer,
    items,
    json_text,
    mapping,
    moment,
    money,
    text,
)
from .versions import by_column, newest, newest_generation


def profiles(records: list[Record]) -> list[Record]:
    """Return one row per profile."""
    rows = []
    for profile_id, record in newest(records, text, by_column("updated")).items():
        attributes = mapping(record.get("attributes"))
        location = mapping(attributes.get("location"))
        predictions = mapping(attributes.get("predictive_analytics"))
        rows.append(
            {
                "profile_id": profile_id,
                "email": text(attributes.get("email")),
                "phone_number": text(attributes.get("phone_number")),
                "first_name": text(attributes.get("first_name")),
                "last_name": text(attributes.get("last_name")),
                "city": text(location.get("city")),
                "region": text(location.get("region")),
                "country": text(location.get("country")),
                "postal_code": text(location.get("zip")),
                "created_at": moment(attributes.get("created")),
                "updated_at": _either(attributes, record, "updated"),
                "last_event_date": moment(attributes.get("last_event_date")),
                "historic_clv": money(predictions.get("historic_clv")),
                "predicted_clv": money(predictions.get("predicted_clv")),
                "total_clv": money(predictions.get("total_clv")),
                "churn_probability": double(predictions.get("churn_probability")),
                "average_order_value": money(predictions.get("average_order_value")),
                "historic_orders": integer(predictions.get("historic_number_of_orders")),
                "email_consent": text(
                    dig(attributes, "subscriptions", "email", "marketing", "consent")
                ),
            }
        )
    return rows


def events(records: list[Record]) -> list[Record]:
    """Return one row per event; ``_value`` keeps the exact value for sums."""
    rows = []
    for event_id, record in newest(records, text, by_column("datetime")).items():
        attributes = mapping(record.get("attributes"))
        relationships = mapping(record.get("relationships"))
        landed = attributes.get("event_properties")
        properties = mapping(landed)
        value = exact(_property(properties, "value"))
        rows.append(
            {
                "event_id": event_id,
                "profile_id": text(dig(relationships, "profile", "data", "id")),
                "metric_id": text(dig(relationships, "metric", "data", "id")),
                "event_at": _either(attributes, record, "datetime"),
                "message_id": text(_property(properties, "message")),
                "flow_id": text(_property(properties, "flow")),
                "event_value": money(value),
                "properties": json_text(landed),
                "_value": value,
                "_order_id": _first(
                    integer(_property(properties, "event_id")), integer(properties.get("OrderId"))
                ),
                "_currency": text(_property(properties, "currency_code")),
            }
        )
    return rows


def campaigns(records: list[Record]) -> list[Record]:
    """Return one row per campaign."""
    rows = []
    for campaign_id, record in newest(records, text, by_column("updated_at")).items():
        attributes = mapping(record.get("attributes"))
        messages = items(dig(record, "relationships", "campaign_messages", "data"))
        message, related = (
            text(attributes.get("message")),
            [text(row.get("id")) for row in messages],
        )
        rows.append(
            {
                "campaign_id": campaign_id,
                "message_id": message or (related[0] if related else None),
                "_message_ids": {campaign_id, message, *related} - {None, ""},
                "name": text(attributes.get("name")),
                "status": text(attributes.get("status")),
                "channel": text(attributes.get("channel")),
                "is_archived": boolean(attributes.get("archived")),
                "created_at": _either(attributes, record, "created_at"),
                "updated_at": _either(attributes, record, "updated_at"),
                "sent_at": moment(attributes.get("send_time")),
            }
        )
    return rows


def flows(records: list[Record]) -> list[Record]:
    """Return one row per flow."""
    rows = []
    for flow_id, record in newest(records, text, by_column("updated")).items():
        attributes = mapping(record.get("attributes"))
        rows.append(
            {
                "flow_id": flow_id,
                "name": text(attributes.get("name")),
                "status": text(attributes.get("status")),
                "trigger_type": text(attributes.get("trigger_type")),
                "is_archived": boolean(attributes.get("archived")),
                "created_at": moment(attributes.get("created")),
                "updated_at": _either(attributes, record, "updated"),
            }
        )
    return rows


def metrics(records: list[Record]) -> list[Record]:
    """Return one row per metric of the newest generation; others no longer exist."""
    current = newest_generation(records)
    rows = []
    for metric_id, record in newest(current, text, by_column("updated")).items():
        attributes = mapping(record.get("attributes"))
        rows.append(
            {
                "metric_id": metric_id,
                "name": text(attributes.get("name")),
                "integration_name": text(dig(attributes, "integration", "name")),
                "created_at": moment(attributes.get("created")),
                "updated_at": _either(attributes, record, "updated"),
            }
        )
    return rows


def lists(records: list[Record]) -> list[Record]:
    """Return one row per list."""
    rows = []
    for list_id, record in newest(records, text, by_column("updated")).items():
        attributes = mapping(record.get("attributes"))
        rows.append(
            {
                "list_id": list_id,
                "name": text(attributes.get("name")),
                "opt_in_process": text(attributes.get("opt_in_process")),
                "created_at": moment(attributes.get("created")),
                "updated_at": _either(attributes, record, "updated"),
            }
        )
    return rows


def _either(attributes: Record, record: Record, name: str) -> Any:
    """Return a timestamp of the attributes, or else the copy Airbyte keeps at the root."""
    return moment(attributes.get(name)) or moment(record.get(name))


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _property(properties: Record, name: str) -> Any:
    """Return a special property; in a struct ``$`` is not allowed and became ``_``."""
    value = properties.get(f"${name}")
    return properties.get(f"_{name}") if value is None else value
