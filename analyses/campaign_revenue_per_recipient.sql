-- Which campaigns were worth sending: opens, clicks and revenue for each recipient, beside the
-- average of the campaigns sent in the ninety days before.
with

campaigns as (
    select * from {{ ref('fct_campaign_performance') }}
    where recipients > 0
),

final as (
    select
        campaign_name,
        sent_at,
        recipients,
        round(100 * unique_opens / recipients, 1) as open_rate_percent,
        round(100 * unique_clicks / recipients, 1) as click_rate_percent,
        attributed_orders,
        attributed_revenue,
        round(attributed_revenue / recipients, 4) as revenue_per_recipient,
        round(
            sum(attributed_revenue) over recently / sum(recipients) over recently, 4
        ) as recent_revenue_per_recipient
    from campaigns
    window recently as (
        order by sent_at
        range between interval 90 days preceding and current row
    )
)

select * from final
order by sent_at desc
