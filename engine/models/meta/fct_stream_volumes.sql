with

-- Of the first of the 90 days, too, the weeks before are known.
days as (
    {{ landed_days(source("meta", "feeder_files"), "(90 + 7 * " ~ setting("watch_weeks") ~ ")") }}
),

scores as (
    {{ volume_scores("days", "judged.day > (select max(newest.day) - 90 from days as newest)") }}
),

final as (
    select
        split_part(series, '.', 1) as source,
        series[strpos(series, '.') + 1:] as stream,
        day as landing_day,
        cast(amount as bigint) as row_count,
        weeks,
        delivered_weeks,
        usual as usual_rows,
        lowest as lowest_rows,
        highest as highest_rows,
        score,
        day <= max(day) over () - {{ setting("watch_settle_days") }} as is_complete,
        is_unusual and is_complete as is_unusual
    from scores
)

select * from final
