-- What `lake status` shows: every stream as its last feed left it, what is in quarantine, and the last
-- deliveries.

with

quarantine as (
    select source, stream, count(*) as files
    from lakehouse.meta.quarantine
    group by all
),

loaded as (
    select source, stream, max(last_modified) as newest_file_at
    from lakehouse.meta.feeder_files
    where status = 'loaded'
    group by all
)

select
    source || '.' || stream as stream,
    -- Of the files that were looked at, the one that sorts last.
    array_to_string(
        regexp_extract_all(cursor_path, '(?:year|month|day)=(\d+)/', 1), '-'
    ) as last_day,
    files_loaded,
    rows_loaded,
    backlog_files,
    backlog_bytes,
    coalesce(quarantine.files, 0) as quarantined_files,
    newest_file_at,
    updated_at as fed_at
from lakehouse.meta.feeder_cursors
left join quarantine using (source, stream)
left join loaded using (source, stream)
order by all;

-- The file that was met last stands for the others.
select
    source || '.' || stream as stream,
    arg_max(path, (quarantined_at, path)) as path,
    arg_max(reason, (quarantined_at, path)) as reason,
    count(*) as files
from lakehouse.meta.quarantine
group by source, stream
order by source, stream;

select
    source || '.' || stream as stream,
    cursor_version as delivery,
    count(*) filter (status = 'loaded') as files,
    coalesce(sum(row_count) filter (status = 'loaded'), 0)::bigint as row_count,
    count(*) filter (status = 'quarantined') as quarantined_files,
    max(loaded_at) as loaded_at
from lakehouse.meta.feeder_files
group by source, stream, cursor_version
order by max(loaded_at) desc, 1
limit 10;
