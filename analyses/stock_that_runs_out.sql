-- What is sold out, and what will be within four weeks if it sells as in the four weeks up to the
-- newest order; what is gone first. Only what is on sale and counted in stock.
with

variants as (
    select * from {{ ref('dim_product_variants') }}
    where
        is_tracked
        and lower(product_status) = 'active'
        and not is_product_deleted
        and units_sold > 0
),

newest as (
    select max(order_day) as order_day from {{ ref('fct_sales') }}
),

final as (
    select
        variants.product_title,
        variants.title as variant_title,
        variants.on_hand,
        variants.days_of_cover,
        cast(
            newest.order_day + to_days(cast(ceil(greatest(variants.days_of_cover, 0)) as integer))
            as date
        ) as lasts_until,
        variants.units_sold,
        variants.last_sold_at,
        variants.sku,
        variants.vendor,
        variants.variant_id
    from variants
    cross join newest
    where variants.on_hand <= 0 or variants.days_of_cover < 28
)

select * from final
order by on_hand > 0, days_of_cover nulls last, units_sold desc, variant_id
