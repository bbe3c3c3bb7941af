"""An independent computation of the lake's tables, straight from the landing files.

The property tests compare the lake with this, value by value. It shares no code with the models and
is written from the contract alone, in plain Python over exact numbers. Clear comes before fast.

    expected = compute(landing)                       # {"fct_sales": Table(...), ...}
    problems = diff(expected["fct_sales"], rows, columns)

Choices
-------
Where the contract is silent, this is what is computed.

Files
    * A file's format is told by its content. A file is left out as a whole when it is empty, has
      no rows, no ``id`` column, is cut off, or holds a CSV row longer or shorter than the header.
      Drift of types is not judged: ``files`` says what was fed. Only today's content of a path is
      seen.
    * Rows without a key are left out. An empty CSV field is null; empty text in the other formats
      is not.
    * A timestamp without an offset is UTC. Numbers as timestamps are epochs (s, ms, µs by size).
    * Jaffle shop: the last of (day folder, natural file name, row) wins, re-deliveries included.

Versions
    * The source cursor is the root column alone, also where ``attributes`` repeats it; for orders
      it is coalesce(updated_at, deleted_at).
    * A tombstone is a version with ``deleted_at`` and no ``created_at``. A version with both is an
      ordinary one, of a deleted order. A later version without ``deleted_at`` restores the order.
    * An order with tombstones only has ``order_id``, ``is_deleted`` = true and nulls, flags and
      ``order_updated_at`` included. ``order_updated_at`` of any other deleted order is that of its
      last version with content.
    * The newest generation is the highest that any record of the stream carries, null lowest.

Orders, lines, refunds, customers
    * ``customer_id`` is ``customer.id``, or else the root ``customer_id``. ``email`` is the
      order's own.
    * Null ``test``, ``taxes_included``, ``gift_card`` are false. Null Klaviyo flags stay null.
    * ``discounts``, ``taxes``, ``tips``, ``total_price`` stay null in int_shopify__orders when the
      source is null, and are 0 in fct_sales; ``gross_sales`` and ``shipping`` are never null for
      an order that has content. With taxes included, a null ``total_tax`` counts as 0.
    * Null prices and quantities are 0 in sums, and null in the line's own columns.
    * ``discount`` of a line is the sum of its allocations when there is at least one, or else
      ``total_discount``, null included. ``tax`` is 0 without tax lines.
    * ``refunded_at`` is ``created_at``. Every refund column is 0 when its list is missing or empty.

Facts and dimensions
    * fct_sales adds up the *rounded* columns of the orders and refunds, so that its columns agree
      with those tables and with each other; fct_daily_sales and the others add up fct_sales.
    * dim_products ``gross_sales`` and ``attributed_revenue`` have no such column below them: they
      sum the exact line and event values and round once.
    * A money value beyond decimal(18,2) is null.
    * An order without ``created_at`` has a null ``order_day``: a row of its own in fct_daily_sales
      without new or returning customers, and no part in cohorts.
    * New and returning are judged over all currencies; on the first day a customer may count as
      new in two of them.
    * E-mails are trimmed of all white space. dim_customers sums over all currencies.
    * A line of quantity 0 still makes its product appear, and can be the latest one.

E-mail
    * ``message_id`` of a campaign is the first of ``attributes.message`` (when not empty) and the
      first related message. ``$message``, ``$flow``, ``$value`` come before ``_message``, … .
    * ``$value`` in text is a number when it is spelled as one in JSON or SQL; a boolean is none.
    * An event whose message is that of two campaigns counts in both; an order it earned goes to
      the campaign with the greatest id.
    * Events without a profile are no recipients, and their orders are not attributed. Events whose
      metric is not in the newest generation have no name and count nowhere.
    * ``properties`` is the landed text; an object is compact JSON. `diff` compares it as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from . import facts, jaffle, klaviyo, shopify
from .landing import read_all
from .tables import SPECIFICATIONS, Table, diff, table

__all__ = ["SPECIFICATIONS", "Table", "compute", "diff", "skipped"]


def compute(
    landing: Path,
    *,
    files: Iterable[str] | None = None,
    timezone: str = "UTC",
    attribution_hours: int = 120,
) -> dict[str, Table]:
    """Return every contract table (dim_dates excepted) as the landing files define it.

    ``files`` are paths relative to ``landing``; None takes all. Files that cannot be read are left
    out; `skipped` names them. ``timezone`` is the shop's, an IANA name. ``attribution_hours`` is
    how long after an opened or clicked message an order is put down to it, both ends included.
    """
    landed, _ = read_all(landing, files)
    orders, lines = shopify.orders_and_lines(landed["shopify", "orders"])
    refunds = shopify.refunds(landed["shopify", "order_refunds"])
    customers = shopify.customers(landed["shopify", "customers"])
    profiles = klaviyo.profiles(landed["klaviyo", "profiles"])
    events = klaviyo.events(landed["klaviyo", "events"])
    campaigns = klaviyo.campaigns(landed["klaviyo", "campaigns"])
    metrics = klaviyo.metrics(landed["klaviyo", "metrics"])
    sales = facts.sales(orders, lines, refunds, ZoneInfo(timezone))
    counted = facts.counting(sales)
    jaffle_orders = jaffle.orders(
        landed["jaffle_shop", "orders"], landed["jaffle_shop", "payments"]
    )
    rows = {
        "int_shopify__orders": orders,
        "int_shopify__order_lines": lines,
        "int_shopify__order_refunds": refunds,
        "int_shopify__customers": customers,
        "int_klaviyo__profiles": profiles,
        "int_klaviyo__events": events,
        "int_klaviyo__campaigns": campaigns,
        "int_klaviyo__flows": klaviyo.flows(landed["klaviyo", "flows"]),
        "int_klaviyo__metrics": metrics,
        "int_klaviyo__lists": klaviyo.lists(landed["klaviyo", "lists"]),
        "fct_sales": sales,
        "fct_daily_sales": facts.daily_sales(counted),
        "fct_customer_cohorts": facts.customer_cohorts(counted),
        "fct_campaign_performance": facts.campaign_performance(
            campaigns, events, metrics, timedelta(hours=attribution_hours)
        ),
        "dim_customers": facts.customer_dimension(customers, profiles, counted),
        "dim_products": facts.products(counted, lines),
        "fct_jaffle_shop__orders": jaffle_orders,
        "dim_jaffle_shop__customers": jaffle.customers(
            landed["jaffle_shop", "customers"], jaffle_orders
        ),
    }
    return {name: table(name, records) for name, records in rows.items()}


def skipped(landing: Path, files: Iterable[str] | None = None) -> dict[str, str]:
    """Return the files that `compute` leaves out, each with the reason."""
    return read_all(landing, files)[1]
