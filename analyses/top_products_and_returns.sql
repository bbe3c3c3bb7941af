-- The fifty products that sell best, and how many of their orders had something taken back.
-- Refunds are known per order, so a return counts for every product of its order.
with

products as (
    select * from {{ ref('dim_products') }}
),

sales as (
    select order_id, returns from {{ ref('fct_sales') }}
    where not is_test_order and cancelled_at is null
),

order_products as (
    select distinct order_id, product_id from {{ ref('int_shopify__order_lines') }}
),

product_orders as (
    select
        order_products.product_id,
        count(*) as orders,
        count(*) filter (where sales.returns > 0) as orders_with_returns
    from order_products
    inner join sales on order_products.order_id = sales.order_id
    group by order_products.product_id
),

final as (
    select
        products.product_id,
        products.title,
        products.vendor,
        products.units_sold,
        products.gross_sales,
        product_orders.orders,
        product_orders.orders_with_returns,
        round(100 * product_orders.orders_with_returns / product_orders.orders, 1)
            as return_rate_percent
    from products
    inner join product_orders on products.product_id = product_orders.product_id
)

select * from final
order by gross_sales desc, product_id
limit 50
