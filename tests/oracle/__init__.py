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
    * Jaffle shop and ad spend: the last of (day folder, natural file name, row) wins, re-deliveries
      included. A file of ad spend has all four columns of its key. A row of ad spend without a day
      is left out; platform, campaign and currency may be null.

Versions
    * The source cursor is the root column alone, also where ``attributes`` repeats it; for orders
      it is coalesce(updated_at, deleted_at).
    * A tombstone is a version with ``deleted_at`` and no ``created_at``. A version with both is an
      ordinary one, of a deleted order. A later version without ``deleted_at`` restores the order.
    * An order with tombstones only has ``order_id``, ``is_deleted`` = true and nulls, flags and
      ``order_updated_at`` included. ``order_updated_at`` of any other deleted order is that of its
      last version with content.
    * The newest generation is the highest that any record of the stream carries, null lowest.
      Streams of that kind are klaviyo/metrics and shopify/locations.
    * Transactions and refunds have the cursor ``created_at``; the other streams ``updated_at``.

Orders, lines, refunds, customers
    * ``customer_id`` is ``customer.id``, or else the root ``customer_id``. ``email`` is the
      order's own.
    * Null ``test``, ``taxes_included``, ``gift_card`` are false. Null Klaviyo flags stay null.
    * ``discounts``, ``taxes``, ``tips``, ``total_price`` stay null in int_shopify__orders when the
      source is null, and are 0 in the facts; ``gross_sales`` and ``shipping`` are never null for
      an order that has content. With taxes included, a null ``total_tax`` counts as 0.
    * Null prices, quantities and rates are 0 in sums, and null in the line's own columns.
    * ``discount`` of a line is the sum of its allocations when there is at least one, or else
      ``total_discount``, null included, less the tax within it. ``tax`` is 0 without tax lines.
    * Every refund column is 0 when its list is missing or empty. An adjustment without a kind is a
      discrepancy.
    * ``discount_codes`` is null when no list is given; null codes are left out.

Sales
    * The ledger and fct_sales add up the *rounded* columns of orders and refunds, so that their
      columns agree with those tables and with each other; all that is summed from them adds up
      rounded columns too. Only ``gross_sales`` of dim_products sums the exact line values.
    * A return's line is the order line named ``line_item_id``. Of returned lines of one subtotal,
      the remainder goes to the lowest order line. Figures that a movement does not have are 0.
    * A money value beyond decimal(18,2) is null, and 0 in sums.
    * New and returning in fct_daily_sales and fct_daily_orders are judged over all currencies; on
      the first day a customer may count as new in two of them. So are ``new_customer_orders``.
    * An order without a date is a row of its own in fct_daily_orders, without new or returning
      customers, and has no part in cohorts.
    * A cohort's months without activity have no row. ``retention_rate`` is active / all customers.
    * A code given twice on one order counts once.

Customers, products, stock
    * E-mails are trimmed of all white space. Only customers that landed are in dim_customers.
    * A customer's first order is the least of (order_date, order_id), nulls last, of the currency.
    * A line of quantity 0 still makes its product appear, and can be the latest one.
    * ``return_rate`` is returned_units / units_sold. ``on_hand`` is null when no level is known.
    * fct_inventory has the levels whose item is that of a landed variant.

Payments
    * ``processed_at`` is ``created_at`` where it is null; ``kind`` and ``status`` are in small
      letters. Without either moment a payment has no part in a day.
    * ``refunds`` of fct_daily_payments are positive, and ``net_amount`` = payments - refunds. Each
      sums exact amounts and is rounded once.

E-mail, SMS and advertisements
    * ``message_id`` of a campaign is the first of ``attributes.message`` (when not empty) and the
      first related message. ``$message``, ``$flow``, ``$value`` come before ``_message``, … .
    * ``$value`` in text is a number when it is spelled as one in JSON or SQL; a boolean is none.
    * An event is of one campaign (the greatest id that owns its message) or else of its flow; an
      empty ``$flow`` is none. Campaigns and flows that have not landed have no row.
    * A campaign or flow has a row for each channel of its events. A campaign without events has
      one of its own channel, or else e-mail; a flow one of no channel. A channel without orders
      has one row of no currency. Orders are credited to the channel of the touch.
    * Events without a profile reach nobody, and their orders are direct. Events whose metric is
      not in the newest generation have no name and count nowhere.
    * ``properties`` is the landed text; an object is compact JSON. `diff` compares it as JSON.
    * The names of rates, and segments, are the lake's own and not compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from . import dimensions, facts, klaviyo, marketing, shopify
