with

checkouts as (
    select * from {{ ref('int_shopify__abandoned_checkouts') }}
),

orders as (
    select * from {{ ref('int_shopify__orders') }}
    where not is_deleted and checkout_id is not null
),

recovered as (
    select
        checkout_id,
        min(order_id) as order_id
    from orders
    group by checkout_id
),

final as (
    select
        checkouts.checkout_id,
        checkouts.created_at,
        checkouts.completed_at,
        checkouts.customer_id,
        checkouts.email,
        checkouts.accepts_marketing,
        checkouts.source_name,
        checkouts.currency,
        checkouts.total_discounts,
        checkouts.total_price,
        checkouts.discount_codes,
        checkouts.completed_at is not null or recovered.order_id is not null as is_recovered,
        recovered.order_id as recovered_order_id
    from checkouts
    left join recovered on checkouts.checkout_id = recovered.checkout_id
)

select * from final
