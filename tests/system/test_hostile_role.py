"""What the role for pull requests could try in the catalog's database to get the lake's rights.

Whoever may push a branch of the repository has this role. Each attack is what it would leave there
for the next command of a role with more rights; afterwards it must have no more than before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg2
import pytest

from lotus_lake.connection import extension_file
from tests.deployment import DEPLOY, ROOT
from tests.system import services
from tests.system.lake import WITHOUT_TESTS, Lake
from tests.system.upkeep import odd_records

PASSWORD = "of-all-roles"
ROLE_SQL = (DEPLOY / "postgres/role.sql").read_text()
BRANCH = "from lotus_lake import branches; from lotus_lake.config import LakeConfig;"

# What role.sql gave before, and what could be done with it.
OLD_RIGHTS = """
    do $$ begin
        execute format('grant create on database %I to lotus_lake_pr', current_database());
        execute format('alter database %I reset search_path', current_database());
    end $$;
    alter role lotus_lake reset search_path; alter role lotus_lake_pr reset search_path;
"""

# Runs with the rights of whoever comes upon it.
TAKE = """
    create or replace function {schema}.take() returns integer language plpgsql as $$ begin
        execute 'grant delete on all tables in schema public to lotus_lake_pr';
        execute 'alter default privileges grant delete on tables to lotus_lake_pr';
        return 1;
    exception when others then return 1;
    end $$;
    create or replace function {schema}.taking() returns trigger language plpgsql as $$ begin
        perform {schema}.take();
        return new;
    end $$;
