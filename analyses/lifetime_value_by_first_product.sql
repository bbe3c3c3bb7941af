-- Which first products bring customers who are worth most, per currency. Newer customers have had
-- less time to come back, so the value of the first 90 days is that of customers who have had them.
with

customers as (
    select * from {{ ref('dim_customers') }}
    where orders > 0
),

sales as (
    select * from {{ ref('fct_sales') }}
    where is_counted
),

products as (
    select * from {{ ref('dim_products') }}
),

newest as (
    select max(order_date) as order_date from sales
),

early_sales as (
    select
        customers.customer_id,
        customers.currency,
        sum(sales.net_sales) as net_sales
    from customers
    inner join sales
        on
            customers.customer_id = sales.customer_id
            and customers.currency is not distinct from sales.currency
            and sales.order_date < customers.first_order_at + interval 90 days
    inner join newest on customers.first_order_at + interval 90 days <= newest.order_date
    group by customers.customer_id, customers.currency
),

sums as (
    select
        customers.first_product_id,
        customers.currency,
        count(*) as customers,
        count(*) filter (customers.orders > 1) as repeat_customers,
        sum(customers.orders) as orders,
        sum(customers.net_sales) as net_sales,
        count(early_sales.customer_id) as customers_of_90_days,
        sum(early_sales.net_sales) as early_net_sales
    from customers
    left join early_sales
        on
            customers.customer_id = early_sales.customer_id
            and customers.currency is not distinct from early_sales.currency
    group by customers.first_product_id, customers.currency
),

final as (
    select
        products.title as first_product,
        sums.currency,
        sums.customers,
        round(sums.net_sales / sums.customers, 2) as value_so_far,
        round(sums.early_net_sales / nullif(sums.customers_of_90_days, 0), 2) as value_of_90_days,
        round(100 * sums.repeat_customers / sums.customers, 1) as repeat_rate_percent,
        sums.customers_of_90_days,
        round(sums.orders / sums.customers, 2) as orders_per_customer,
        sums.net_sales,
        sums.first_product_id
    from sums
    left join products
        on
            sums.first_product_id = products.product_id
            and sums.currency is not distinct from products.currency
)

select * from final
order by
    sum(customers) over (partition by currency) desc,
    currency,
    value_so_far desc,
    first_product_id
