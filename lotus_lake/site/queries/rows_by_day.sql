-- Rows landed for each stream and day folder, the last 90 days that the lake knows.
with

days as (
    select
        source || '.' || stream as stream,
        try_cast(
            regexp_replace(path, '^.*/year=(\d+)/month=(\d+)/day=(\d+)/[^/]*$', '\1-\2-\3') as date
        ) as day,
        sum(row_count) as row_count
    from lakehouse.meta.feeder_files
    where status = 'loaded'
    group by all
)

select stream, day::varchar as day, row_count::bigint as row_count
from days
where day > (select max(day) from days) - 90
order by stream, day
