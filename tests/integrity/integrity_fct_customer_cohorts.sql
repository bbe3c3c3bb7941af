-- Per currency, the cohorts add up to the orders of customers that count, and every customer is in
-- one cohort.
with

expected as (
    select
        currency,
        count(*) as orders,
        sum(gross_sales) as gross_sales,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        count(distinct customer_id) as customers
    from {{ ref('fct_sales') }}
    where is_counted and order_day is not null and customer_id is not null
    group by currency
),

actual as (
    select
        currency,
        sum(orders) as orders,
        sum(gross_sales) as gross_sales,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        sum(customers) filter (months_since_first = 0) as customers
    from {{ ref('fct_customer_cohorts') }}
    group by currency
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
