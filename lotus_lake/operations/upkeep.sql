-- What upkeep looks at, as views of its connection. First, the files of the newest snapshot, with the
-- number of rows that are deleted from them, or null.
create or replace temp view live_files as
select
    schemas.schema_name,
    tables.table_name,
    tables.table_id,
    files.path,
    files.path_is_relative::boolean as is_own,
    files.file_size_bytes as size,
    files.record_count,
    deletes.delete_count as deleted,
    -- A table of schema meta whose rows builds change; its history only ever grows.
    schema_name = 'meta' and table_name not in ('invocations', 'node_results') as is_bookkeeping
from __ducklake_metadata_lakehouse.ducklake_data_file as files
inner join __ducklake_metadata_lakehouse.ducklake_table as tables
    on files.table_id = tables.table_id and tables.end_snapshot is null
inner join __ducklake_metadata_lakehouse.ducklake_schema as schemas
    on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
left join (from __ducklake_metadata_lakehouse.ducklake_delete_file where end_snapshot is null) as deletes
    on files.data_file_id = deletes.data_file_id
where files.end_snapshot is null;

-- Tables with files of which a fifth is deleted, or small ones of which something is; and of bookkeeping
-- all small files. A table with a file from elsewhere is left alone.
create or replace temp view to_rewrite as
select schema_name, table_name, count(*) as number, table_id, string_agg(parse_filename(path), ',') as names
from live_files
where
    (is_bookkeeping and size < 100000000)
    or (schema_name <> 'staging' and (deleted >= record_count * 0.2 or (deleted > 0 and size < 10000000)))
group by all
having bool_and(is_own) and (count(deleted) > 0 or count(*) > 1);

-- A file from elsewhere is a landed one, which registering has put there, or in a branch one of the lake.
create or replace temp view to_merge as
select schema_name, table_name, count(*) filter (deleted is null and size < 100000000) as number
from live_files
where not is_bookkeeping
group by all
having bool_and(is_own);

-- What a step is measured by: files and bytes that any snapshot uses, and that readers of the newest open;
-- and the files on the list of files to delete.
create or replace temp view stored as
with files as (
    select file_size_bytes, end_snapshot from __ducklake_metadata_lakehouse.ducklake_data_file
    union all
    select file_size_bytes, end_snapshot from __ducklake_metadata_lakehouse.ducklake_delete_file
)

select
    count(*) as files,
    coalesce(sum(file_size_bytes), 0)::bigint as bytes,
    count(*) filter (end_snapshot is null) as live_files,
    coalesce(sum(file_size_bytes) filter (end_snapshot is null), 0)::bigint as live_bytes
from files;
