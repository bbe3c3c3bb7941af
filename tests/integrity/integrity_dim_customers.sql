-- The customers that landed are all there; per currency, with all the orders that count and are
-- theirs.
with

customers as (
    select customer_id from {{ ref('int_shopify__customers') }}
),

expected as (
    select
        currency,
        count(distinct customer_id) as customers,
        count(*) as orders,
        sum(gross_sales) as gross_sales,
        sum(returns) as returns,
        sum(net_sales) as net_sales
    from {{ ref('fct_sales') }}
    where is_counted and customer_id in (select customer_id from customers)
    group by currency
    union all
    select
        'all',
        count(*),
        null,
        null,
        null,
        null
    from customers
),

actual as (
    select
        currency,
        count(*) as customers,
        sum(orders) as orders,
        sum(gross_sales) as gross_sales,
        sum(returns) as returns,
        sum(net_sales) as net_sales
    from {{ ref('dim_customers') }}
    where orders > 0
    group by currency
    union all
    select
        'all',
        count(distinct customer_id),
        null,
        null,
        null,
        null
    from {{ ref('dim_customers') }}
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
