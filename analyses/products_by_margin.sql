-- The products that earn most and least after what they cost, in turn: the best, the worst, the
-- second best and so on, per currency. Only lines whose cost is known in it have a margin.
with

order_lines as (
    select
        *,
        cost is not null and coalesce(unit_cost_currency, currency) = currency as has_margin
    from {{ ref('fct_order_lines') }}
    where is_counted
),

products as (
    select * from {{ ref('dim_products') }}
),

sums as (
    select
        product_id,
        currency,
        sum(quantity - returned_quantity) as units_kept,
        sum(quantity - returned_quantity) filter (not has_margin) as units_without_margin,
        sum(net_sales) as net_sales,
        sum(net_sales) filter (has_margin) as net_sales_with_margin,
        sum(gross_margin) filter (has_margin) as gross_margin
    from order_lines
    group by product_id, currency
),

ranked as (
    select
        *,
        rank() over (partition by currency order by gross_margin desc) as place_from_best,
        rank() over (partition by currency order by gross_margin) as place_from_worst
    from sums
    where gross_margin is not null
    union all by name
    select * from sums
    where gross_margin is null
),

final as (
    select
        products.title,
        ranked.currency,
        ranked.place_from_best,
        ranked.net_sales,
        ranked.gross_margin,
        round(100 * ranked.gross_margin / nullif(ranked.net_sales_with_margin, 0), 1)
            as margin_percent,
        ranked.place_from_worst,
        ranked.units_kept,
        coalesce(ranked.units_without_margin, 0) as units_without_margin,
        products.vendor,
        products.product_type,
        ranked.product_id
    from ranked
    left join products
        on
            ranked.product_id = products.product_id
            and ranked.currency is not distinct from products.currency
)

select * from final
order by
    sum(units_kept) over (partition by currency) desc,
    currency,
    least(place_from_best, place_from_worst) nulls last,
    place_from_best nulls last,
    product_id
