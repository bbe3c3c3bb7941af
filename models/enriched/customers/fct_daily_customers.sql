with

orders as (
    select * from {{ ref('fct_sales') }}
    where not is_test_order and order_day is not null and customer_id is not null
),

final as (
    select
        order_day,
        customer_id,
        currency,
        count(*) as orders,
        order_day = min(order_day) over (partition by customer_id) as is_new
    from orders
    group by order_day, customer_id, currency
)

select * from final
