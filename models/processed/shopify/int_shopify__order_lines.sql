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
        coalesce(list_sum(list_transform(
            line.discount_allocations, lambda allocation: {{ exact('allocation.amount') }}
        )), 0) as allocated
    from lines
    where line is not null
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
        -- A discount on the whole order is spread over the lines in their allocations only.
        if(
            len(line.discount_allocations) > 0,
            {{ money('allocated') }},
            {{ money(exact('line.total_discount')) }}
        ) as discount,
        {{ money('tax') }} as tax,
        coalesce(line.gift_card, false) as is_gift_card,
        -- Orders and products sum these, and round once.
        cast(amount - if(taxes_included, tax, 0) as decimal(38, 8)) as exact_gross_sales,
        cast(tax as decimal(38, 8)) as exact_tax
    from summed
)

select * from final
