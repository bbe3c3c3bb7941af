{{ config(unique_key='order_id') }}

with

orders as (
    select * from {{ follow(ref('int_shopify__orders'), 'order_id') }}
    where not is_deleted
),

refunds as (
    select * from {{ follow(ref('int_shopify__order_refunds'), 'order_id') }}
),

-- An order can be refunded more than once.
returned as (
    select
        order_id,
        sum(returned_merchandise + refund_discrepancy) as merchandise,
        sum(returned_line_taxes) as line_taxes,
        sum(returned_shipping) as shipping,
        sum(returned_taxes + refund_discrepancy_taxes) as taxes,
        sum(refunded_amount) as refunded_amount
    from refunds
    group by order_id
),

-- What is missing counts as nothing, so that the parts always add up to the totals.
amounts as (
    select
        orders.* exclude (gross_sales, discounts, shipping, taxes),
        {{ shop_day('orders.order_date') }} as order_day,
        coalesce(orders.gross_sales, 0) as gross_sales,
        coalesce(orders.discounts, 0) as discounts,
        -- Where prices include tax, so does what a line is taken back for.
        coalesce(returned.merchandise, 0)
        - if(orders.taxes_included, coalesce(returned.line_taxes, 0), 0) as returns,
        coalesce(orders.shipping, 0) - coalesce(returned.shipping, 0) as shipping,
        coalesce(orders.taxes, 0) - coalesce(returned.taxes, 0) as taxes,
        coalesce(returned.refunded_amount, 0) as refunded_amount
    from orders
    left join returned on orders.order_id = returned.order_id
),

final as (
    select
        order_id,
        customer_id,
        order_date,
        order_day,
        cancelled_at,
        cancel_reason,
        is_test_order,
        not is_test_order and cancelled_at is null as is_counted,
        financial_status,
        fulfillment_status,
        source_name,
        shipping_country,
        discount_codes,
        currency,
        units,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('discounts') }} as discounts,
        {{ money('returns') }} as returns,
        {{ money('gross_sales - discounts - returns') }} as net_sales,
        {{ money('shipping') }} as shipping,
        {{ money('taxes') }} as taxes,
        {{ money('gross_sales - discounts - returns + shipping + taxes') }} as total_sales,
        {{ money('refunded_amount') }} as refunded_amount
    from amounts
)

select * from final
