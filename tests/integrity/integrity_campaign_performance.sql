-- Ties the performance of campaigns and flows to the events below it: every campaign and flow is
-- there, and an order with touches is claimed once by the last campaign, and once by the last flow.
with

performance as (
    select
        'campaign' as source_type,
        campaign_id as source_id,
        attributed_orders,
        attributed_revenue
    from {{ ref('fct_campaign_performance') }}
    union all
    select
        'flow',
        flow_id,
        attributed_orders,
        attributed_revenue
    from {{ ref('fct_flow_performance') }}
),

sources as (
    select
        'campaign' as source_type,
        campaign_id as source_id
    from {{ ref('int_klaviyo__campaigns') }}
    union all
    select
        'flow',
        flow_id
    from {{ ref('int_klaviyo__flows') }}
),

-- The last touch of a kind, found in another way than the performance finds it.
last_touches as (
    select
        source_type,
        placed_event_id,
        max_by(source_id, struct_pack(touch_at, touch_event_id)) as source_id,
        any_value(coalesce(exact_event_value, 0)) as exact_event_value
    from {{ ref('int_klaviyo__order_touches') }}
    where source_type <> 'direct'
    group by source_type, placed_event_id
),

-- A flow that never landed is in no table of flows.
claimed as (
    select
        last_touches.source_type,
        last_touches.source_id,
        count(*) as orders,
        sum(last_touches.exact_event_value) as revenue
    from last_touches
    semi join sources
        on
            last_touches.source_type = sources.source_type
            and last_touches.source_id = sources.source_id
    group by last_touches.source_type, last_touches.source_id
),

summed as (
    select
        source_type,
        source_id,
        sum(attributed_orders) as orders,
        sum(attributed_revenue) as revenue,
        count(*) as performances
    from performance
    group by source_type, source_id
)

select
    sources.*,
    claimed.orders as expected_orders,
    summed.orders as orders,
    claimed.revenue as expected_revenue,
    summed.revenue as revenue
from sources
left join claimed
    on sources.source_type = claimed.source_type and sources.source_id = claimed.source_id
left join summed
    on sources.source_type = summed.source_type and sources.source_id = summed.source_id
where
    summed.performances is null
    or coalesce(claimed.orders, 0) <> summed.orders
    -- Each row's revenue is rounded by itself, by half a cent at most.
    or abs(coalesce(claimed.revenue, 0) - summed.revenue) > 0.005 * summed.performances