from .landing import read_all
from .ledger import ledger
from .tables import SPECIFICATIONS, Table, diff, table
from .values import Record

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
    shop = {stream: records for (source, stream), records in landed.items() if source == "shopify"}
    zone = ZoneInfo(timezone)
    orders, lines = shopify.orders_and_lines(shop["orders"])
    refunds = shopify.refunds(shop["order_refunds"])
    rows = {
        "int_shopify__orders": orders,
        "int_shopify__order_lines": lines,
        "int_shopify__order_refunds": refunds,
        **_sales(shop, orders, lines, refunds, zone),
        **_email(landed, orders, timedelta(hours=attribution_hours)),
    }
    customers = shopify.customers(shop["customers"])
    rows["int_shopify__customers"] = customers
    rows["dim_customers"] = dimensions.customers(
        customers, rows["int_klaviyo__profiles"], facts.counting(rows["fct_sales"]), lines
    )
    rows["fct_daily_marketing"] = marketing.daily_marketing(landed["ads", "spend"])
    rows["fct_daily_profit"] = facts.daily_profit(
        rows["fct_daily_sales"],
        rows["fct_sales_ledger"],
        {row["variant_id"]: row["_cost"] for row in rows["dim_product_variants"]},
        rows["fct_daily_payments"],
        rows["fct_daily_marketing"],
    )
    return {name: table(name, records) for name, records in rows.items()}


def _sales(
    shop: dict[str, list[Record]],
    orders: list[Record],
    lines: list[Record],
    refunds: list[Record],
    zone: ZoneInfo,
) -> dict[str, list[Record]]:
    sales = facts.sales(orders, lines, refunds, zone)
    counted, booked = facts.counting(sales), ledger(orders, lines, refunds, zone)
    variants = shopify.variants(shop["product_variants"], shop["inventory_items"])
    levels = shopify.inventory_levels(shop["inventory_levels"])
    on_hand = dimensions.stock(levels, variants)
    products = shopify.products(shop["products"])
    costs = {variant["variant_id"]: variant["_cost"] for variant in variants}
    order_lines = facts.order_lines(sales, lines, booked, products, costs)
    payments = shopify.payments(shop["transactions"])
    checkouts = shopify.abandoned_checkouts(shop["abandoned_checkouts"], orders)
    days = (row["order_day"] for row in sales if row["order_day"] is not None)
    return {
        "fct_sales": sales,
        "fct_sales_ledger": booked,
        "fct_daily_sales": facts.daily_sales(sales, booked),
        "fct_daily_orders": facts.daily_orders(counted),
        "fct_order_lines": order_lines,
        "fct_customer_cohorts": facts.customer_cohorts(counted),
        "fct_discount_codes": facts.discount_codes(counted, checkouts),
        "fct_payments": payments,
        "fct_daily_payments": facts.daily_payments(payments, zone),
        "fct_fulfillments": shopify.fulfillments(shop["fulfillments"], orders),
        "fct_abandoned_checkouts": checkouts,
        "fct_inventory": dimensions.inventory(
            levels, variants, shopify.location_names(shop["locations"])
        ),
        "dim_products": dimensions.products(order_lines, products, variants, on_hand),
        "dim_product_variants": dimensions.product_variants(
            variants, order_lines, on_hand, max(days, default=None)
        ),
    }


def _email(
    landed: dict[tuple[str, str], list[Record]], orders: list[Record], window: timedelta
) -> dict[str, list[Record]]:
    events = klaviyo.events(landed["klaviyo", "events"])
    campaigns = klaviyo.campaigns(landed["klaviyo", "campaigns"])
    flows = klaviyo.flows(landed["klaviyo", "flows"])
    metrics = klaviyo.metrics(landed["klaviyo", "metrics"])
    journeys = marketing.Journeys(campaigns, events, metrics, orders, window)
    return {
        "int_klaviyo__profiles": klaviyo.profiles(landed["klaviyo", "profiles"]),
        "int_klaviyo__events": events,
        "int_klaviyo__campaigns": campaigns,
        "int_klaviyo__flows": flows,
        "int_klaviyo__metrics": metrics,
        "int_klaviyo__lists": klaviyo.lists(landed["klaviyo", "lists"]),
        "fct_campaign_performance": marketing.campaign_performance(campaigns, journeys),
        "fct_flow_performance": marketing.flow_performance(flows, journeys),
        "fct_attribution": marketing.attribution(journeys),
    }


def skipped(landing: Path, files: Iterable[str] | None = None) -> dict[str, str]:
    """Return the files that `compute` leaves out, each with the reason."""
    return read_all(landing, files)[1]
