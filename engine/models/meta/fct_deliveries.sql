with

files as (
    select
        *,
        try_cast(
            regexp_replace(path, '^.*/year=(\d+)/month=(\d+)/day=(\d+)/[^/]*$', '\1-\2-\3') as date
        ) as landing_day,
        status = 'loaded' as is_loaded
    from {{ source('meta', 'feeder_files') }}
),

final as (
    select
        source,
        stream,
        cursor_version,
        max(loaded_at) as delivered_at,
        count(*) filter (is_loaded) as files,
        cast(coalesce(sum(row_count) filter (is_loaded), 0) as bigint) as row_count,
        cast(coalesce(sum(size_bytes) filter (is_loaded), 0) as bigint) as size_bytes,
        count(*) filter (status = 'quarantined') as quarantined_files,
        min(landing_day) as first_landing_day,
        max(landing_day) as last_landing_day,
        max(last_modified) filter (is_loaded) as newest_file_at,
        min(path) as first_path
    from files
    group by source, stream, cursor_version
)

select * from final
