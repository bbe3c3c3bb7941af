-- Rows landed for each stream and day folder, the last 90 days that the lake knows, and whether a day
-- is far from the same weekday of the weeks before. A day of nothing is shown where there is something
-- on most such weekdays.
select
    source || '.' || stream as stream,
    landing_day::varchar as day,
    row_count as rows,
    is_unusual
from lakehouse.main.fct_stream_volumes
where row_count > 0 or delivered_weeks >= 0.75 * weeks
order by stream, day
