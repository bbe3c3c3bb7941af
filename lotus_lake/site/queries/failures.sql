-- Nodes whose last result is not a good one, with what they said.
with

last_bad as (
    select
        node,
        resource_type,
        max(finished_at) as ran_at,
        arg_max(status, finished_at) as status,
        arg_max(failures, finished_at) as failures,
        arg_max(message, finished_at) as message
    from lakehouse.meta.node_results
    where status not in ('success', 'pass', 'no-op', 'skipped')
    group by node, resource_type
),

-- Asked of those only: the others are nearly all of a year's results.
last_good as (
    select node, max(finished_at) as ran_at
    from lakehouse.meta.node_results
    where status in ('success', 'pass', 'no-op') and node in (select node from last_bad)
    group by node
)

select
    bad.node,
    split_part(bad.node, '.', if(bad.resource_type = 'unit_test', 4, 3)) as name,
    bad.status,
    bad.failures,
    bad.ran_at,
    bad.message
from last_bad as bad
anti join last_good as good on bad.node = good.node and good.ran_at > bad.ran_at
order by bad.status, bad.ran_at desc, name
