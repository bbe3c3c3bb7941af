-- Per currency, the products add up to the lines of the orders that count; a product rounds its
-- gross sales by half a cent.
with

expected as (
    select
        sales.currency,
        count(distinct lines.product_id) as products,
        sum(lines.quantity) as units_sold,
        sum(lines.exact_gross_sales) as gross_sales
    from {{ ref('int_shopify__order_lines') }} as lines
    inner join {{ ref('fct_sales') }} as sales on lines.order_id = sales.order_id
    where sales.is_counted and lines.product_id is not null
    group by sales.currency
),

expected_net as (
    select
        currency,
        sum(returned_quantity) as returned_units,
        sum(net_sales) as net_sales
    from {{ ref('fct_order_lines') }}
    where is_counted and product_id is not null
    group by currency
),

actual as (
    select
        currency,
        count(*) as products,
        sum(units_sold) as units_sold,
        sum(gross_sales) as gross_sales,
        sum(returned_units) as returned_units,
        sum(net_sales) as net_sales
    from {{ ref('dim_products') }}
    group by currency
)

select
    expected.*,
    expected_net.*,
    actual.*
from expected
full join expected_net on expected.currency is not distinct from expected_net.currency
full join actual on expected.currency is not distinct from actual.currency
where
    (expected.products, coalesce(expected.units_sold, 0))
    is distinct from (actual.products, actual.units_sold)
    or (expected_net.returned_units, expected_net.net_sales)
    is distinct from (actual.returned_units, actual.net_sales)
    or abs(expected.gross_sales - actual.gross_sales) > 0.005 * expected.products
