-- Rows landed for each stream and day folder, the last 90 days that the lake knows, and whether a day
-- is far from the same weekday of the 8 weeks before: as stream_volumes_are_usual judges the last days
-- (macros/watching/unusual_volumes.sql), with its default limits.
with

versions as (
    select
        source || '.' || stream as stream,
        try_cast(
            regexp_replace(path, '^.*/year=(\d+)/month=(\d+)/day=(\d+)/[^/]*$', '\1-\2-\3') as date
        ) as day,
        max_by(row_count, cursor_version) as row_count
    from lakehouse.meta.feeder_files
    where status = 'loaded'
    group by source, stream, path
),

landed as (
    select stream, day, sum(row_count)::bigint as row_count
    from versions
    where day <= current_date + 1
    group by all
),

calendar as (
    select
        stream,
        unnest(generate_series(
            greatest(min(day), (select max(day) from landed) - 150), (select max(day) from landed),
            interval 1 day
        ))::date as day
    from landed
    group by stream
),

days as (
    select stream, day, coalesce(row_count, 0) as row_count
    from calendar
    left join landed using (stream, day)
),

pairs as (
    select
        today.stream,
        today.day,
        today.row_count,
        before.row_count as past_rows,
        (today.day - before.day) % 7 = 0 as is_same_weekday
    from days as today
    left join days as before
        on before.stream = today.stream
        and before.day between today.day - 56 and today.day - 1
),

scored as (
    select
        stream,
        day,
        row_count,
        max(past_rows) as peak,
        count(*) filter (is_same_weekday) as weeks,
        count(*) filter (is_same_weekday and past_rows > 0) as delivered_weeks,
        median(past_rows) filter (is_same_weekday) as usual,
        list_sort(list(past_rows) filter (is_same_weekday))[2] as second_lowest,
        (2 * sqrt(row_count + 0.375) - median(2 * sqrt(past_rows + 0.375)) filter (is_same_weekday))
        / greatest(1, 1.4826 * mad(2 * sqrt(past_rows + 0.375)) filter (is_same_weekday)) as score
    from pairs
    group by stream, day, row_count
)

select
    stream,
    day::varchar as day,
    row_count,
    coalesce(
        weeks >= 4
        and delivered_weeks >= 0.75 * weeks
        and usual >= 7
        and (
            (score <= -2.5 and row_count < 0.6 * usual and row_count < 0.8 * second_lowest)
            or (score >= 2.5 and row_count > 3 * usual and row_count > 1.25 * peak)
        )
        -- The newest days may still grow.
        and day <= (select max(day) from days) - 3,
        false
    ) as is_unusual
from scored
where day > (select max(day) from scored) - 90 and (row_count > 0 or delivered_weeks >= 0.75 * weeks)
order by stream, day
