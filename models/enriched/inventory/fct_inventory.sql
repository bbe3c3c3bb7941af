with

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

levels as (
    select * from {{ ref('int_shopify__inventory_levels') }}
),

locations as (
    select * from {{ ref('int_shopify__locations') }}
),

final as (
    select
        variants.variant_id,
        levels.location_id,
        variants.product_id,
        variants.inventory_item_id,
        variants.sku,
        locations.location_name,
        levels.available,
        levels.updated_at
    from levels
    inner join variants on levels.inventory_item_id = variants.inventory_item_id
    left join locations on levels.location_id = locations.location_id
)

select * from final
