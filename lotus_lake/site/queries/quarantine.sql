-- Files that are in quarantine, the latest first.
select
    source || '.' || stream as stream,
    path,
    reason,
    quarantined_at as met_at
from lakehouse.meta.quarantine
order by met_at desc, path
limit 50
