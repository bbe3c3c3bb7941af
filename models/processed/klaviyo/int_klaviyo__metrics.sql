{# Every metric depends on which generation is the newest, so all are computed again. #}
{% call(changed) recompute('metric_id', [ref('stg_klaviyo__metrics')]) %}
    select id as metric_id from {{ ref('stg_klaviyo__metrics') }}
    union
    select id from {{ changed.stg_klaviyo__metrics }}
{% endcall %}

with

landed as not materialized (
    select *, rowid as version_id from {{ ref('stg_klaviyo__metrics') }}
    where {{ to_recompute('id') }}
),

-- A full refresh: what the newest complete generation does not have is no longer there.
newest as (
    {{ newest_of('landed', 'klaviyo', 'metrics', 'id is not null') }}
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
