-- The last deliveries, newest first.
select
    source || '.' || stream as stream,
    cursor_version,
    delivered_at,
    files,
    row_count,
    size_bytes,
    quarantined_files,
    first_landing_day,
    last_landing_day
from lakehouse.main.fct_deliveries
order by delivered_at desc, stream
limit 50
