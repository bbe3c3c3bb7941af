-- Ties ad spend together: each day, platform, campaign and currency that landed is there once, and
-- the days add up to them.
with

totals as (
    select
        'rows' as total,
        (
            select count(*) from (
                select distinct date, platform, campaign, currency
                from {{ ref('stg_ads__spend') }}
                where date is not null
            )
        ) as expected,
        (select count(*) from {{ ref('int_ads__spend') }}) as actual
    union all
    select
        'impressions',
        (select coalesce(sum(impressions), 0) from {{ ref('int_ads__spend') }}),
        (select coalesce(sum(impressions), 0) from {{ ref('fct_daily_marketing') }})
    union all
    select
        'clicks',
        (select coalesce(sum(clicks), 0) from {{ ref('int_ads__spend') }}),
        (select coalesce(sum(clicks), 0) from {{ ref('fct_daily_marketing') }})
),

-- Each row of a day is rounded by itself, by half a cent at most.
costs as (
    select
        'cost' as total,
        (select coalesce(sum(exact_cost), 0) from {{ ref('int_ads__spend') }}) as expected,
        coalesce(sum(cost), 0) as actual,
        0.005 * count(*) as tolerance
    from {{ ref('fct_daily_marketing') }}
)

select * from totals
where expected <> actual
union all
select
    total,
    expected,
    actual
from costs
where abs(expected - actual) > tolerance
