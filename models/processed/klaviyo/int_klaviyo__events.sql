{% call(changed) recompute('event_id', [ref('stg_klaviyo__events')]) %}
    select id as event_id from {{ changed.stg_klaviyo__events }}
{% endcall %}

with

versions as (
    select
        id,
        coalesce(attributes.datetime, datetime) as event_at,
        relationships.profile.data.id as profile_id,
        relationships.metric.data.id as metric_id,
        attributes.event_properties as properties,
        {{ newest_version_order('klaviyo', 'events') }} as version
    from {{ ref('stg_klaviyo__events') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    select
        id,
        max_by(
            struct_pack(
                event_at := event_at,
                profile_id := profile_id,
                metric_id := metric_id,
                properties := properties
            ),
            version
        ) as event
    from versions
    group by id
),

-- One pass over the text for everything that is read from it; what is no JSON has nothing to say.
-- Where the properties landed as a struct, the $ of a name had to become an underscore.
special_properties as (
    select
        id,
        event,
        try(json_extract_string(event.properties, [
            '$."$message"', '$."_message"', '$."$flow"', '$."_flow"', '$."$value"', '$."_value"'
        ])) as special
    from newest
),

final as (
    select
        id as event_id,
        event.profile_id,
        event.metric_id,
        event.event_at,
        coalesce(special[1], special[2]) as message_id,
        coalesce(special[3], special[4]) as flow_id,
        {{ money(exact('coalesce(special[5], special[6])')) }} as event_value,
        {{ exact('coalesce(special[5], special[6])') }} as exact_event_value,
        event.properties
    from special_properties
)

select * from final
