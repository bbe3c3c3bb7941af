"""The sample landing zone: written only where it may be, with its stories in the smallest one."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from sample import LandingError, generate

STREAMS = {
    "shopify": "orders customers order_refunds products product_variants inventory_items"
    " inventory_levels locations transactions fulfillments discount_codes abandoned_checkouts",
    "klaviyo": "profiles events campaigns flows metrics lists",
    "ads": "spend",
}
# The newest version of each record, and what each story needs to be true of them, as SQL.
NEWEST = """
    create view {source}_{stream} as
    select
        *,
        greatest(*columns('^(created_at|updated_at|deleted_at|updated|datetime)$')) as changed_at
    from read_parquet('{out}/{source}/{stream}/**/*', union_by_name=true, hive_partitioning=false)
    qualify row_number() over (partition by id order by changed_at desc) = 1
"""
STORIES = {
    "a product sells out and its sales stop": """
        with limited as (
            select inventory_item_id, product_id from shopify_product_variants
            where product_id in (select id from shopify_products where title like 'Two-line%')
        ),
        sold as (select max(created_at) as last_at from (
            select created_at, unnest(line_items) as line from shopify_orders
        ) where line.product_id in (select product_id from limited))
        select sum(available) = 0
            and any_value(last_at) < (select max(created_at) from shopify_orders)
        from shopify_inventory_levels cross join sold
        where inventory_item_id in (select inventory_item_id from limited)
    """,
    "a code loses money": """
        with lines as (
            select unnest(line_items) as line from shopify_orders
            where list_contains([given.code for given in discount_codes], 'FLASH70')
        )
        select sum(
            line.price * line.quantity
            - list_sum([discount.amount::double for discount in line.discount_allocations])
        ) < sum(items.cost * line.quantity)
        from lines
        inner join shopify_product_variants as variants on line.variant_id = variants.id
        inner join shopify_inventory_items as items on variants.inventory_item_id = items.id
    """,
    "a recovered checkout was clicked in the flow before": """
        select bool_or(
            clicked.attributes.event_properties like '%"$flow":"Fl0001"%'
            and clicked.datetime between checkouts.created_at and placed.datetime
        )
        from shopify_abandoned_checkouts as checkouts
        inner join shopify_orders as orders on orders.checkout_id = checkouts.id
        inner join klaviyo_events as placed
            on placed.attributes.event_properties like '%"$event_id":"' || orders.id || '"%'
        inner join klaviyo_events as clicked
            on clicked.relationships.profile.data.id = placed.relationships.profile.data.id
            and clicked.relationships.metric.data.id = 'Mt0003'
    """,
    "a campaign has two messages, another is an SMS": """
        select max(len(relationships.campaign_messages.data)) = 2
            and bool_or(attributes.channel = 'sms' and attributes.status = 'Sent')
        from klaviyo_campaigns
    """,
    "one cancelled order is refunded, one is not": """
        select bool_or(is_refunded) and not bool_and(is_refunded)
        from (
            select id in (select order_id from shopify_order_refunds) as is_refunded
            from shopify_orders where cancelled_at is not null
        )
    """,
    "an order is nothing but gift cards": """
        select bool_or(list_bool_and([line.gift_card for line in line_items])) from shopify_orders
    """,
    "an order has two refunds, the first of some of its goods": """
        select bool_or(refunds > 1 and refunded < total_price)
        from shopify_orders
        inner join (
            select order_id, count(*) as refunds,
                sum(list_sum([line.subtotal for line in refund_line_items])) as refunded
            from shopify_order_refunds group by order_id
        ) on id = order_id
    """,
    "a refund has a discrepancy": """
        select bool_or(list_contains([it.kind for it in order_adjustments], 'refund_discrepancy'))
        from shopify_order_refunds
    """,
    "a tax-inclusive order is paid back in full": """
        select bool_or(abs(total_price - total_tip_received - refunded) < 0.005)
        from shopify_orders
        inner join (
            select order_id, sum(list_sum([payment.amount::double for payment in transactions
                if payment.kind = 'refund' and payment.status = 'success'])) as refunded
            from shopify_order_refunds group by order_id
        ) on id = order_id
        where taxes_included and financial_status = 'refunded'
    """,
    "every refund's payments are payments of their order": """
        select count(*) > 0 and count(*) = count(shopify_transactions.id)
        from (
            select order_id, unnest(transactions) as refunded from shopify_order_refunds
        ) as refunds
        left join shopify_transactions
            on shopify_transactions.id = refunded.id
            and shopify_transactions.order_id = refunds.order_id
            and shopify_transactions.amount::decimal(18, 2) = refunded.amount::decimal(18, 2)
    """,
    "a product is deleted": "select count(deleted_at) = 1 from shopify_products",
    "what was spent on ads is corrected": """
        select max(costs) > 1 from (
            select count(distinct cost) as costs
            from read_csv('{out}/ads/spend/**/*') group by date, campaign
        )
    """,
}

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_landing.py"


def test_command(tmp_path: Path) -> None:
    """It overwrites nothing but a landing zone, and that only when it is told to."""
    out = tmp_path / "raw"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--out", str(out), "--orders", "100", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--days", "6").returncode == 2
    written = run("--days", "7")
    assert written.returncode == 0 and "shopify/orders" in written.stdout, written.stderr
    refused = run("--days", "7")
    assert refused.returncode == 2 and "not empty" in refused.stderr
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(LandingError, match="more than a landing zone"):
        generate(out, orders=100, days=7, seed=5, start=date(2025, 1, 1), force=True)
    (out / "thesis.txt").unlink()
    assert run("--days", "7", "--force").returncode == 0
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("seed", [1, 7])
def test_stories(tmp_path: Path, seed: int) -> None:
    """The smallest sample has every stream and every story."""
    out = tmp_path / "raw"
    delivery = generate(out, orders=50, days=7, seed=seed, start=date(2025, 1, 1))
    landed = {(file.source, file.stream) for file in delivery.files}
    assert landed == {(source, it) for source, names in STREAMS.items() for it in names.split()}
    with duckdb.connect() as connection:
        for source, stream in landed:
            if source in ("shopify", "klaviyo"):
                connection.execute(NEWEST.format(source=source, stream=stream, out=out))
        told = {
            story: connection.execute(sql.replace("{out}", str(out))).fetchone() == (True,)
            for story, sql in STORIES.items()
        }
    assert all(told.values()), told
