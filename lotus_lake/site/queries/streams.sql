-- Every declared stream. Its state depends on its freshness, which dbt's manifest has.
select
    source || '.' || stream as stream,
    null as state,
    last_fed_at,
    newest_file_at,
    backlog_files as waiting_files,
    round(backlog_bytes / 1e6, 1) as waiting_megabytes,
    quarantined_files as bad_files,
    files_loaded as files,
    rows_loaded as rows
from lakehouse.main.dim_streams
order by stream
