with

campaigns as (
    select
        *,
        coalesce(nullif(channel, ''), 'email') as own_channel
    from {{ ref('int_klaviyo__campaigns') }}
),

performance as (
    select * from {{ ref('int_klaviyo__message_performance') }}
    where source_type = 'campaign'
),

-- The campaign's own channel always has a row, another one where something happened in it.
channels as (
    select
        campaign_id,
        own_channel as channel
    from campaigns
    union
    select
        source_id,
        channel
    from performance
),

final as (
    select
        campaigns.campaign_id,
        campaigns.name as campaign_name,
        campaigns.sent_at,
        channels.channel,
        performance.currency,
        coalesce(performance.received, 0) as recipients,
        coalesce(performance.received, 0) as received,
        coalesce(performance.unique_opens, 0) as unique_opens,
        coalesce(performance.unique_clicks, 0) as unique_clicks,
        coalesce(performance.bounces, 0) as bounces,
        coalesce(performance.spam_complaints, 0) as spam_complaints,
        coalesce(performance.unsubscribes, 0) as unsubscribes,
        coalesce(performance.attributed_orders, 0) as attributed_orders,
        coalesce(performance.attributed_revenue, 0) as attributed_revenue,
        performance.open_rate,
        performance.click_rate,
        performance.click_to_open_rate,
        performance.bounce_rate,
        performance.spam_rate,
        performance.unsubscribe_rate,
        performance.conversion_rate,
        performance.revenue_per_recipient
    from campaigns
    inner join channels on campaigns.campaign_id = channels.campaign_id
    left join performance
        on channels.campaign_id = performance.source_id and channels.channel = performance.channel
)

select * from final
