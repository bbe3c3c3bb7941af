-- Ties the Klaviyo tables to what landed: each key of staging is there once, and nothing else is;
-- so is each event of a profile with a message of a campaign or flow. Metrics are those of the
-- newest generation only, once all of it was fed. Hashes are counted, because millions of them cost
-- less than texts.
{% set tables = {
    "profiles": "profile_id",
    "events": "event_id",
    "campaigns": "campaign_id",
    "flows": "flow_id",
    "lists": "list_id",
} %}

with

landed as (
    {% for stream, key in tables.items() %}
        select '{{ stream }}' as stream, count(distinct hash(id)) as landed
        from {{ ref('stg_klaviyo__' ~ stream) }}
        union all
    {% endfor %}
    select 'metrics', count(distinct hash(id))
    from {{ ref('stg_klaviyo__metrics') }}
    where
        coalesce(_airbyte_generation_id, -1) = (
            select max(coalesce(_airbyte_generation_id, -1))
            from {{ ref('stg_klaviyo__metrics') }}
        )
    union all
    select 'message events', count(*)
    from {{ ref('int_klaviyo__events') }} as events
    inner join {{ ref('int_klaviyo__metrics') }} as metrics on events.metric_id = metrics.metric_id
    inner join {{ ref('klaviyo_metric_roles') }} as roles on metrics.name = roles.metric_name
    where
        roles.role <> 'placed_order'
        and events.profile_id is not null
        and (
            events.flow_id is not null
            or events.message_id in (
                select unnest(message_ids) from {{ ref('int_klaviyo__campaigns') }}
            )
        )
),

processed as (
    {% for stream, key in tables.items() %}
        select '{{ stream }}' as stream, count(*) as processed
        from {{ ref('int_klaviyo__' ~ stream) }}
        union all
    {% endfor %}
    select 'metrics', count(*) from {{ ref('int_klaviyo__metrics') }}
    union all
    select 'message events', count(*) from {{ ref('int_klaviyo__message_events') }}
)

select landed.stream, landed.landed, processed.processed
from landed
inner join processed on landed.stream = processed.stream
where
    landed.landed <> processed.processed
    and (landed.stream <> 'metrics' or {{ backlog_files('klaviyo', 'metrics') }} = 0)
