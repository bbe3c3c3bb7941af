-- What each day left after goods and ads, and the seven days up to it, which a weekend does not
-- upset, per currency. Goods cost what they do in the shop's own currency: read that one.
with

daily_profit as (
    select * from {{ ref('fct_daily_profit') }}
),

final as (
    select
        day,
        currency,
        net_sales,
        gross_margin,
        ad_spend,
        contribution_margin,
        sum(contribution_margin) over a_week as contribution_margin_of_7_days,
        round(100 * gross_margin / nullif(net_sales, 0), 1) as margin_percent,
        cost_of_goods,
        shipping,
        payment_refunds,
        new_customers,
        round(marketing_efficiency_ratio, 2) as marketing_efficiency_ratio
    from daily_profit
    window a_week as (
        partition by currency
        order by day
        range between interval 6 days preceding and current row
    )
)

select * from final
order by day desc, currency
