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

-- A generation is complete when none of the stream's files waits for the next run. Until then the
-- one before it stays the truth, if there is one.
complete_generations as (
    select
        *,
        coalesce(_airbyte_generation_id, -1) as generation,
        max(coalesce(_airbyte_generation_id, -1)) over () as last_generation,
        min(coalesce(_airbyte_generation_id, -1)) over () as first_generation
    from landed
    qualify
        generation < last_generation
        or first_generation = last_generation
        or {{ backlog_files('klaviyo', 'metrics') }} = 0
),

-- What the newest complete generation does not have is no longer there.
newest_generation as (
    select * from complete_generations
    qualify generation = max(generation) over ()
),

newest as (
    {{ newest_of('newest_generation', 'klaviyo', 'metrics', 'id is not null') }}
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
