{{ config(unique_key='event_id') }}

with

events as (
    select * from {{ follow(ref('int_klaviyo__events'), 'event_id') }}
    where profile_id is not null
),

roles as (
    select
        metrics.metric_id,
        roles.role,
        roles.channel
    from {{ ref('int_klaviyo__metrics') }} as metrics
    inner join {{ ref('klaviyo_metric_roles') }} as roles on metrics.name = roles.metric_name
    where roles.role <> 'placed_order'
),

-- Of several campaigns with one message the greatest counts.
campaign_messages as (
    select
        message_id,
        max(campaign_id) as campaign_id
    from (
        select
            campaign_id,
            unnest(message_ids) as message_id
        from {{ ref('int_klaviyo__campaigns') }}
    )
    group by message_id
),

final as (
    select
        events.event_id,
        events.profile_id,
        events.event_at,
        roles.role,
        roles.channel,
        if(campaign_messages.campaign_id is null, 'flow', 'campaign') as source_type,
        coalesce(campaign_messages.campaign_id, events.flow_id) as source_id,
        events.message_id
    from events
    inner join roles on events.metric_id = roles.metric_id
    left join campaign_messages on events.message_id = campaign_messages.message_id
    where campaign_messages.campaign_id is not null or events.flow_id is not null
)

select * from final
