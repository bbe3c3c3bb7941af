-- The customers that landed are all there, with all the orders that count and are theirs.
with

customers as (
    select customer_id from {{ ref('int_shopify__customers') }}
),

sales as (
    select * from {{ ref('fct_sales') }}
    where is_counted and customer_id in (select customer_id from customers)
),

expected as (
    select
        (select count(*) from customers) as customers,
        count(*) as orders,
        coalesce(sum(gross_sales), 0) as gross_sales,
        coalesce(sum(net_sales), 0) as net_sales
    from sales
),

actual as (
    select
        count(*) as customers,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(gross_sales), 0) as gross_sales,
        coalesce(sum(net_sales), 0) as net_sales
    from {{ ref('dim_customers') }}
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
