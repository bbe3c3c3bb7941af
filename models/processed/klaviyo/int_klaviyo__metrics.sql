{# Every metric depends on which generation is the newest, so all are computed again. #}
{% call(changed) recompute('metric_id', [ref('stg_klaviyo__metrics')]) %}
    select id as metric_id from {{ ref('stg_klaviyo__metrics') }}
    union
    select id from {{ changed.stg_klaviyo__metrics }}
{% endcall %}

with

metrics as (
    select * from {{ ref('stg_klaviyo__metrics') }}
    where {{ to_recompute('id') }}
),

-- What the newest generation does not have is no longer there.
newest_generation as (
    select * from metrics
    qualify
        coalesce(_airbyte_generation_id, -1) = max(coalesce(_airbyte_generation_id, -1)) over ()
),

newest as (
    select * from newest_generation
    where id is not null
    qualify row_number() over (
        partition by id order by {{ newest_version_order('klaviyo', 'metrics') }} desc
    ) = 1
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
