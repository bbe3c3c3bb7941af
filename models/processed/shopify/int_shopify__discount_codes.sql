with

newest as (
    {{ newest_of('shopify', 'discount_codes') }}
),

final as (
    select
        id as discount_code_id,
        code,
        title,
        discount_type,
        status,
        usage_count,
        usage_limit,
        applies_once_per_customer,
        starts_at,
        ends_at,
        created_at,
        updated_at
    from newest
)

select * from final
