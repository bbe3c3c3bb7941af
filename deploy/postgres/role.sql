-- Who may do what in the catalog's database. Run it there as a superuser, and again after an update
-- that changes it: it takes back what older versions gave. CloudNativePG runs it when it makes the
-- cluster (cluster.yaml). Passwords are set elsewhere: from a Secret, or with
-- `alter role lotus_lake password '...'`.
--
--   lotus_lake           the pods: makes and changes DuckLake's tables, and owns nothing else
--   lotus_lake_reader    analysts: a role to be a member of; reads DuckLake's tables
--   lotus_lake_pr        pull requests: reads DuckLake's tables, and has branches made and dropped,
--                        which are schemas of this database; cannot change the lake's
--   lotus_lake_branches  nobody: owns branches' schemas, and the functions that make and drop them

-- So that no name below means what somebody else has made; the roles get the same.
set search_path = pg_catalog, pg_temp;

do $$
declare
    advisory regprocedure;
    stray text;
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
    if not exists (select from pg_roles where rolname = 'lotus_lake_branches') then
        create role lotus_lake_branches nologin;
    end if;
    execute format('revoke all on database %I from public, lotus_lake_pr', current_database());
    execute format(
        'grant connect on database %I to lotus_lake, lotus_lake_reader', current_database()
    );
    -- DuckDB updates rows of the catalog through a temporary table.
    execute format(
        'grant temporary on database %I to lotus_lake, lotus_lake_pr', current_database()
    );
    execute format('grant create on database %I to lotus_lake_branches', current_database());
    execute format(
        'alter database %I set search_path = pg_catalog, pg_temp', current_database()
    );
    -- The run lock is an advisory one, which whoever may call these could hold for ever.
    for advisory in
        select oid from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory'
    loop
        execute format('revoke execute on function %s from public', advisory);
        execute format('grant execute on function %s to lotus_lake', advisory);
    end loop;
    -- Branches that lotus_lake_pr has made itself, as it once could.
    for stray in
        select nspname from pg_namespace
        where nspname like 'branch\_%' and nspowner = 'lotus_lake_pr'::regrole
    loop
        execute format('revoke all on schema %I from public, lotus_lake', stray);
        execute format('alter schema %I owner to lotus_lake_branches', stray);
        execute format('grant usage, create on schema %I to lotus_lake_pr', stray);
    end loop;
    for stray in
        select format('schema %I', nspname) from pg_namespace
        where nspowner = 'lotus_lake_pr'::regrole
        union all
        select format('extension %I', extname) from pg_extension
        where extowner = 'lotus_lake_pr'::regrole
    loop
        raise warning '% belongs to lotus_lake_pr and is no branch: find out why, and drop it', stray;
    end loop;
end
$$;

alter role lotus_lake nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake_reader nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake_pr nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake_branches nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role lotus_lake set search_path = pg_catalog, pg_temp;
alter role lotus_lake_pr set search_path = pg_catalog, pg_temp;

-- DuckLake's tables lie in schema public of this database, which has no other use.
revoke all on schema public from public, lotus_lake_pr;
revoke all on all tables in schema public from public, lotus_lake_pr;
grant usage, create on schema public to lotus_lake;
grant usage on schema public to lotus_lake_reader;

-- DuckLake goes on making tables (one for each table with inlined rows).
grant lotus_lake_reader to lotus_lake_pr;
grant select on all tables in schema public to lotus_lake_reader;
alter default privileges for role lotus_lake in schema public
    grant select on tables to lotus_lake_reader;

-- Branches. Their schemas belong to neither role, so that lotus_lake_pr can give nobody a way into
-- one, nor change what its comment says: when it was made, for which maintenance waits.
drop schema if exists lotus_lake_branches cascade;
create schema lotus_lake_branches;
grant usage on schema lotus_lake_branches to lotus_lake, lotus_lake_pr;

create function lotus_lake_branches.create_branch(
    branch text, base_snapshot bigint, created_by text
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    made text := json_build_object(
        'name', branch,
        'base_snapshot', base_snapshot,
        'created_at', to_char(
            clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'
        ),
        'created_by', left(created_by, 100)
    );
begin
    if branch !~ '^[a-z0-9_]{1,40}$' then
        raise exception 'a branch has 1 to 40 of the letters a to z, digits and _ as its name';
    end if;
    execute format('create schema %I', 'branch_' || branch);
    execute format('grant usage, create on schema %I to lotus_lake_pr', 'branch_' || branch);
    execute format('comment on schema %I is %L', 'branch_' || branch, made);
    return made;
end
$$;

create function lotus_lake_branches.drop_branch(branch text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('drop schema %I cascade', 'branch_' || branch);
end
$$;

alter function lotus_lake_branches.create_branch(text, bigint, text) owner to lotus_lake_branches;
alter function lotus_lake_branches.drop_branch(text) owner to lotus_lake_branches;
revoke execute on all functions in schema lotus_lake_branches from public;
grant execute on all functions in schema lotus_lake_branches to lotus_lake_pr;
grant execute on function lotus_lake_branches.drop_branch(text) to lotus_lake;
reset search_path;
