with

spend as (
    select * from {{ ref('stg_ads__spend') }}
    where date is not null
),

-- The row landed last is the truth.
newest as (
    select * from spend
    qualify row_number() over (
        partition by date, platform, campaign, currency
        order by {{ natural_sort_key('_source_file') }} desc, _cursor_version desc, _source_row desc
    ) = 1
),

final as (
    select
        date as spend_day,
        platform,
        campaign,
        currency,
        {{ money(exact('cost')) }} as cost,
        {{ exact('cost') }} as exact_cost,
        impressions,
        clicks
    from newest
)

select * from final
