{% call(changed) recompute('customer_id', [ref('stg_shopify__customers')]) %}
    select id as customer_id from {{ changed.stg_shopify__customers }}
{% endcall %}

with

landed as not materialized (
    select *, rowid as version_id from {{ ref('stg_shopify__customers') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    {{ newest_of('landed', 'shopify', 'customers') }}
),

final as (
    select
        id as customer_id,
        email,
        first_name,
        last_name,
        created_at as customer_created_at,
        updated_at as customer_updated_at,
        orders_count,
        {{ money(exact('total_spent')) }} as total_spent,
        tags,
        state as customer_state,
        default_address.city as city,
        default_address.country as country
    from newest
)

select * from final
