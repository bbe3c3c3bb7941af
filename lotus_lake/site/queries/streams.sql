-- Every declared stream.
select
    source || '.' || stream as stream,
    parse_filename(replace(staging_table, '.', '/')) as model,
    files_loaded as files,
    rows_loaded as row_count,
    backlog_files,
    backlog_bytes,
    quarantined_files,
    newest_file_at,
    last_fed_at
from lakehouse.main.dim_streams
order by stream
