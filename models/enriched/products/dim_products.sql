{% call(changed) recompute('product_id', [ref('int_shopify__order_lines'), ref('fct_sales')]) %}
    select product_id from {{ changed.int_shopify__order_lines }}
    union
    -- Lines that stayed as they were count or not as their order does.
    select product_id from {{ ref('int_shopify__order_lines') }}
    where order_id in (select order_id from {{ changed.fct_sales }})
{% endcall %}

with

lines as (
    select * from {{ ref('int_shopify__order_lines') }}
    where product_id is not null and {{ to_recompute('product_id') }}
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
