{{ config(unique_key='order_id') }}

with

-- A tombstone says nothing about the order, so the version before it stays the newest one.
newest as (
    {{ newest_of('shopify', 'orders', '(deleted_at is null or created_at is not null)') }}
),

lines as (
    select
        id as order_id,
        coalesce(taxes_included, false) as taxes_included,
        unnest(line_items) as line
    from newest
),

summed as (
    select
        *,
        coalesce({{ exact('line.price') }} * line.quantity, 0) as amount,
        coalesce(list_sum(list_transform(
            line.tax_lines, lambda tax_line: {{ exact('tax_line.price') }}
        )), 0) as tax,
        list_sum(list_transform(
            line.tax_lines, lambda tax_line: {{ exact('tax_line.rate') }}
        )) as tax_rate,
        -- A discount on the whole order is spread over the lines in their allocations only.
        if(
            len(line.discount_allocations) > 0,
            coalesce(list_sum(list_transform(
                line.discount_allocations, lambda allocation: {{ exact('allocation.amount') }}
            )), 0),
            {{ exact('line.total_discount') }}
        ) as price_discount
    from lines
    where line is not null
),

-- Shopify reports gross sales and discounts before tax, in shops whose prices include it too.
before_tax as (
    select
        *,
        case
            when taxes_included and price_discount != 0
                then coalesce({{ tax_within('price_discount', 'tax_rate') }}, 0)
            else 0
        end as tax_within_discount
    from summed
),

final as (
    select
        line.id as order_line_id,
        order_id,
        line.product_id as product_id,
        line.variant_id as variant_id,
        line.sku as sku,
        line.title as title,
        line.variant_title as variant_title,
        line.vendor as vendor,
        line.quantity as quantity,
        {{ money(exact('line.price')) }} as unit_price,
        {{ money('price_discount - tax_within_discount') }} as discount,
        {{ money('tax') }} as tax,
        coalesce(line.gift_card, false) as is_gift_card,
        -- Orders and products sum these, and round once.
        cast(
            amount - if(taxes_included, tax + tax_within_discount, 0) as decimal(38, 8)
        ) as exact_gross_sales,
        cast(tax as decimal(38, 8)) as exact_tax,
        cast(tax_within_discount as decimal(38, 8)) as exact_tax_within_discount
    from before_tax
)

select * from final
