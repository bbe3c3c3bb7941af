"""The contract's tables: their columns and keys, and how two versions of one are compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .values import Record, nulls_lowest

DIFFERENCES_SHOWN = 20

_SPECIFICATIONS = """
int_shopify__orders | order_id | order_name customer_id email order_date order_updated_at
  cancelled_at cancel_reason is_deleted is_test_order financial_status fulfillment_status currency
  taxes_included gross_sales discounts shipping taxes tips total_price source_name
int_shopify__order_lines | order_line_id order_id | product_id variant_id sku title variant_title
  vendor quantity unit_price discount tax is_gift_card
int_shopify__order_refunds | refund_id | order_id refunded_at returned_quantity
  returned_merchandise returned_taxes returned_line_taxes returned_shipping refund_discrepancy
  refund_discrepancy_taxes refunded_amount
int_shopify__customers | customer_id | email first_name last_name customer_created_at
  customer_updated_at orders_count total_spent tags customer_state city country
int_klaviyo__profiles | profile_id | email phone_number first_name last_name city region country
  postal_code created_at updated_at last_event_date historic_clv predicted_clv total_clv
  churn_probability average_order_value historic_orders email_consent
int_klaviyo__events | event_id | profile_id metric_id event_at message_id flow_id event_value
  properties
int_klaviyo__campaigns | campaign_id | message_id name status channel is_archived created_at
  updated_at sent_at
int_klaviyo__flows | flow_id | name status trigger_type is_archived created_at updated_at
int_klaviyo__metrics | metric_id | name integration_name created_at updated_at
int_klaviyo__lists | list_id | name opt_in_process created_at updated_at
fct_sales | order_id | customer_id order_date order_day cancelled_at cancel_reason is_test_order
  financial_status fulfillment_status source_name shipping_country discount_codes currency units
  gross_sales discounts returns net_sales shipping taxes total_sales refunded_amount
fct_sales_ledger | order_id movement line_type order_line_id happened_at | sale_day product_id
  variant_id customer_id currency quantity gross_sales discounts returns net_sales shipping taxes
  tips total_sales
fct_daily_sales | sale_day currency | orders units returned_units gross_sales discounts returns
  net_sales shipping taxes tips total_sales gift_card_sales average_order_value new_customers
  returning_customers
fct_daily_orders | order_day currency | orders units gross_sales discounts returns net_sales
  shipping taxes total_sales average_order_value new_customers returning_customers
fct_order_lines | order_line_id order_id | order_day customer_id product_id variant_id sku title
  vendor product_type currency quantity returned_quantity gross_sales discounts returns net_sales
  unit_cost cost gross_margin is_counted
fct_customer_cohorts | cohort_month months_since_first currency | customers active_customers orders
  gross_sales returns net_sales cumulative_net_sales cumulative_net_sales_per_customer
  retention_rate
fct_discount_codes | code currency | orders new_customer_orders gross_sales discounts net_sales
  average_order_value abandoned_checkouts
fct_payments | transaction_id | order_id processed_at kind gateway currency amount
fct_daily_payments | day gateway currency | payments refunds net_amount transactions
fct_fulfillments | fulfillment_id | order_id created_at status shipment_status tracking_company
  units hours_to_fulfil
fct_abandoned_checkouts | checkout_id | created_at customer_id email currency total_price
  discount_codes is_recovered recovered_order_id
fct_inventory | variant_id location_id | location_name available updated_at
fct_campaign_performance | campaign_id channel currency | campaign_name sent_at recipients received
  unique_opens unique_clicks bounces spam_complaints unsubscribes attributed_orders
  attributed_revenue
fct_flow_performance | flow_id channel currency | received unique_opens unique_clicks bounces
  spam_complaints unsubscribes attributed_orders attributed_revenue
fct_attribution | placed_event_id touch_event_id attribution_model | order_id currency source_type
  source_id weight attributed_revenue
fct_daily_marketing | day platform currency | cost impressions clicks
fct_daily_profit | day currency | net_sales cost_of_goods shipping payment_refunds ad_spend
  gross_margin contribution_margin new_customers customer_acquisition_cost
  marketing_efficiency_ratio
dim_customers | customer_id currency | email first_name last_name first_order_at last_order_at
  orders gross_sales returns net_sales average_order_value average_days_between_orders
  recency_score frequency_score monetary_score first_product_id first_discount_code
  accepts_email_marketing klaviyo_profile_id email_consent last_event_at predicted_clv
dim_products | product_id currency | title vendor product_type status tags first_sold_at
  last_sold_at units_sold returned_units gross_sales net_sales return_rate on_hand
