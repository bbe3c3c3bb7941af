with

newest as (
    {{ newest_of('shopify', 'product_variants') }}
),

final as (
    select
        id as variant_id,
        product_id,
        inventory_item_id,
        sku,
        barcode,
        title,
        position,
        {{ money(exact('price')) }} as price,
        {{ money(exact('compare_at_price')) }} as compare_at_price,
        taxable as is_taxable,
        created_at,
        updated_at
    from newest
)

select * from final
