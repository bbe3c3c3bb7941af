-- Per currency, the sales are those of the orders less those of their refunds.
with

orders as (
    select * from {{ ref('int_shopify__orders') }} where not is_deleted
),

refunds as (
    select
        refunds.*,
        orders.currency,
        orders.taxes_included
    from {{ ref('int_shopify__order_refunds') }} as refunds
    inner join orders on refunds.order_id = orders.order_id
),

expected as (
    select
        currency,
        count(*) as orders,
        sum(gross_sales) - coalesce(sum(discounts), 0) as net_sales,
        coalesce(sum(shipping), 0) as shipping,
        coalesce(sum(taxes), 0) as taxes
    from orders
    group by currency
),

returned as (
    select
        currency,
        sum(
            returned_merchandise + refund_discrepancy - if(taxes_included, returned_line_taxes, 0)
        ) as merchandise,
        sum(returned_shipping) as shipping,
        sum(returned_taxes + refund_discrepancy_taxes) as taxes,
        sum(refunded_amount) as refunded_amount
    from refunds
    group by currency
),

actual as (
    select
        currency,
        count(*) as orders,
        sum(net_sales) as net_sales,
        sum(shipping) as shipping,
        sum(taxes) as taxes,
        sum(total_sales) as total_sales,
        sum(refunded_amount) as refunded_amount
    from {{ ref('fct_sales') }}
    group by currency
),

compared as (
    select
        coalesce(expected.currency, actual.currency) as currency,
        coalesce(expected.orders, 0) - coalesce(actual.orders, 0) as orders,
        expected.net_sales - coalesce(returned.merchandise, 0) - actual.net_sales as net_sales,
        expected.shipping - coalesce(returned.shipping, 0) - actual.shipping as shipping,
        expected.taxes - coalesce(returned.taxes, 0) - actual.taxes as taxes,
        actual.net_sales + actual.shipping + actual.taxes - actual.total_sales as total_sales,
        coalesce(returned.refunded_amount, 0) - actual.refunded_amount as refunded_amount
    from expected
    full join actual on expected.currency is not distinct from actual.currency
    left join returned on expected.currency is not distinct from returned.currency
)

select * from compared
where
    orders != 0
    or net_sales != 0
    or shipping != 0
    or taxes != 0
    or total_sales != 0
    or refunded_amount != 0
