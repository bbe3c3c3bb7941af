-- The states of the project that runs were made with, and what differs from the one before.
with

states as (
    select
        manifest_id,
        min(started_at) as first_run_at,
        arg_min(code_version, started_at) as code_version,
        lag(manifest_id) over (order by min(started_at)) as manifest_before
    from lakehouse.main.fct_runs
    where manifest_id is not null
    group by manifest_id
    order by first_run_at desc
    limit 10
),

nodes as (
    select manifest_id, path, checksum from lakehouse.meta.manifest_nodes
    where resource_type in ('model', 'seed', 'snapshot', 'test')
),

changed as (
    select states.manifest_id, nodes.path
    from states
    inner join nodes on nodes.manifest_id = states.manifest_id
    anti join nodes as earlier
        on earlier.manifest_id = states.manifest_before
        and earlier.path = nodes.path
        and earlier.checksum = nodes.checksum
    where states.manifest_before is not null
    union
    select states.manifest_id, earlier.path
    from states
    inner join nodes as earlier on earlier.manifest_id = states.manifest_before
    anti join nodes
        on nodes.manifest_id = states.manifest_id and nodes.path = earlier.path
)

select
    states.first_run_at,
    states.code_version,
    states.manifest_before is null as is_first,
    list_sort(array_agg(distinct changed.path) filter (changed.path is not null)) as changed
from states
left join changed using (manifest_id)
group by all
order by first_run_at desc
