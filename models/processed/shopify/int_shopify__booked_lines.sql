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

final as (
    select
        lines.order_id,
        lines.refund_id,
        lines.line_number,
        lines.line_type,
        lines.order_line_id,
        lines.product_id,
        lines.variant_id,
        cast(lines.quantity as bigint) as quantity,
        {{ money('lines.gross_sales + coalesce(remainders.gross_sales, 0)') }} as gross_sales,
        {{ money('lines.discounts + coalesce(remainders.discounts, 0)') }} as discounts,
        {{ money('lines.returns + coalesce(remainders.returns, 0)') }} as returns,
        {{ money('lines.taxes + coalesce(remainders.taxes, 0)') }} as taxes
    from lines
    left join placed_remainders as remainders
        on
            lines.order_id = remainders.order_id
            and lines.refund_id is not distinct from remainders.refund_id
            and lines.line_number = remainders.line_number
    union all by name
    -- Of orders without lines.
    select
        order_id,
        refund_id,
        'adjustment' as line_type,
        0 as quantity,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('discounts') }} as discounts,
        {{ money('returns') }} as returns,
        {{ money('taxes') }} as taxes
    from placed_remainders
    where line_number is null
)

select * from final
