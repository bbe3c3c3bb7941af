{{ config(unique_key='payment_id') }}

with

newest as (
    {{ lotus_lake.newest_of('jaffle_shop', 'payments') }}
),

final as (
    select
        id as payment_id,
        order_id,
        payment_method,
        -- Landed in cents.
        cast(amount * 0.01 as decimal(18, 2)) as amount
    from newest
)

select * from final
