-- What each table costs: files that readers open now, those that say which rows are deleted among them,
-- and those that are smaller than 16 MB.
with

files as (
    select data_file_id, table_id, record_count as row_count, file_size_bytes
    from __ducklake_metadata_lakehouse.ducklake_data_file
    where end_snapshot is null
    union all
    select data_file_id, table_id, -delete_count, file_size_bytes
    from __ducklake_metadata_lakehouse.ducklake_delete_file
    where end_snapshot is null
)

select
    schemas.schema_name || '.' || tables.table_name as name,
    count(files.data_file_id) as files,
    coalesce(sum(files.row_count), 0)::bigint as row_count,
    coalesce(sum(files.file_size_bytes), 0)::bigint as bytes,
    count(*) filter (files.file_size_bytes < 16000000) as small_files
from __ducklake_metadata_lakehouse.ducklake_table as tables
inner join __ducklake_metadata_lakehouse.ducklake_schema as schemas
    on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
left join files on tables.table_id = files.table_id
where tables.end_snapshot is null
group by all
order by bytes desc, name
