-- Who may do what in the database that BI tools read. Run it there as a superuser, in a database that
-- has no other use: create database serving; \c serving. It may be run again. Passwords are set
-- elsewhere: from a Secret, or with `alter role publisher password '...'`.
--
--   publisher   ticks and `lake publish`: owns schema marts, and nothing else
--   bi          BI tools: reads schema marts, and nothing else
--
-- More readers: create role finance login in role bi. What people build on the marts (views, rights
-- on columns, row policies) stays: tables are changed in place.

set search_path = pg_catalog, pg_temp;

do $$
begin
    if not exists (select from pg_roles where rolname = 'publisher') then
        create role publisher login;
    end if;
    if not exists (select from pg_roles where rolname = 'bi') then
        create role bi login;
    end if;
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to publisher, bi', current_database());
    execute format(
        'alter database %I set search_path = pg_catalog, marts, pg_temp', current_database()
    );
end
$$;

alter role publisher nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit 5;
-- A dashboard that runs away ends by itself, and leaves connections to the others.
alter role bi nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit 20;
alter role bi set statement_timeout = '60s';
alter role bi set idle_in_transaction_session_timeout = '5min';
alter role bi set default_transaction_read_only = on;

revoke all on schema public from public;
create schema if not exists marts authorization publisher;
grant usage on schema marts to bi;
grant select on all tables in schema marts to bi;
alter default privileges for role publisher in schema marts grant select on tables to bi;
reset search_path;
