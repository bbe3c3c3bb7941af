-- Every declared stream. Its state depends on its source's freshness, which its declaration has.
select
    streams.source || '.' || streams.stream as stream,
    null as state,
    streams.last_fed_at,
    streams.newest_file_at,
    streams.backlog_files as waiting_files,
    round(streams.backlog_bytes / 1e6, 1) as waiting_megabytes,
    streams.quarantined_files as bad_files,
    streams.files_loaded as files,
    streams.rows_loaded as rows,
    cast(cursors.declaration ->> 'freshness_hours' as double) as freshness_hours
from lakehouse.main.dim_streams as streams
inner join lakehouse.meta.feeder_cursors as cursors using (source, stream)
order by stream
