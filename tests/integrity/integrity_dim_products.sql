-- The products add up to the lines of the orders that count; a product rounds by half a cent.
with

sold as (
    select lines.*
    from {{ ref('int_shopify__order_lines') }} as lines
    inner join {{ ref('fct_sales') }} as sales on lines.order_id = sales.order_id
    where sales.is_counted and lines.product_id is not null
),

expected as (
    select
        count(distinct product_id) as products,
        coalesce(sum(quantity), 0) as units_sold,
        coalesce(sum(exact_gross_sales), 0) as gross_sales
    from sold
),

actual as (
    select
        count(*) as products,
        coalesce(sum(units_sold), 0) as units_sold,
        coalesce(sum(gross_sales), 0) as gross_sales
    from {{ ref('dim_products') }}
)

select
    expected.products,
    actual.products as actual_products,
    expected.units_sold,
    actual.units_sold as actual_units_sold,
    expected.gross_sales,
    actual.gross_sales as actual_gross_sales
from expected
cross join actual
where
    expected.products != actual.products
    or expected.units_sold != actual.units_sold
    or abs(expected.gross_sales - actual.gross_sales) > 0.005 * expected.products
