-- Where the time goes: tables and checks in the runs of the last 30 days.
select
    split_part(node, '.', if(resource_type = 'unit_test', 4, 3)) as name,
    resource_type,
    count(*) as runs,
    sum(execution_seconds) as total_seconds,
    median(execution_seconds) as median_seconds,
    max(execution_seconds) as longest_seconds
from lakehouse.meta.node_results
where
    status <> 'skipped'
    and resource_type <> 'operation'
    and finished_at >= (select max(finished_at) from lakehouse.main.fct_runs) - interval 30 day
group by node, resource_type
order by total_seconds desc
limit 40
