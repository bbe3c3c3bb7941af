{{ config(unique_key='customer_id') }}

with

newest as (
    {{ lotus_lake.newest_of('jaffle_shop', 'customers') }}
),

final as (
    select
        id as customer_id,
        first_name,
        last_name
    from newest
)

select * from final
