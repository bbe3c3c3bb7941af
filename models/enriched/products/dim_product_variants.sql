with

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

products as (
    select * from {{ ref('int_shopify__products') }}
),

items as (
    select * from {{ ref('int_shopify__inventory_items') }}
),

levels as (
    select * from {{ ref('int_shopify__inventory_levels') }}
),

lines as (
    select * from {{ ref('int_shopify__order_lines') }}
    where variant_id is not null
),

sales as (
    select * from {{ ref('fct_sales') }}
),

stock as (
    select
        inventory_item_id,
        cast(sum(available) as bigint) as on_hand
    from levels
    group by inventory_item_id
),

newest as (
    select max(order_day) as order_day from sales
),

sold as (
    select
        lines.variant_id,
        cast(coalesce(sum(lines.quantity), 0) as bigint) as units_sold,
        max(sales.order_date) as last_sold_at,
        coalesce(sum(lines.quantity) filter (sales.order_day > newest.order_day - 28), 0)
            as recent_units
    from lines
    inner join sales on lines.order_id = sales.order_id
    cross join newest
    where sales.is_counted
    group by lines.variant_id
),

final as (
    select
        variants.variant_id,
        variants.product_id,
        variants.inventory_item_id,
        variants.sku,
        variants.barcode,
        variants.title,
        products.title as product_title,
        products.vendor,
        products.product_type,
        products.status as product_status,
        products.is_deleted as is_product_deleted,
        variants.price,
        variants.compare_at_price,
        items.unit_cost,
        items.currency as unit_cost_currency,
        items.is_tracked,
        stock.on_hand,
        coalesce(sold.units_sold, 0) as units_sold,
        sold.last_sold_at,
        {{ money_average('(stock.on_hand * 28)', 'sold.recent_units') }} as days_of_cover
    from variants
    left join products on variants.product_id = products.product_id
    left join items on variants.inventory_item_id = items.inventory_item_id
    left join stock on variants.inventory_item_id = stock.inventory_item_id
    left join sold on variants.variant_id = sold.variant_id
)

select * from final
