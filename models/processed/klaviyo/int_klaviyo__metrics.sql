with

-- A full refresh: what the newest complete generation does not have is no longer there.
newest as (
    {{ newest_of('klaviyo', 'metrics') }}
),

final as (
    select
        id as metric_id,
        attributes.name,
        try(json_extract_string(attributes.integration, '$.name')) as integration_name,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at
    from newest
)

select * from final
