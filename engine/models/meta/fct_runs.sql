with

invocations as (
    select * from {{ source('meta', 'invocations') }}
),

final as (
    select
        invocation_id,
        tick_id,
        command,
        target,
        code_version,
        started_at,
        finished_at,
        date_diff('millisecond', started_at, finished_at) / 1000 as duration_seconds,
        status,
        error_count,
        warn_count,
        built_count,
        rows_affected
    from invocations
)

select * from final
