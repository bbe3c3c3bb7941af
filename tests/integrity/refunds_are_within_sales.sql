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
        max(refunded_at) as last_refunded_at,
        sum(returned_merchandise) as merchandise,
        sum(returned_line_taxes) as line_taxes,
        sum(refund_discrepancy + refund_discrepancy_taxes) as given_on_top
    from {{ ref('int_shopify__order_refunds') }}
    where refunded_at <= {{ watch_until() }}
    group by order_id
),

newest as (
    select max(last_refunded_at) - interval {{ setting("watch_report_days") }} day as since
    from refunded
),

suspects as (
    select
        sales.order_id,
        orders.order_name,
        orders.total_price,
        sales.refunded_amount,
        sales.gross_sales,
        refunded.merchandise - if(orders.taxes_included, refunded.line_taxes, 0) as returned,
        refunded.given_on_top,
        refunded.last_refunded_at
    from {{ ref('fct_sales') }} as sales
    inner join {{ ref('int_shopify__orders') }} as orders on sales.order_id = orders.order_id
    inner join refunded on sales.order_id = refunded.order_id
    cross join newest
    where refunded.last_refunded_at > newest.since
)

select
    *,
    returned <= gross_sales + 0.01 and refunded_amount - given_on_top <= total_price + 0.01
        as is_explained,
    'order ' || coalesce(order_name, order_id::varchar) || ': ' || refunded_amount
    || ' refunded of ' || coalesce(total_price::varchar, '?') || ' paid, goods of ' || returned
    || ' returned of ' || gross_sales || ' sold' || if(is_explained, ', as staff decided', '')
    || '. See docs/checks.md, "Refunds exceed sales"' as message
from suspects
where refunded_amount > total_price + 0.01 or returned > gross_sales + 0.01
