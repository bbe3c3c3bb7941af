-- The last runs, newest first.
select
    started_at,
    command,
    status,
    duration_seconds,
    built_count,
    rows_affected,
    error_count,
    warn_count,
    code_version,
    tick_id
from lakehouse.main.fct_runs
order by started_at desc
limit 50
