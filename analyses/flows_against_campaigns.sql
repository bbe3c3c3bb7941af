-- What flows earn beside campaigns, for each recipient, by channel and currency: first all of a
-- kind, then each. The last touch claims an order, so that each order counts once and all add up;
-- fct_flow_performance and fct_campaign_performance may claim the same one. Who received two
-- campaigns is a recipient of each. Each currency that the channel earns is a row of its own, also
-- for what earned nothing in it.
with

attribution as (
    select * from {{ ref('fct_attribution') }}
    where source_type != 'direct'
),

reached as (
    select distinct
        'campaign' as source_type,
        campaign_id as source_id,
        campaign_name as name,
        channel,
        sent_at,
        received,
        unique_opens,
        unique_clicks,
        unsubscribes
    from {{ ref('fct_campaign_performance') }}
    where received > 0
    union all by name
    select distinct
        'flow' as source_type,
        flow_id as source_id,
        flow_name as name,
        channel,
        received,
        unique_opens,
        unique_clicks,
        unsubscribes
    from {{ ref('fct_flow_performance') }}
    where received > 0
),

currencies as (
    select distinct
        channel,
        currency
    from attribution
),

parts as (
    select
        reached.*,
        currencies.currency
    from reached
    left join currencies on reached.channel = currencies.channel
    union all by name
    select
        source_type,
        source_id,
        channel,
        currency,
        weight as orders,
        attributed_revenue as revenue
    from attribution
    where attribution_model = 'last'
    union all by name
    select
        source_type,
        source_id,
        channel,
        currency,
        attributed_revenue as linear_revenue
    from attribution
    where attribution_model = 'linear'
),

parts_and_totals as (
    select
        *,
        false as is_total
    from parts
    union all by name
    select
        * exclude (source_id, name, sent_at),
        'all ' || source_type || 's' as name,
        true as is_total
    from parts
),

sums as (
    select
        is_total,
        source_type,
        source_id,
        channel,
        currency,
        max(name) as name,
        max(sent_at) as sent_at,
        cast(coalesce(sum(received), 0) as bigint) as recipients,
        sum(unique_opens) as unique_opens,
        sum(unique_clicks) as unique_clicks,
        sum(unsubscribes) as unsubscribes,
        cast(coalesce(sum(orders), 0) as bigint) as orders,
        coalesce(sum(revenue), 0) as revenue,
        coalesce(sum(linear_revenue), 0) as linear_revenue
    from parts_and_totals
    group by is_total, source_type, source_id, channel, currency
),

final as (
    select
        source_type,
        name,
        channel,
        currency,
        recipients,
        round(revenue / nullif(recipients, 0), 4) as revenue_per_recipient,
        orders,
        revenue,
        linear_revenue,
        round(100 * unique_opens / nullif(recipients, 0), 1) as open_rate_percent,
        round(100 * unique_clicks / nullif(recipients, 0), 1) as click_rate_percent,
        round(100 * unsubscribes / nullif(recipients, 0), 1) as unsubscribe_rate_percent,
        sent_at,
        source_id,
        is_total
    from sums
)

select * from final
order by
    is_total desc,
    channel,
    sum(orders) over (partition by channel, currency) desc,
    currency,
    revenue_per_recipient desc nulls last,
    source_id
