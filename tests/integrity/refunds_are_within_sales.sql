{#
    Warns of orders, refunded in the last watch_report_days of refunds, that gave back more money than
    was paid, or more goods than were sold. What staff gave back on top of it, Shopify calls a refund
    discrepancy; such orders are listed as explained and do not raise the warning.
#}
{{ config(fail_calc="count(*) filter (not is_explained)") }}

with

refunded as (
    select
        order_id,
        max(refunded_at) as last_refunded_at
    from {{ ref('int_shopify__order_refunds') }}
    where refunded_at <= {{ watch_until() }}
    group by order_id
),

newest as (
    select max(last_refunded_at) - interval {{ var("watch_report_days") }} day as since
    from refunded
),

suspects as (
    select
        sales.order_id,
        orders.order_name,
        orders.total_price,
        sales.refunded_amount,
        sales.gross_sales,
        sales.returns,
        refunded.last_refunded_at
    from {{ ref('fct_sales') }} as sales
    inner join {{ ref('int_shopify__orders') }} as orders on sales.order_id = orders.order_id
    inner join refunded on sales.order_id = refunded.order_id
    cross join newest
    where
        (
            sales.refunded_amount > orders.total_price + 0.01
            or sales.returns > sales.gross_sales + 0.01
        )
        and refunded.last_refunded_at > newest.since
),

-- A refund may be delivered again.
adjustments as (
    select
        order_id,
        id,
        any_value(order_adjustments) as items
    from {{ ref('stg_shopify__order_refunds') }}
    where order_id in (select order_id from suspects)
    group by order_id, id
),

given as (
    select
        order_id,
        -sum(list_sum(list_transform(
            list_filter(items, lambda item: item.kind = 'refund_discrepancy'),
            lambda item: {{ exact('item.amount') }}
        ))) as amount
    from adjustments
    group by order_id
)

select
    suspects.*,
    suspects.returns <= suspects.gross_sales + 0.01
    and suspects.refunded_amount - coalesce(given.amount, 0) <= suspects.total_price + 0.01
        as is_explained,
    'order ' || coalesce(order_name, suspects.order_id::varchar) || ': ' || refunded_amount
    || ' refunded of ' || coalesce(total_price::varchar, '?') || ' paid, goods of ' || returns
    || ' returned of ' || gross_sales || ' sold' || if(is_explained, ', as staff decided', '')
    || '. See docs/checks.md, "Refunds exceed sales"' as message
from suspects
left join given on suspects.order_id = given.order_id
