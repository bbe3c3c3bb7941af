with

campaigns as (
    select * from {{ ref('int_klaviyo__campaigns') }}
),

metrics as (
    select * from {{ ref('int_klaviyo__metrics') }}
),

roles as (
    select * from {{ ref('klaviyo_metric_roles') }}
),

events as (
    select
        events.event_id,
        events.profile_id,
        events.event_at,
        events.message_id,
        events.exact_event_value,
        roles.role
    from {{ ref('int_klaviyo__events') }} as events
    inner join metrics on events.metric_id = metrics.metric_id
    inner join roles on metrics.name = roles.metric_name
    where events.profile_id is not null
),

-- Some events name the campaign where others name its message.
campaign_messages as (
    select message_id, campaign_id from campaigns where message_id is not null
    union
    select campaign_id, campaign_id from campaigns
),

responses as (
    select
        campaign_messages.campaign_id,
        count(distinct events.profile_id) filter (where events.role = 'received') as recipients,
        count(distinct events.profile_id) filter (where events.role = 'opened') as unique_opens,
        count(distinct events.profile_id) filter (where events.role = 'clicked') as unique_clicks
    from events
    inner join campaign_messages on events.message_id = campaign_messages.message_id
    group by campaign_messages.campaign_id
),

-- Of several touches at one moment the greatest event counts, of several campaigns with one
-- message the greatest campaign.
touches as (
    select
        events.profile_id,
        events.event_at,
        max_by(campaign_messages.campaign_id, (events.event_id, campaign_messages.campaign_id))
            as campaign_id
    from events
    inner join campaign_messages on events.message_id = campaign_messages.message_id
    where events.role in ('opened', 'clicked') and events.event_at is not null
    group by events.profile_id, events.event_at
),

placed_orders as (
    select * from events where role = 'placed_order'
),

attributed as (
    select
        touches.campaign_id,
        count(*) as attributed_orders,
        sum(placed_orders.exact_event_value) as attributed_revenue
    from placed_orders
    asof inner join touches
        on
            placed_orders.profile_id = touches.profile_id
            and placed_orders.event_at >= touches.event_at
    where
        placed_orders.event_at
        <= touches.event_at + interval '{{ var("attribution_hours") }} hours'
    group by touches.campaign_id
),

final as (
    select
        campaigns.campaign_id,
        campaigns.name as campaign_name,
        campaigns.sent_at,
        coalesce(responses.recipients, 0) as recipients,
        coalesce(responses.unique_opens, 0) as unique_opens,
        coalesce(responses.unique_clicks, 0) as unique_clicks,
        coalesce(attributed.attributed_orders, 0) as attributed_orders,
        {{ money('coalesce(attributed.attributed_revenue, 0)') }} as attributed_revenue
    from campaigns
    left join responses on campaigns.campaign_id = responses.campaign_id
    left join attributed on campaigns.campaign_id = attributed.campaign_id
)

select * from final
