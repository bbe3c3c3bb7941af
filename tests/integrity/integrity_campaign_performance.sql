-- Ties fct_campaign_performance to the events below it: every campaign is there once, nobody opened
-- or clicked who is not counted by the events, and no placed order is claimed more than once.
with

campaigns as (
    select * from {{ ref('int_klaviyo__campaigns') }}
),

performance as (
    select * from {{ ref('fct_campaign_performance') }}
),

placed_orders as (
    select events.exact_event_value
    from {{ ref('int_klaviyo__events') }} as events
    inner join {{ ref('int_klaviyo__metrics') }} as metrics on events.metric_id = metrics.metric_id
    inner join {{ ref('klaviyo_metric_roles') }} as roles on metrics.name = roles.metric_name
    where
        roles.role = 'placed_order'
        and events.profile_id is not null
),

totals as (
    select
        (select count(*) from campaigns) as campaigns,
        (select count(*) from performance) as performances,
        (select count(*) from placed_orders) as placed_orders,
        (select coalesce(sum(attributed_orders), 0) from performance) as attributed_orders,
        (
            select coalesce(sum(exact_event_value) filter (where exact_event_value > 0), 0)
            from placed_orders
        ) as placed_value,
        (select coalesce(sum(attributed_revenue), 0) from performance) as attributed_revenue
)

select *
from totals
where
    campaigns <> performances
    or attributed_orders > placed_orders
    -- Each campaign's revenue is rounded by itself, by half a cent at most.
    or attributed_revenue > placed_value + 0.005 * campaigns
