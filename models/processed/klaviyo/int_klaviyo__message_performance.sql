with

message_events as (
    select * from {{ ref('int_klaviyo__message_events') }}
),

responses as (
    select
        source_type,
        source_id,
        channel,
        count(distinct profile_id) filter (role = 'received') as received,
        count(distinct profile_id) filter (role = 'opened') as unique_opens,
        count(distinct profile_id) filter (role = 'clicked') as unique_clicks,
        count(distinct profile_id) filter (role = 'bounced') as bounces,
        count(distinct profile_id) filter (role = 'marked_as_spam') as spam_complaints,
        count(distinct profile_id) filter (role = 'unsubscribed') as unsubscribes
    from message_events
    group by source_type, source_id, channel
),

-- The last touch of a campaign claims the order, and so does the last touch of a flow.
claims as (
    select * from {{ ref('int_klaviyo__order_touches') }}
    where touch_event_id is not null
    qualify row_number() over (
        partition by placed_event_id, source_type
        order by touch_at desc, touch_event_id desc
    ) = 1
),

attributed as (
    select
        source_type,
        source_id,
        channel,
        currency,
        count(*) as attributed_orders,
        {{ money('coalesce(sum(exact_event_value), 0)') }} as attributed_revenue
    from claims
    group by source_type, source_id, channel, currency
),

-- One row for each currency of the orders, and one where there are none.
final as (
    select
        responses.source_type,
        responses.source_id,
        responses.channel,
        attributed.currency,
        responses.received,
        responses.unique_opens,
        responses.unique_clicks,
        responses.bounces,
        responses.spam_complaints,
        responses.unsubscribes,
        coalesce(attributed.attributed_orders, 0) as attributed_orders,
        coalesce(attributed.attributed_revenue, 0) as attributed_revenue,
        responses.unique_opens / nullif(responses.received, 0) as open_rate,
        responses.unique_clicks / nullif(responses.received, 0) as click_rate,
        responses.unique_clicks / nullif(responses.unique_opens, 0) as click_to_open_rate,
        responses.bounces / nullif(responses.received + responses.bounces, 0) as bounce_rate,
        responses.spam_complaints / nullif(responses.received, 0) as spam_rate,
        responses.unsubscribes / nullif(responses.received, 0) as unsubscribe_rate,
        coalesce(attributed.attributed_orders, 0) / nullif(responses.received, 0)
            as conversion_rate,
        cast(coalesce(attributed.attributed_revenue, 0) as double) / nullif(responses.received, 0)
            as revenue_per_recipient
    from responses
    left join attributed
        on
            responses.source_type = attributed.source_type
            and responses.source_id = attributed.source_id
            and responses.channel = attributed.channel
)

select * from final
