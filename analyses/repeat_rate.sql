-- How many customers come back. Of the customers of a month: those who had ordered before, as in
-- Shopify's returning customer rate. Of all customers until then: those with a second order. Orders
-- of every currency count, because no money is added up; guests cannot be told apart.
with

orders as (
    select
        customer_id,
        order_date,
        cast(date_trunc('month', order_day) as date) as order_month,
        row_number() over customers_orders as order_number,
        lag(order_date) over customers_orders as order_before
    from {{ ref('fct_sales') }}
    where is_counted and customer_id is not null and order_day is not null
    window customers_orders as (partition by customer_id order by order_date, order_id)
),

monthly as (
    select
        order_month,
        count(distinct customer_id) as customers,
        count(distinct customer_id) filter (order_number > 1) as returning_customers,
        count(*) filter (order_number = 1) as first_orders,
        count(*) filter (order_number = 2) as second_orders,
        median(date_diff('day', order_before, order_date)) filter (order_number = 2)
            as median_days_to_second_order
    from orders
    group by order_month
),

final as (
    select
        order_month,
        customers,
        returning_customers,
        round(100 * returning_customers / customers, 1) as returning_percent,
        sum(first_orders) over until_then as customers_until_then,
        round(100 * sum(second_orders) over until_then / sum(first_orders) over until_then, 1)
            as repeat_rate_percent,
        sum(second_orders) over until_then as repeat_customers_until_then,
        median_days_to_second_order
    from monthly
    window until_then as (order by order_month)
)

select * from final
order by order_month desc
