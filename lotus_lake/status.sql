-- What `make status` shows: every stream as its last feed left it, a line for each stream with files
-- in quarantine, and the last deliveries.

create temp macro amount(number) as case
    when number >= 10000000000 then format('{:,.1f}bn', number / 1e9)
    when number >= 10000000 then format('{:,.1f}m', number / 1e6)
    else format('{:,}', number::bigint)
end;

-- In the greatest unit of which it has two; a file from the future is new.
create temp macro span(seconds) as case
    when seconds >= 172800 then format('{:,}d', (seconds // 86400)::bigint)
    when seconds >= 7200 then (seconds // 3600)::bigint || 'h'
    when seconds >= 120 then (seconds // 60)::bigint || 'm'
    else greatest(seconds, 0)::bigint || 's'
end;

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
    amount(files_loaded),
    amount(rows_loaded),
    if(
        backlog_files > 0,
        format('{} ({})', amount(backlog_files), formatreadabledecimalsize(backlog_bytes)),
        null
    ),
    quarantine.files::varchar,
    span(floor(epoch(getvariable('now') - newest_file_at))),
    span(floor(epoch(getvariable('now') - updated_at)))
from lakehouse.meta.feeder_cursors
left join quarantine using (source, stream)
left join loaded using (source, stream)
order by all;

-- The file that was met last stands for the others.
select
    format('{}: {}', arg_max(path, (quarantined_at, path)), arg_max(reason, (quarantined_at, path)))
    || if(count(*) > 1, format(' (and {:,} more)', count(*) - 1), '')
from lakehouse.meta.quarantine
group by source, stream
order by source, stream;

select
    source || '.' || stream as stream,
    cursor_version::varchar,
    amount(count(*) filter (status = 'loaded')),
    amount(coalesce(sum(row_count) filter (status = 'loaded'), 0)),
    nullif(count(*) filter (status = 'quarantined'), 0)::varchar,
    strftime(max(loaded_at), '%Y-%m-%d %H:%M:%S')
from lakehouse.meta.feeder_files
group by source, stream, cursor_version
order by max(loaded_at) desc, 1
limit 10;
