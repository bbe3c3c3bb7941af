with

results as (
    select * from {{ source('meta', 'node_results') }}
),

runs as (
    select * from {{ source('meta', 'invocations') }}
),

nodes as (
    select * from {{ source('meta', 'manifest_nodes') }}
),

final as (
    select
        results.invocation_id,
        results.node,
        -- A unit test is named below its model.
        split_part(results.node, '.', if(results.resource_type = 'unit_test', 4, 3)) as node_name,
        results.resource_type,
        nodes.path,
        nodes.relation,
        nodes.materialized,
        nodes.owner,
        nodes.checksum,
        from_json(nodes.inputs, '["varchar"]') as inputs,
        results.status,
        results.execution_seconds,
        results.rows_affected,
        results.failures,
        results.message,
        runs.started_at as run_started_at,
        results.finished_at as run_finished_at
    from results
    left join runs on results.invocation_id = runs.invocation_id
    left join nodes on runs.manifest_id = nodes.manifest_id and results.node = nodes.node
)

select * from final
