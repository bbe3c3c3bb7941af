with

newest as (
    {{ newest_of('klaviyo', 'flows') }}
),

final as (
    select
        id as flow_id,
        attributes.name,
        attributes.status,
        attributes.trigger_type,
        attributes.archived as is_archived,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at
    from newest
)

select * from final
