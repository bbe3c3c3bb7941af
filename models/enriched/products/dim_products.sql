with

lines as (
    select * from {{ ref('int_shopify__order_lines') }}
    where product_id is not null
),

sales as (
    select * from {{ ref('fct_sales') }} where is_counted
),

sold as (
    select
        lines.*,
        sales.order_date
    from lines
    inner join sales on lines.order_id = sales.order_id
),

products as (
    select
        product_id,
        max_by(
            { title: title, vendor: vendor },
            create_sort_key(order_date, 'asc nulls first', order_line_id, 'asc nulls first')
        ) as latest_line,
        min(order_date) as first_sold_at,
        max(order_date) as last_sold_at,
        sum(quantity) as units_sold,
        sum(exact_gross_sales) as gross_sales
    from sold
    group by product_id
),

final as (
    select
        product_id,
        latest_line.title as title,
        latest_line.vendor as vendor,
        first_sold_at,
        last_sold_at,
        cast(coalesce(units_sold, 0) as bigint) as units_sold,
        {{ money('gross_sales') }} as gross_sales
    from products
)

select * from final
