{{ config(unique_key='order_id') }}

with

orders as (
    select * from {{ follow(ref('int_shopify__orders'), 'order_id') }}
    where not is_deleted and not is_test_order
),

order_lines as (
    select
        *,
        if(is_gift_card, 'gift_card', 'product') as line_type
    from {{ follow(ref('int_shopify__order_lines'), 'order_id') }}
    where order_id in (select order_id from orders)
),

refunds as (
    select
        refunds.*,
        orders.taxes_included
    from {{ follow(ref('int_shopify__order_refunds'), 'order_id') }} as refunds
    inner join orders on refunds.order_id = orders.order_id
),

refund_lines as (
    select
        lines.*,
        order_lines.product_id,
        order_lines.variant_id,
        coalesce(order_lines.line_type, 'product') as line_type
    from {{ follow(ref('int_shopify__refund_lines'), 'order_id') }} as lines
    left join order_lines
        on
            lines.order_id = order_lines.order_id
            and lines.order_line_id = order_lines.order_line_id
),

-- The lines of orders and, with a refund_id, of refunds; each rounded by itself.
lines as (
    select
        order_id,
        cast(null as bigint) as refund_id,
        order_line_id as line_number,
        line_type,
        order_line_id,
        product_id,
        variant_id,
        unit_price * quantity as size,
        coalesce(quantity, 0) as quantity,
        {{ money('exact_gross_sales') }} as gross_sales,
        coalesce(discount, 0) as discounts,
        cast(0 as decimal(18, 2)) as returns,
        tax as taxes
    from order_lines
    union all by name
    select
        refunds.order_id,
        refunds.refund_id,
        lines.line_number,
        lines.line_type,
        lines.order_line_id,
        lines.product_id,
        lines.variant_id,
        lines.subtotal as size,
        -lines.quantity as quantity,
        0 as gross_sales,
        0 as discounts,
        lines.subtotal - if(refunds.taxes_included, lines.tax, 0) as returns,
        -lines.tax as taxes
    from refund_lines as lines
    inner join refunds on lines.refund_id = refunds.refund_id
),

-- By how much these miss what the orders and refunds say: what was rounded, and discounts that no
-- line carries. An order's taxes that its lines do not account for are those on shipping.
totals as (
    select
        order_id,
        cast(null as bigint) as refund_id,
        gross_sales,
        discounts,
        0 as returns,
        0 as taxes
    from orders
    union all
    select
        order_id,
        refund_id,
        0,
        0,
        returned_merchandise - if(taxes_included, returned_line_taxes, 0),
        -returned_line_taxes
    from refunds
    union all
    select
        order_id,
        refund_id,
        -gross_sales,
        -discounts,
        -returns,
        if(refund_id is null, 0, -taxes)
    from lines
),

remainders as (
    select
        order_id,
        refund_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(taxes) as taxes
    from totals
    group by order_id, refund_id
    having
        sum(gross_sales) != 0 or sum(discounts) != 0 or sum(returns) != 0 or sum(taxes) != 0
),

-- They go to the largest line.
placed_remainders as (
    select
        remainders.*,
        max_by(
            lines.line_number,
            create_sort_key(
                coalesce(lines.size, 0), 'asc nulls first', lines.order_line_id, 'desc nulls first'
            )
        ) as line_number
    from remainders
    left join lines
        on
            remainders.order_id = lines.order_id
            and remainders.refund_id is not distinct from lines.refund_id
    group by all
),

line_movements as (
    select
        lines.* exclude (size, gross_sales, discounts, returns, taxes),
        lines.gross_sales + coalesce(remainders.gross_sales, 0) as gross_sales,
        lines.discounts + coalesce(remainders.discounts, 0) as discounts,
        lines.returns + coalesce(remainders.returns, 0) as returns,
        lines.taxes + coalesce(remainders.taxes, 0) as taxes
    from lines
    left join placed_remainders as remainders
        on
            lines.order_id = remainders.order_id
            and lines.refund_id is not distinct from remainders.refund_id
            and lines.line_number = remainders.line_number
),

line_taxes as (
    select
        order_id,
        sum(taxes) as taxes
    from lines
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
    -- Of orders without lines.
    select
        order_id,
        refund_id,
        'adjustment' as line_type,
        gross_sales,
        discounts
    from placed_remainders
    where line_number is null
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
    from (from line_movements union all by name from other_movements) as movements
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