"""
ATTACKS = {
    "a table that DuckDB looks for": """
        create schema lotus_lake; grant all on schema lotus_lake to public; {take:lotus_lake}
        create view lotus_lake.duckdb_secrets as
        select lotus_lake.take()::text as name, 'x'::text as type, 'x'::text as value,
            'x'::text as provider, 'x'::text as scope, 'x'::text as serialized;
        grant all on lotus_lake.duckdb_secrets to public;
    """,
    "a function that fits better": """
        create schema lotus_lake; grant all on schema lotus_lake to public; {take:lotus_lake}
        create function lotus_lake.format(text, name, name) returns text language sql as
        $$ select pg_catalog.format($1, $2, $3) from lotus_lake.take() $$;
    """,
    "a branch that is copied with the catalog": """
        {take:branch_trial}
        create materialized view branch_trial.mine as select branch_trial.take();
        create view branch_trial.ducklake_seen as select branch_trial.take();
        create table branch_trial.twice (a integer, "A" integer);
        create table branch_trial."Twice" (a integer);
        create type branch_trial.kinds as enum ('a', 'A', '');
        create type branch_trial.pairs as (a branch_trial.kinds, "A" branch_trial.kinds[]);
        create table branch_trial.odd (a branch_trial.pairs[], b branch_trial.kinds);
        create table branch_trial.rows (id integer default branch_trial.take());
        insert into branch_trial.rows default values;
        create trigger taking before insert on branch_trial.rows
        for each row execute function branch_trial.taking();
        grant all on schema branch_trial to public;
        grant all on all tables in schema branch_trial to public;
    """,
}


class Database:
    """A database in which role.sql has been run, and a lake there."""

    def __init__(self, postgres: services.Postgres, home: Path, parsed: Path) -> None:
        self.name = postgres.database(home.name)["PGDATABASE"]
        self.host = postgres.host
        self.as_superuser(ROLE_SQL)
        for role in ("lotus_lake", "lotus_lake_pr"):
            self.as_superuser(f"alter role {role} password '{PASSWORD}'")
        self.lake, self.pull_request = (
            Lake(home / role, parsed=parsed, environment=self.environment(role, home))
            for role in ("lotus_lake", "lotus_lake_pr")
        )

    def environment(self, role: str, home: Path) -> dict[str, str]:
        """The environment of a role's commands; both are of one lake."""
        return {
            **{"PGHOST": self.host, "PGPORT": "5432", "PGDATABASE": self.name},
            **{"PGUSER": role, "PGPASSWORD": PASSWORD, "LAKE_CATALOG": "postgres:"},
            "LAKE_DATA_URL": str(home / "data"),
        }

    def as_superuser(self, sql: str) -> str:
        """Run a script as psql does; what it prints, warnings included."""
        done = subprocess.run(
            [services.postgres_program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-Atc", sql],
            env={**os.environ, "PGHOST": self.host, "PGUSER": "postgres", "PGDATABASE": self.name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def session(self, role: str = "lotus_lake_pr") -> Iterator[psycopg2.extensions.cursor]:
        """A role's cursor, in autocommit mode."""
        connection = psycopg2.connect(
            host=self.host, dbname=self.name, user=role, password=PASSWORD
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def refusal(self, sql: str, role: str = "lotus_lake_pr") -> str:
        """What PostgreSQL says to a statement; nothing if it does it."""
        with self.session(role) as cursor:
            try:
                cursor.execute(sql)
            except psycopg2.Error as error:
                return str(error)
        return ""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of the project's commands, with the lake's rights."""
        return _python(self.lake, *arguments)

    def make_branch(self, name: str = "trial") -> None:
        """The pull request's branch."""
        made = _python(
            self.pull_request, "-c", f"{BRANCH} branches.create(LakeConfig.from_env(), '{name}')"
        )
        assert made.returncode == 0, made.stderr


def _python(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=lake.environment,
        cwd=lake.home,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def database(postgres: services.Postgres, tmp_path: Path, parsed: Path) -> Database:
    """A lake without tables, made by lotus_lake."""
    made = Database(postgres, tmp_path, parsed)
    with duckdb.connect() as connection:
        for name in ("postgres_scanner", "ducklake"):
            connection.execute(f"load '{extension_file(name)}'")
        where = f"host={made.host} dbname={made.name} user=lotus_lake password={PASSWORD}"
        data = made.lake.environment["LAKE_DATA_URL"]
        connection.execute(f"attach 'ducklake:postgres:{where}' as lake (data_path '{data}/')")
        connection.execute("create table lake.main.sold as select 1 as amount")
    return made


def attack(database: Database, sql: str) -> None:
    """Leave something behind; what is refused is left out."""
    for schema in ("lotus_lake", "branch_trial", "postgres"):
        sql = sql.replace(f"{{take:{schema}}}", TAKE.format(schema=schema))
    with database.session() as cursor:
        for statement in _statements(sql):
            try:
                cursor.execute(statement)
            except psycopg2.Error:
                continue


def _statements(script: str) -> Iterator[str]:
    """Statements of a script, whose functions have semicolons of their own."""
    parts = script.split("$$")
    text = ""
    for number, part in enumerate(parts):
        if number % 2:
            text += f"$${part}$$"
            continue
        *ended, rest = part.split(";")
        for end in ended:
            yield text + end
            text = ""
        text += rest


def steal(database: Database) -> str:
    return database.refusal("delete from public.ducklake_data_file")


@pytest.mark.parametrize("left", ATTACKS.values(), ids=ATTACKS)
def test_gets_no_right_of_the_lake(database: Database, left: str) -> None:
    """Whatever lies there, the lake's own commands run nothing of it, and all work."""
    if "branch_trial" in left:
        database.make_branch()
    attack(database, left)
    database.lake.landing.rmdir()  # so that a tick has nothing to build, and remembers that
    for command, expected in (
        ((str(ROOT / "scripts/scheduler.py"),), 40),
        (("-m", "lotus_lake", "sql", "from sold"), 0),
        (("-m", "lotus_lake", "backup", "--check"), 0),
    ):
        done = database.run(*command)
        assert "permission denied" in steal(database), command
        assert done.returncode == expected, done.stdout + done.stderr
        assert "memory was not written" not in done.stdout


def test_old_rights_are_taken_back(database: Database) -> None:
    """role.sql, run again, gives a database with what the role left there its rights back, and runs
    nothing of that with the superuser's."""
    database.as_superuser(OLD_RIGHTS)
    attack(
        database,
        """
        create schema postgres; grant all on schema postgres to public; {take:postgres}
        create function postgres.format(text, name) returns text language sql as
        $$ select pg_catalog.format($1, $2) from postgres.take() $$;
        create schema branch_trial; comment on schema branch_trial is 'mine';
        grant all on schema branch_trial to lotus_lake;
        """,
    )
    database.as_superuser("grant delete on all tables in schema public to lotus_lake_pr")
    said = database.as_superuser(ROLE_SQL)
    assert "schema postgres belongs to lotus_lake_pr and is no branch" in said
    assert "permission denied" in steal(database)
    assert "permission denied" in database.refusal("create schema lotus_lake")
    assert "must be owner" in database.refusal("comment on schema branch_trial is 'held'")
    with database.session() as cursor:
        cursor.execute("select has_schema_privilege('lotus_lake', 'branch_trial', 'usage')")
        assert cursor.fetchone() == (False,)
        cursor.execute("create table branch_trial.still (a integer)")
        cursor.execute("select lotus_lake_branches.drop_branch('trial')")


REFUSED = [
    ("create schema lotus_lake", "permission denied"),
    ("create schema branch_other", "permission denied"),
    ("create table public.mine (a integer)", "permission denied"),
    ("create extension hstore", "permission denied|not available"),
    ("comment on schema branch_trial is 'made in 9999'", "must be owner"),
    ("alter schema branch_trial rename to lotus_lake", "must be owner"),
    ("drop schema lotus_lake_branches cascade", "must be owner"),
    ("select pg_try_advisory_lock(1)", "permission denied"),
    ("select lotus_lake_branches.create_branch('x\"; --', 1, 'me')", "1 to 40"),
    ("select lotus_lake_branches.create_branch('X', 1, 'me')", "1 to 40"),
    ("select lotus_lake_branches.create_branch(null, 1, 'me')", "null values"),
    ("select lotus_lake_branches.drop_branch('of_others')", "must be owner"),
    ("select lotus_lake_branches.drop_branch('x cascade; drop schema public')", "not exist"),
]


def test_makes_branches_and_nothing_else(database: Database) -> None:
    database.make_branch()
    database.as_superuser("create schema branch_of_others")
    for sql, said in REFUSED:
        assert re.search(said, database.refusal(sql)), sql


def test_lets_nobody_into_its_branch(database: Database) -> None:
    """What lies in a branch cannot be run by the lake's role, which may drop it."""
    database.make_branch()
    with database.session() as cursor:
        cursor.execute("grant all on schema branch_trial to lotus_lake")
    refused = database.refusal("table branch_trial.ducklake_snapshot", "lotus_lake")
    assert "permission denied for schema" in refused
    made = database.lake.command("branch", "create", "other")
    assert "Set PGUSER to the one for branches" in made.output, made
    dropped = database.lake.command("branch", "drop", "trial")
    assert dropped.code == 0, dropped


def test_odd_schemas_among_branches(database: Database) -> None:
    """What an old role or another team has made is named and passed over; maintenance goes on."""
    refused = database.lake.command("maintain")
    assert (refused.code, "run `dbt build` first" in refused.output) == (40, True), refused
    assert database.lake.build_quickly("--select", "dim_dates", *WITHOUT_TESTS).code == 0
    odd = odd_records()
    with psycopg2.connect(host=database.host, dbname=database.name, user="postgres") as connection:
        cursor = connection.cursor()
        cursor.execute("create schema branch_silent; create schema branched")
        for name, comment in odd.items():
            cursor.execute(f'create schema "branch_{name}"')
            cursor.execute(f'comment on schema "branch_{name}" is %s', [comment])
    connection.close()
    database.make_branch()
    maintained = database.lake.command("maintain", variables={"snapshot_days": 0})
    assert maintained.code == 0, maintained
    assert maintained.output.count("held: branch trial may need it") == 2
    assert maintained.output.count("is passed over") == len(odd) + 1
    for name in [*odd, "silent"]:
        said = (
            f"Schema branch_{name.replace(chr(27), chr(92) + 'x1b')} is passed over: its comment "
        )
        assert said in maintained.output, said
