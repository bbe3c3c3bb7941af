with

spend as (
    select * from {{ ref('int_ads__spend') }}
),

final as (
    select
        spend_day as day,
        platform,
        currency,
        {{ money('coalesce(sum(exact_cost), 0)') }} as cost,
        cast(coalesce(sum(impressions), 0) as bigint) as impressions,
        cast(coalesce(sum(clicks), 0) as bigint) as clicks
    from spend
    group by spend_day, platform, currency
)

select * from final
