-- Nodes whose last result among the last 50 runs is not a good one.
with

last_runs as (
    select invocation_id, started_at from lakehouse.main.fct_runs
    order by started_at desc
    limit 50
),

last_results as (
    select
        node,
        split_part(node, '.', 3) as name,
        max(started_at) as ran_at,
        arg_max(status, started_at) as status,
        arg_max(failures, started_at) as failures,
        arg_max(message, started_at) as message
    from lakehouse.meta.node_results
    inner join last_runs using (invocation_id)
    where status <> 'skipped'
    group by node
)

select * from last_results
where status in ('error', 'fail', 'runtime error', 'warn', 'partial success')
order by status, ran_at desc, name
