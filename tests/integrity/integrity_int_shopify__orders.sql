-- Every order that landed is there once, and what its lines add up to is in it.
with

landed as (
    select distinct id as order_id from {{ ref('stg_shopify__orders') }} where id is not null
),

orders as (
    select * from {{ ref('int_shopify__orders') }}
),

line_sums as (
    select
        order_id,
        sum(quantity) as units,
        round(round(sum(exact_gross_sales), 6), 2) as gross_sales
    from {{ ref('int_shopify__order_lines') }}
    group by order_id
)

select
    coalesce(landed.order_id, orders.order_id) as order_id,
    orders.units,
    line_sums.units as units_of_lines,
    orders.gross_sales,
    line_sums.gross_sales as gross_sales_of_lines
from landed
full join orders on landed.order_id = orders.order_id
left join line_sums on orders.order_id = line_sums.order_id
where
    landed.order_id is null
    or orders.order_id is null
    or coalesce(orders.units, 0) != coalesce(line_sums.units, 0)
    or coalesce(orders.gross_sales, 0) != coalesce(line_sums.gross_sales, 0)
