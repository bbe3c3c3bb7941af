{{ config(unique_key='order_id') }}

with

orders as (
    select * from {{ follow(ref('int_shopify__orders'), 'order_id') }}
    where not is_deleted and not is_test_order
),

refunds as (
    select refunds.*
    from {{ follow(ref('int_shopify__order_refunds'), 'order_id') }} as refunds
    inner join orders on refunds.order_id = orders.order_id
),

booked_lines as (
    select * from {{ follow(ref('int_shopify__booked_lines'), 'order_id') }}
),

line_taxes as (
    select
        order_id,
        sum(taxes) as taxes
    from booked_lines
    where refund_id is null
    group by order_id
),

-- Rows that say nothing are left out.
other_movements as (
    select
        orders.order_id,
        cast(null as bigint) as refund_id,
        'shipping' as line_type,
        orders.shipping,
        coalesce(orders.taxes, 0) - coalesce(line_taxes.taxes, 0) as taxes
    from orders
    left join line_taxes on orders.order_id = line_taxes.order_id
    where
        orders.shipping != 0
        or coalesce(orders.taxes, 0) != coalesce(line_taxes.taxes, 0)
    union all by name
    select
        order_id,
        'tip' as line_type,
        tips
    from orders
    where tips != 0
    union all by name
    select
        order_id,
        refund_id,
        'shipping' as line_type,
        -returned_shipping as shipping,
        returned_line_taxes - returned_taxes as taxes
    from refunds
    where returned_shipping != 0 or returned_taxes != returned_line_taxes
    union all by name
    select
        order_id,
        refund_id,
        'adjustment' as line_type,
        refund_discrepancy as returns,
        -refund_discrepancy_taxes as taxes
    from refunds
    where refund_discrepancy != 0 or refund_discrepancy_taxes != 0
),

sales_and_returns as (
    select
        movements.order_id,
        movements.line_type,
        movements.order_line_id,
        movements.product_id,
        movements.variant_id,
        if(movements.refund_id is null, 'sale', 'return') as movement,
        if(movements.refund_id is null, orders.order_date, refunds.refunded_at) as happened_at,
        concat_ws(
            '-',
            movements.refund_id,
            coalesce(cast(movements.line_number as varchar), movements.line_type)
        ) as part,
        coalesce(movements.quantity, 0) as quantity,
        coalesce(movements.gross_sales, 0) as gross_sales,
        coalesce(movements.discounts, 0) as discounts,
        coalesce(movements.returns, 0) as returns,
        coalesce(movements.shipping, 0) as shipping,
        coalesce(movements.taxes, 0) as taxes,
        coalesce(movements.tips, 0) as tips
    from (from booked_lines union all by name from other_movements) as movements
    inner join orders on movements.order_id = orders.order_id
    left join refunds on movements.refund_id = refunds.refund_id
),

-- A cancellation takes back what the returns have left of each part of the order.
cancellations as (
    select
        movements.order_id,
        movements.line_type,
        movements.order_line_id,
        movements.product_id,
        movements.variant_id,
        'cancellation' as movement,
        any_value(orders.cancelled_at) as happened_at,
        coalesce(cast(movements.order_line_id as varchar), movements.line_type) as part,
        -sum(movements.quantity) as quantity,
        0 as gross_sales,
        0 as discounts,
        sum(movements.gross_sales - movements.discounts - movements.returns) as returns,
        -sum(movements.shipping) as shipping,
        -sum(movements.taxes) as taxes,
        -sum(movements.tips) as tips
    from sales_and_returns as movements
    inner join orders on movements.order_id = orders.order_id
    where orders.cancelled_at is not null
    group by all
    having
        sum(movements.quantity) != 0
        or sum(movements.gross_sales - movements.discounts - movements.returns) != 0
        or sum(movements.shipping) != 0
        or sum(movements.taxes) != 0
        or sum(movements.tips) != 0
),

final as (
    select
        concat_ws('-', movements.order_id, movements.movement, movements.part) as sale_id,
        movements.order_id,
        movements.happened_at,
        {{ shop_day('movements.happened_at') }} as sale_day,
        movements.movement,
        movements.line_type,
        movements.order_line_id,
        movements.product_id,
        movements.variant_id,
        orders.customer_id,
        orders.currency,
        cast(movements.quantity as bigint) as quantity,
        {{ money('movements.gross_sales') }} as gross_sales,
        {{ money('movements.discounts') }} as discounts,
        {{ money('movements.returns') }} as returns,
        {{ money('movements.gross_sales - movements.discounts - movements.returns') }} as net_sales,
        {{ money('movements.shipping') }} as shipping,
        {{ money('movements.taxes') }} as taxes,
        {{ money('movements.tips') }} as tips,
        {{ money(
            'movements.gross_sales - movements.discounts - movements.returns'
            ~ ' + movements.shipping + movements.taxes'
        ) }} as total_sales
    from (from sales_and_returns union all by name from cancellations) as movements
    inner join orders on movements.order_id = orders.order_id
)

select * from final
