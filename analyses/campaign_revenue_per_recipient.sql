-- Which campaigns were worth sending: opens, clicks and revenue for each recipient, beside the
-- average of the campaigns sent in the ninety days before, in their channel. Each currency that the
-- channel earns is a row of its own, also for campaigns that earned nothing in it.
with

performance as (
    select * from {{ ref('fct_campaign_performance') }}
    where recipients > 0
),

campaigns as (
    select distinct
        campaign_id,
        campaign_name,
        channel,
        sent_at,
        recipients,
        open_rate,
        click_rate
    from performance
),

currencies as (
    select distinct
        channel,
        currency
    from performance
    where attributed_orders > 0
),

earned as (
    select
        campaigns.*,
        currencies.currency,
        coalesce(performance.attributed_orders, 0) as attributed_orders,
        coalesce(performance.attributed_revenue, 0) as attributed_revenue
    from campaigns
    left join currencies on campaigns.channel = currencies.channel
    left join performance
        on
            campaigns.campaign_id = performance.campaign_id
            and campaigns.channel = performance.channel
            and currencies.currency is not distinct from performance.currency
),

final as (
    select
        campaign_name,
        channel,
        currency,
        sent_at,
        recipients,
        round(100 * open_rate, 1) as open_rate_percent,
        round(100 * click_rate, 1) as click_rate_percent,
        attributed_orders,
        attributed_revenue,
        round(attributed_revenue / recipients, 4) as revenue_per_recipient,
        round(
            sum(attributed_revenue) over recently / sum(recipients) over recently, 4
        ) as recent_revenue_per_recipient
    from earned
    window recently as (
        partition by channel, currency
        order by sent_at
        range between interval 90 days preceding and current row
    )
)

select * from final
order by sent_at desc, campaign_name, channel, currency
