with

newest as (
    {{ newest_of('shopify', 'locations') }}
),

final as (
    select
        id as location_id,
        name as location_name,
        active as is_active,
        country_code,
        created_at,
        updated_at
    from newest
)

select * from final
