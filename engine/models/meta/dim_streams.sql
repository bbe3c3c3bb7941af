with

cursors as (
    select * from {{ source('meta', 'feeder_cursors') }}
),

files as (
    select
        source,
        stream,
        min(loaded_at) as first_fed_at,
        max(loaded_at) filter (status = 'loaded') as last_fed_at,
        max(last_modified) filter (status = 'loaded') as newest_file_at
    from {{ source('meta', 'feeder_files') }}
    group by source, stream
),

quarantine as (
    select
        source,
        stream,
        count(*) as quarantined_files
    from {{ source('meta', 'quarantine') }}
    group by source, stream
),

final as (
    select
        cursors.source,
        cursors.stream,
        json_extract_string(cursors.declaration, '$.table') as staging_table,
        coalesce(json_extract_string(cursors.declaration, '$.sync_mode'), 'append') as sync_mode,
        -- A name, or a list of names as JSON.
        replace(
            translate(json_extract_string(cursors.declaration, '$.primary_key'), '["]', ''),
            ',',
            ', '
        ) as primary_key,
        json_extract_string(cursors.declaration, '$.source_cursor') as source_cursor,
        coalesce(json_extract_string(cursors.declaration, '$.feed_mode'), 'copy') as feed_mode,
        cursors.cursor_version,
        cursors.files_loaded,
        cursors.rows_loaded,
        cursors.bytes_loaded,
        cursors.backlog_files,
        cursors.backlog_bytes,
        coalesce(quarantine.quarantined_files, 0) as quarantined_files,
        files.first_fed_at,
        files.last_fed_at,
        files.newest_file_at,
        cursors.swept_at
    from cursors
    left join files on cursors.source = files.source and cursors.stream = files.stream
    left join quarantine
        on cursors.source = quarantine.source and cursors.stream = quarantine.stream
)

select * from final
