-- Where the time goes: tables and checks in the runs of the last 30 days.
with

last_runs as (
    select invocation_id from lakehouse.main.fct_runs
    where started_at >= (select max(started_at) from lakehouse.main.fct_runs) - interval 30 day
)

select
    split_part(node, '.', 3) as name,
    resource_type,
    count(*) as runs,
    sum(execution_seconds) as total_seconds,
    median(execution_seconds) as median_seconds,
    max(execution_seconds) as longest_seconds
from lakehouse.meta.node_results
inner join last_runs using (invocation_id)
where status <> 'skipped' and resource_type <> 'operation'
group by node, resource_type
order by total_seconds desc
limit 40
