{{ config(unique_key='event_id') }}

with

newest as (
    {{ newest_of('klaviyo', 'events') }}
),

-- One pass over the text for everything that is read from it; what is no JSON has nothing to say.
-- Where the properties landed as a struct, the $ of a name had to become an underscore.
special_properties as (
    select
        id as event_id,
        relationships.profile.data.id as profile_id,
        relationships.metric.data.id as metric_id,
        coalesce(attributes.datetime, datetime) as event_at,
        attributes.event_properties as properties,
        try(json_extract_string(attributes.event_properties, [
            '$."$message"', '$."_message"', '$."$flow"', '$."_flow"', '$."$value"', '$."_value"',
            '$."$event_id"', '$."_event_id"', '$.OrderId',
            '$."$currency_code"', '$."_currency_code"'
        ])) as special
    from newest
),

final as (
    select
        event_id,
        profile_id,
        metric_id,
        event_at,
        coalesce(special[1], special[2]) as message_id,
        coalesce(special[3], special[4]) as flow_id,
        coalesce(
            try_cast(coalesce(special[7], special[8]) as bigint), try_cast(special[9] as bigint)
        ) as order_id,
        {{ money(exact('coalesce(special[5], special[6])')) }} as event_value,
        {{ exact('coalesce(special[5], special[6])') }} as exact_event_value,
        nullif(coalesce(special[10], special[11]), '') as currency,
        properties
    from special_properties
)

select * from final
