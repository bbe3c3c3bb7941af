-- Makes a copied catalog one of a branch, in SQLite and PostgreSQL: full paths instead of those below
-- schema, table and data path. What waits for deletion is the lake's own business.
create temporary table file_places as
select distinct
    tables.table_id,
    case when tables.path_is_relative then
        case when schemas.path_is_relative then (
            select value from {schema}ducklake_metadata
            where key = 'data_path' and scope is null
        ) else '' end
        || coalesce(schemas.path, '')
    else '' end || coalesce(tables.path, '') as place
from {schema}ducklake_table as tables
inner join {schema}ducklake_schema as schemas on schemas.schema_id = tables.schema_id;
update {schema}ducklake_data_file set
    path = (
        select place from file_places
        where file_places.table_id = {schema}ducklake_data_file.table_id
    ) || path,
    path_is_relative = false
where path_is_relative;
update {schema}ducklake_delete_file set
    path = (
        select place from file_places
        where file_places.table_id = {schema}ducklake_delete_file.table_id
    ) || path,
    path_is_relative = false
where path_is_relative;
drop table file_places;
delete from {schema}ducklake_files_scheduled_for_deletion;
update {schema}ducklake_metadata set value = '{branch_url}'
where key = 'data_path' and scope is null;
