with

shopify_orders as (
    select * from {{ ref('int_shopify__orders') }}
),

placed_orders as (
    select
        events.event_id,
        events.order_id,
        events.profile_id,
        events.event_at,
        coalesce(events.currency, shopify_orders.currency) as currency,
        events.exact_event_value
    from {{ ref('int_klaviyo__events') }} as events
    inner join {{ ref('int_klaviyo__metrics') }} as metrics on events.metric_id = metrics.metric_id
    inner join {{ ref('klaviyo_metric_roles') }} as roles on metrics.name = roles.metric_name
    left join shopify_orders on events.order_id = shopify_orders.order_id
    where roles.role = 'placed_order'
),

touches as (
    select * from {{ ref('int_klaviyo__message_events') }}
    where role in ('opened', 'clicked')
),

final as (
    select
        placed_orders.event_id as placed_event_id,
        placed_orders.order_id,
        placed_orders.profile_id,
        placed_orders.event_at as placed_at,
        placed_orders.currency,
        placed_orders.exact_event_value,
        touches.event_id as touch_event_id,
        touches.event_at as touch_at,
        touches.role as touch_role,
        touches.channel,
        coalesce(touches.source_type, 'direct') as source_type,
        touches.source_id
    from placed_orders
    left join touches
        on
            placed_orders.profile_id = touches.profile_id
            and placed_orders.event_at >= touches.event_at
            and placed_orders.event_at
            <= touches.event_at + interval '{{ var("attribution_hours") }} hours'
)

select * from final
