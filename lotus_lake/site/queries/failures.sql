-- Nodes of the project as it is whose last result is not a good one, with what they said and whose they are.
with

project as (
    select node, owner from lakehouse.meta.manifest_nodes
    where manifest_id = (select arg_max(manifest_id, started_at) from lakehouse.main.fct_runs)
),

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
    split_part(bad.node, '.', if(bad.resource_type = 'unit_test', 4, 3)) as name,
    bad.status,
    bad.failures,
    bad.ran_at,
    bad.message,
    project.owner
from last_bad as bad
anti join last_good as good on bad.node = good.node and good.ran_at > bad.ran_at
-- The project's list has no unit tests, but the models that they are of.
inner join project
    on project.node = case bad.resource_type
        when 'unit_test' then regexp_replace(bad.node, '^unit_test\.(\w+\.\w+)\..*$', 'model.\1')
        else bad.node
    end
order by bad.status, bad.ran_at desc, name
