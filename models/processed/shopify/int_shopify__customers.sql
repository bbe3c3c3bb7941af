{{ config(unique_key='customer_id') }}

with

newest as (
    {{ newest_of('shopify', 'customers') }}
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
        default_address.country as country,
        coalesce(email_marketing_consent.state = 'subscribed', accepts_marketing)
            as accepts_email_marketing
    from newest
)

select * from final
