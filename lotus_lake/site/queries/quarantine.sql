-- Files whose newest version is not in the lake, the latest first.
select
    source || '.' || stream as stream,
    path,
    arg_max(reason, (cursor_version, loaded_at)) as reason,
    max(loaded_at) as met_at
from lakehouse.meta.feeder_files
group by source, stream, path
having arg_max(status, (cursor_version, loaded_at)) = 'quarantined'
order by met_at desc, path
limit 50
