with

results as (
    select * from {{ source('meta', 'node_results') }}
),

runs as (
    select * from {{ source('meta', 'invocations') }}
),

final as (
    select
        results.invocation_id,
        results.node,
        -- A unit test is named below its model.
        split_part(results.node, '.', if(results.resource_type = 'unit_test', 4, 3)) as node_name,
        results.resource_type,
        results.status,
        results.execution_seconds,
        results.rows_affected,
        results.failures,
        results.message,
        runs.started_at as run_started_at,
        results.finished_at as run_finished_at
    from results
    left join runs on results.invocation_id = runs.invocation_id
)

select * from final
