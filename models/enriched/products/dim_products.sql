with

lines as (
    select * from {{ ref('int_shopify__order_lines') }}
    where product_id is not null
),

sales as (
    select * from {{ ref('fct_sales') }} where is_counted
),

-- Discounts that no line carries, and returns, are those of the ledger.
sold_lines as (
    select * from {{ ref('fct_order_lines') }} where is_counted
),

products as (
    select * from {{ ref('int_shopify__products') }}
),

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

inventory_levels as (
    select * from {{ ref('int_shopify__inventory_levels') }}
),

sold as (
    select
        lines.*,
        sales.order_date,
        sales.currency,
        sold_lines.returned_quantity,
        sold_lines.net_sales
    from lines
    inner join sales on lines.order_id = sales.order_id
    left join sold_lines
        on
            lines.order_id = sold_lines.order_id
            and lines.order_line_id = sold_lines.order_line_id
),

sums as (
    select
        product_id,
        currency,
        max_by(
            { title: title, vendor: vendor },
            create_sort_key(order_date, 'asc nulls first', order_line_id, 'asc nulls first')
        ) as latest_line,
        min(order_date) as first_sold_at,
        max(order_date) as last_sold_at,
        coalesce(sum(quantity), 0) as units_sold,
        coalesce(sum(returned_quantity), 0) as returned_units,
        sum(exact_gross_sales) as gross_sales,
        coalesce(sum(net_sales), 0) as net_sales
    from sold
    group by product_id, currency
),

stock as (
    select
        variants.product_id,
        sum(inventory_levels.available) as on_hand
    from inventory_levels
    inner join variants on inventory_levels.inventory_item_id = variants.inventory_item_id
    group by variants.product_id
),

final as (
    select
        sums.product_id,
        sums.currency,
        sums.latest_line.title as title,
        sums.latest_line.vendor as vendor,
        products.product_type,
        products.status,
        products.tags,
        sums.first_sold_at,
        sums.last_sold_at,
        cast(sums.units_sold as bigint) as units_sold,
        cast(sums.returned_units as bigint) as returned_units,
        sums.returned_units / nullif(sums.units_sold, 0) as return_rate,
        {{ money('sums.gross_sales') }} as gross_sales,
        {{ money('sums.net_sales') }} as net_sales,
        cast(stock.on_hand as bigint) as on_hand
    from sums
    left join products on sums.product_id = products.product_id
    left join stock on sums.product_id = stock.product_id
)

select * from final
