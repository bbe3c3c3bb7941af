-- How what lands has changed, the newest first, with the first file of each change.
select
    source || '.' || stream as stream,
    column_name,
    change,
    type_before,
    type_after,
    path,
    seen_at
from lakehouse.meta.schema_changes
order by seen_at desc, stream, column_name
limit 50
