with

newest as (
    {{ newest_of('shopify', 'products') }}
),

-- Every version but a tombstone says when the product was created.
contents as (
    {{ newest_of('shopify', 'products', '(deleted_at is null or created_at is not null)') }}
),

final as (
    select
        newest.id as product_id,
        contents.title,
        contents.vendor,
        contents.product_type,
        contents.status,
        contents.tags,
        contents.is_gift_card,
        contents.created_at,
        contents.updated_at,
        contents.published_at,
        newest.deleted_at,
        newest.deleted_at is not null as is_deleted
    from newest
    left join contents on newest.id = contents.id
)

select * from final
