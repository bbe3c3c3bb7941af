{{ config(unique_key='order_id') }}

with

newest as (
    {{ lotus_lake.newest_of('jaffle_shop', 'orders') }}
),

final as (
    select
        id as order_id,
        user_id as customer_id,
        order_date,
        status
    from newest
)

select * from final
