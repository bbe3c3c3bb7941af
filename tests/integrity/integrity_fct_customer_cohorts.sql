-- The cohorts add up to the orders of customers that count, and every customer is in one cohort.
with

expected as (
    select
        count(*) as orders,
        coalesce(sum(net_sales), 0) as net_sales,
        count(distinct customer_id) as customers
    from {{ ref('fct_sales') }}
    where is_counted and order_day is not null and customer_id is not null
),

actual as (
    select
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_sales), 0) as net_sales,
        coalesce(sum(customers) filter (months_since_first = 0), 0) as customers
    from {{ ref('fct_customer_cohorts') }}
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
