with

newest as (
    {{ newest_of('shopify', 'inventory_levels') }}
),

final as (
    select
        id as inventory_level_id,
        inventory_item_id,
        location_id,
        available,
        updated_at
    from newest
)

select * from final
