-- Per currency, the days add up to the orders that count; and every customer is new only once.
with

sales as (
    select * from {{ ref('fct_sales') }} where is_counted and order_day is not null
),

first_days as (
    select
        customer_id,
        min_by(order_day, order_date) as first_day
    from sales
    where customer_id is not null
    group by customer_id
),

expected as (
    select
        sales.currency,
        count(*) as orders,
        sum(sales.units) as units,
        sum(sales.net_sales) as net_sales,
        sum(sales.total_sales) as total_sales,
        count(distinct sales.customer_id) filter (sales.order_day = first_days.first_day)
            as new_customers
    from sales
    left join first_days on sales.customer_id = first_days.customer_id
    group by sales.currency
),

actual as (
    select
        currency,
        sum(orders) as orders,
        sum(units) as units,
        sum(net_sales) as net_sales,
        sum(total_sales) as total_sales,
        sum(new_customers) as new_customers
    from {{ ref('fct_daily_orders') }}
    group by currency
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
