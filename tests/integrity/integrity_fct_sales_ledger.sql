-- An order's movements add up to its row in fct_sales, in every column. A cancelled order's end at
-- zero; what was sold, and its discounts, stay.
with

orders as (
    select
        order_id,
        cancelled_at is not null as is_cancelled,
        gross_sales,
        discounts,
        if(is_cancelled, gross_sales - discounts, returns) as returns,
        if(is_cancelled, 0, net_sales) as net_sales,
        if(is_cancelled, 0, shipping) as shipping,
        if(is_cancelled, 0, taxes) as taxes,
        if(is_cancelled, 0, total_sales) as total_sales
    from {{ ref('fct_sales') }}
    where not is_test_order
),

booked as (
    select
        order_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        sum(shipping) as shipping,
        sum(taxes) as taxes,
        sum(total_sales) as total_sales,
        sum(tips) as tips,
        sum(quantity) as quantity
    from {{ ref('fct_sales_ledger') }}
    group by order_id
)

select
    coalesce(orders.order_id, booked.order_id) as order_id,
    orders.is_cancelled,
    orders.gross_sales - coalesce(booked.gross_sales, 0) as gross_sales,
    orders.discounts - coalesce(booked.discounts, 0) as discounts,
    orders.returns - coalesce(booked.returns, 0) as returns,
    orders.net_sales - coalesce(booked.net_sales, 0) as net_sales,
    orders.shipping - coalesce(booked.shipping, 0) as shipping,
    orders.taxes - coalesce(booked.taxes, 0) as taxes,
    orders.total_sales - coalesce(booked.total_sales, 0) as total_sales
from orders
full join booked on orders.order_id = booked.order_id
where
    (
        orders.gross_sales - coalesce(booked.gross_sales, 0),
        orders.discounts - coalesce(booked.discounts, 0),
        orders.returns - coalesce(booked.returns, 0),
        orders.net_sales - coalesce(booked.net_sales, 0),
        orders.shipping - coalesce(booked.shipping, 0),
        orders.taxes - coalesce(booked.taxes, 0),
        orders.total_sales - coalesce(booked.total_sales, 0)
    ) is distinct from (0, 0, 0, 0, 0, 0, 0)
    or orders.is_cancelled and (booked.tips, booked.quantity) != (0, 0)
