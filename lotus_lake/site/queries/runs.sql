-- The last runs, newest first.
select
    started_at,
    command,
    status,
    duration_seconds as seconds,
    built_count as tables,
    rows_affected as rows,
    error_count as errors,
    warn_count as warnings,
    code_version as code
from lakehouse.main.fct_runs
order by started_at desc
limit 50