dim_product_variants | variant_id | product_id sku title price compare_at_price unit_cost on_hand
  units_sold last_sold_at days_of_cover
"""


def _specifications() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    found = {}
    for specification in _SPECIFICATIONS.replace("\n  ", " ").strip().splitlines():
        name, key, others = (part.split() for part in specification.split("|"))
        found[name[0]] = (tuple(key), (*key, *others))
    return found


SPECIFICATIONS = _specifications()
"""Key columns and all columns (the key's first) of each table.

The ledger's key is what a movement is of. Two refunds of one line at one moment share it: their
rows are compared as a multiset. ``sale_id`` is the lake's own name for a row.
"""


@dataclass(frozen=True)
class Table:
    """A table's contents: rows as tuples, in the order of all columns from left to right."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[Record]:
        """Return the rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def table(name: str, records: Iterable[Record]) -> Table:
    """Return the contract's columns of ``records``, in canonical order."""
    key, columns = SPECIFICATIONS[name]
    rows = [tuple(record.get(column) for column in columns) for record in records]
    return Table(name, key, columns, sorted(rows, key=lambda row: nulls_lowest(*row)))


def diff(
    expected: Table, actual_rows: Iterable[Sequence[Any]], actual_columns: Sequence[str]
) -> list[str]:
    """Return readable differences, at most the first 20 and then how many more; none if equal.

    Rows are matched by the table's key. Columns that are only in the actual table are ignored.
    """
    missing = [column for column in expected.columns if column not in actual_columns]
    if missing:
        return [f"{expected.name}: column {column} is missing" for column in missing]
    positions = [list(actual_columns).index(column) for column in expected.columns]
    wanted = _by_key(expected, expected.rows)
    given = _by_key(
        expected, (tuple(row[position] for position in positions) for row in actual_rows)
    )
    found: list[str] = []
    for key in sorted({*wanted, *given}, key=lambda key: nulls_lowest(*map(_order, key))):
        found += _row_differences(expected, key, wanted.get(key, []), given.get(key, []))
    if len(found) > DIFFERENCES_SHOWN:
        more = len(found) - DIFFERENCES_SHOWN
        return [*found[:DIFFERENCES_SHOWN], f"{expected.name}: … and {more} more differences"]
    return found


def _by_key(
    expected: Table, rows: Iterable[tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        # The key's columns come first in every table.
        found.setdefault(row[: len(expected.key)], []).append(row)
    return found


def _order(value: Any) -> Any:
    """Make values of different types comparable, for a lake that has the wrong type in a key."""
    return None if value is None else (type(value).__name__, value)


def _row_differences(
    expected: Table,
    key: tuple[Any, ...],
    wanted: list[tuple[Any, ...]],
    given: list[tuple[Any, ...]],
) -> list[str]:
    pairs = zip(expected.key, key, strict=True)
    where = f"{expected.name}[{', '.join(f'{name}={show(value)}' for name, value in pairs)}]"
    if not given:
        return [f"{where}: row is missing"] * len(wanted)
    if not wanted:
        return [f"{where}: row is not expected"] * len(given)
    if len(wanted) != len(given):
        return [f"{where}: expected {len(wanted)} rows with this key, actual {len(given)}"]
    rows = zip(
        sorted(wanted, key=lambda row: nulls_lowest(*map(_order, row))),
        sorted(given, key=lambda row: nulls_lowest(*map(_order, row))),
        strict=True,
    )
    return [
        f"{where}.{column}: expected {show(one)}, actual {show(other)}"
        for wanted_row, given_row in rows
        for column, one, other in zip(expected.columns, wanted_row, given_row, strict=True)
        if not same(column, one, other)
    ]


def same(column: str, expected: Any, actual: Any) -> bool:
    """Tell whether two values are the same, type included.

    A double where money is expected differs even when it looks equal, and so does a naive
    timestamp where an aware one is. Two doubles may differ in their last digits. Event
    properties are compared as JSON: how the text of an object is spaced depends on the format it
    landed in.
    """
    if isinstance(expected, Decimal) != isinstance(actual, Decimal):
        return False
    if isinstance(expected, bool) != isinstance(actual, bool):
        return False
    if bool(expected == actual):
        return True
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=1e-12)
    return (
        column == "properties"
        and _json(expected) is not None
        and (_json(expected) == _json(actual))
    )


def _json(value: Any) -> Any:
    try:
        return json.loads(value, parse_float=Decimal)
    except (TypeError, ValueError):
        return None


def show(value: Any) -> str:
    """Return a value as messages show it: text quoted, everything else plain."""
    if value is None:
        return "null"
    return repr(value) if isinstance(value, str | float) else str(value)
