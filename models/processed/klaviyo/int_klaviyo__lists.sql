with

newest as (
    {{ newest_of('klaviyo', 'lists') }}
),

final as (
    select
        id as list_id,
        attributes.name,
        attributes.opt_in_process,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at
    from newest
)

select * from final
