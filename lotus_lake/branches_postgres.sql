-- The branch's list of files to delete takes none of the lake's.
create function {schema}keep_files_of_the_lake() returns trigger language plpgsql as $$
begin
    if new.path_is_relative or pg_catalog.starts_with(new.path, '{branch_url}') then
        return new;
    end if;
    return null;
end
$$;
create trigger keep_files_of_the_lake
before insert on {schema}ducklake_files_scheduled_for_deletion
for each row execute function {schema}keep_files_of_the_lake();
