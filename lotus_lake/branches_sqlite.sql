-- The branch's list of files to delete takes none of the lake's.
create trigger keep_files_of_the_lake before insert on ducklake_files_scheduled_for_deletion
when not new.path_is_relative and substr(new.path, 1, {length}) <> '{branch_url}'
begin
    select raise(ignore);
end;
