-- Who may do what in the catalog's database. Run it there as a superuser; it may be run again.
-- CloudNativePG runs it when it makes the cluster (cluster.yaml). Passwords are set elsewhere:
-- from a Secret, or with `alter role lotus_lake password '...'`.
--
--   lotus_lake         the pods: makes and changes DuckLake's tables, and owns nothing else
--   lotus_lake_reader  analysts: a role to be a member of; reads DuckLake's tables
--   lotus_lake_pr      pull requests: reads DuckLake's tables, and makes branches, which are schemas
--                      of its own in this database; cannot change the lake's

do $$
begin
    if not exists (select from pg_roles where rolname = 'lotus_lake') then
        create role lotus_lake login;
    end if;
    if not exists (select from pg_roles where rolname = 'lotus_lake_reader') then
        create role lotus_lake_reader nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'lotus_lake_pr') then
        create role lotus_lake_pr login;
    end if;
    execute format('revoke all on database %I from public', current_database());
    execute format(
        'grant connect on database %I to lotus_lake, lotus_lake_reader', current_database()
    );
    -- DuckDB updates rows of the catalog through a temporary table.
    execute format('grant temporary on database %I to lotus_lake', current_database());
    execute format(
        'grant connect, temporary, create on database %I to lotus_lake_pr', current_database()
    );
end
$$;

alter role lotus_lake nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake_reader nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake_pr nosuperuser nocreatedb nocreaterole noreplication nobypassrls;

-- DuckLake's tables lie in schema public of this database, which has no other use.
revoke all on schema public from public;
grant usage, create on schema public to lotus_lake;
grant usage on schema public to lotus_lake_reader;

-- DuckLake goes on making tables (one for each table with inlined rows).
grant lotus_lake_reader to lotus_lake_pr;
grant select on all tables in schema public to lotus_lake_reader;
alter default privileges for role lotus_lake in schema public
    grant select on tables to lotus_lake_reader;
