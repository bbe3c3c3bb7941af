with

flows as (
    select * from {{ ref('int_klaviyo__flows') }}
),

performance as (
    select * from {{ ref('int_klaviyo__message_performance') }}
    where source_type = 'flow'
),

final as (
    select
        flows.flow_id,
        flows.name as flow_name,
        flows.status,
        flows.trigger_type,
        performance.channel,
        performance.currency,
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
    from flows
    left join performance on flows.flow_id = performance.source_id
)

select * from final
