with

newest as (
    {{ newest_of('shopify', 'inventory_items') }}
),

final as (
    select
        id as inventory_item_id,
        sku,
        {{ money(exact('cost')) }} as unit_cost,
        {{ exact('cost') }} as exact_unit_cost,
        currency_code as currency,
        tracked as is_tracked,
        requires_shipping,
        country_code_of_origin,
        created_at,
        updated_at
    from newest
)

select * from final
