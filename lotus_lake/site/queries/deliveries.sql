-- The last deliveries, newest first.
select
    delivered_at,
    source || '.' || stream as stream,
    cursor_version,
    files,
    row_count as rows,
    round(size_bytes / 1e6, 1) as megabytes,
    quarantined_files as bad_files,
    first_landing_day as first_day,
    last_landing_day as last_day
from lakehouse.main.fct_deliveries
order by delivered_at desc, stream
limit 50
