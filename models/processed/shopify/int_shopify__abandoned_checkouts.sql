with

newest as (
    {{ newest_of('shopify', 'abandoned_checkouts') }}
),

final as (
    select
        id as checkout_id,
        customer.id as customer_id,
        email,
        buyer_accepts_marketing as accepts_marketing,
        currency,
        {{ money(exact('total_discounts')) }} as total_discounts,
        {{ money(exact('total_tax')) }} as total_tax,
        {{ money(exact('total_price')) }} as total_price,
        list_transform(discount_codes, lambda code: code.code) as discount_codes,
        source_name,
        created_at,
        updated_at,
        completed_at
    from newest
)

select * from final
