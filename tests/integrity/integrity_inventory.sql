-- Every variant is there once, with the pieces of the orders that count; and stock is the same by
-- variant, by location and where it was counted.
with

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

sold as (
    select lines.quantity
    from {{ ref('int_shopify__order_lines') }} as lines
    inner join {{ ref('fct_sales') }} as sales on lines.order_id = sales.order_id
    where sales.is_counted and lines.variant_id in (select variant_id from variants)
),

levels as (
    select levels.available
    from {{ ref('int_shopify__inventory_levels') }} as levels
    inner join variants on levels.inventory_item_id = variants.inventory_item_id
),

compared as (
    select
        (select count(*) from variants) as variants,
        (select count(*) from {{ ref('dim_product_variants') }}) as rows_of_variants,
        (select coalesce(sum(quantity), 0) from sold) as units,
        (select coalesce(sum(units_sold), 0) from {{ ref('dim_product_variants') }})
            as units_of_variants,
        (select coalesce(sum(available), 0) from levels) as stock,
        (select coalesce(sum(available), 0) from {{ ref('fct_inventory') }}) as stock_of_locations,
        (select coalesce(sum(on_hand), 0) from {{ ref('dim_product_variants') }})
            as stock_of_variants
)

select * from compared
where
    variants != rows_of_variants
    or units != units_of_variants
    or stock != stock_of_locations
    or stock != stock_of_variants
