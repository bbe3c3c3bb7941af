-- What comes back, by product, by sales channel and by the country that orders go to, per currency;
-- within each, what costs most first. Goods alone: what a refund gave on top belongs to no line.
with

order_lines as (
    select * from {{ ref('fct_order_lines') }}
    where is_counted
),

sales as (
    select * from {{ ref('fct_sales') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

lines as (
    select
        order_lines.*,
        sales.source_name,
        sales.shipping_country
    from order_lines
    inner join sales on order_lines.order_id = sales.order_id
),

slices as (
    select
        'product' as sliced_by,
        products.title as slice,
        lines.*
    from lines
    left join products
        on
            lines.product_id = products.product_id
            and lines.currency is not distinct from products.currency
    union all by name
    select
        'channel' as sliced_by,
        source_name as slice,
        * exclude (product_id)
    from lines
    union all by name
    select
        'country' as sliced_by,
        coalesce(shipping_country, 'not shipped') as slice,
        * exclude (product_id)
    from lines
),

sums as (
    select
        sliced_by,
        slice,
        product_id,
        currency,
        sum(quantity) as units,
        sum(returned_quantity) as returned_units,
        sum(gross_sales - discounts) as sales_before_returns,
        sum(returns) as returns
    from slices
    group by sliced_by, slice, product_id, currency
),

final as (
    select
        sliced_by,
        slice,
        currency,
        returns,
        round(100 * returns / nullif(sales_before_returns, 0), 1) as returns_percent,
        round(100 * returned_units / nullif(units, 0), 1) as returned_units_percent,
        sales_before_returns,
        units,
        returned_units,
        product_id
    from sums
)

select * from final
order by
    sliced_by = 'product' desc,
    sliced_by,
    sum(units) over (partition by currency) desc,
    currency,
    returns desc,
    slice,
    product_id
