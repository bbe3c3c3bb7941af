-- Where the time goes: tables and checks in the runs of the last 30 days.
select
    split_part(node, '.', if(resource_type = 'unit_test', 4, 3)) as name,
    resource_type as kind,
    count(*) as runs,
    round(sum(execution_seconds), 2) as seconds,
    round(median(execution_seconds), 2) as median,
    round(max(execution_seconds), 2) as longest
from lakehouse.meta.node_results
where
    status <> 'skipped'
    and resource_type <> 'operation'
    and finished_at >= (select max(finished_at) from lakehouse.main.fct_runs) - interval 30 day
group by node, resource_type
order by seconds desc
limit 40
