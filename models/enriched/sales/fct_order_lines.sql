{{ config(unique_key='order_id') }}

with

lines as (
    select * from {{ follow(ref('int_shopify__order_lines'), 'order_id') }}
),

sales as (
    select * from {{ follow(ref('fct_sales'), 'order_id') }}
    where not is_test_order
),

movements as (
    select * from {{ follow(ref('fct_sales_ledger'), 'order_id') }}
    where movement != 'cancellation' and order_line_id is not null
),

products as (
    select * from {{ ref('int_shopify__products') }}
),

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

inventory_items as (
    select * from {{ ref('int_shopify__inventory_items') }}
),

booked as (
    select
        order_id,
        order_line_id,
        -sum(quantity) filter (movement = 'return') as returned_quantity,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales
    from movements
    group by order_id, order_line_id
),

joined as (
    select
        lines.*,
        sales.order_day,
        sales.is_counted,
        sales.customer_id,
        sales.currency,
        sales.source_name,
        sales.shipping_country,
        products.product_type,
        coalesce(booked.returned_quantity, 0) as returned_quantity,
        booked.gross_sales,
        booked.discounts,
        booked.returns,
        booked.net_sales,
        inventory_items.exact_unit_cost,
        inventory_items.currency as unit_cost_currency,
        inventory_items.exact_unit_cost
        * (coalesce(lines.quantity, 0) - coalesce(booked.returned_quantity, 0)) as cost
    from lines
    inner join sales on lines.order_id = sales.order_id
    inner join booked
        on
            lines.order_id = booked.order_id
            and lines.order_line_id = booked.order_line_id
    left join products on lines.product_id = products.product_id
    left join variants on lines.variant_id = variants.variant_id
    left join inventory_items on variants.inventory_item_id = inventory_items.inventory_item_id
),

final as (
    select
        order_line_id,
        order_id,
        order_day,
        is_counted,
        customer_id,
        product_id,
        variant_id,
        sku,
        title,
        vendor,
        product_type,
        source_name,
        shipping_country,
        currency,
        quantity,
        cast(returned_quantity as bigint) as returned_quantity,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('discounts') }} as discounts,
        {{ money('returns') }} as returns,
        {{ money('net_sales') }} as net_sales,
        {{ money('exact_unit_cost') }} as unit_cost,
        unit_cost_currency,
        {{ money('cost') }} as cost,
        {{ money('net_sales - ' ~ money('cost')) }} as gross_margin
    from joined
)

select * from final
