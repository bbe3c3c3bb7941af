"""Branches: the whole lake to try things on, and nothing that they can do to it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lotus_lake.config import LakeConfig
from lotus_lake.diff.compare import compare
from lotus_lake.diff.sides import opened
from sample import Delivery
from tests.deployment import DEPLOY
from tests.system import services
from tests.system.conftest import Reference, part_of
from tests.system.lake import Lake, differences
from tests.system.upkeep import files, odd_records, operation, writing

AT_ONCE = {"snapshot_days": 0, "cleanup_delay_days": 0}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def lake(
    request: pytest.FixtureRequest, lake_after: Callable[[str, int], Lake], sample: Delivery
) -> Lake:
    """A lake that has fed two of three deliveries; the third waits in the landing zone."""
    made = lake_after(request.param, 2)
    made.deliver(part_of(sample, 2), sample.out)
    return made


def state(lake: Lake, tmp_path: Path) -> dict[str, Any]:
    """Everything that a lake consists of: every row of its catalog, every byte of its files."""
    found: dict[str, Any] = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (lake.data, lake.landing)
        for path in folder.rglob("*")
        if path.is_file()
    }
    if lake._catalog.startswith("sqlite:"):
        with sqlite3.connect(lake.catalog_file) as catalog:
            found["catalog"] = list(catalog.iterdump())
        catalog.close()
    else:
        import psycopg2

        names = {"PGDATABASE": "dbname", "PGHOST": "host", "PGPORT": "port"}
        names |= {"PGUSER": "user", "PGPASSWORD": "password"}
        where = {name: lake.environment[variable] for variable, name in names.items()}
        with psycopg2.connect(**where) as connection:
            cursor = connection.cursor()
            cursor.execute("select tablename from pg_tables where schemaname = 'public'")
            for (table,) in cursor.fetchall():
                cursor.execute(f'select its::text from public."{table}" as its order by 1')
                found[table] = cursor.fetchall()
        connection.close()
    return found


@pytest.mark.slow
def test_nothing_reaches_the_lake(lake: Lake, tmp_path: Path, reference: Reference) -> None:
    """A branch has everything, state included, and is built on; the strongest commands on it leave
    every row of the lake's catalog and every byte of its files as they were."""
    before = state(lake, tmp_path)
    made = operation(lake, "branch", name="Trial")
    assert made.code == 0, made
    assert "Branch trial of snapshot" in made.output
    assert state(lake, tmp_path) == before, "branching alone changed the lake"
    branch = lake.branch("trial")
    assert not differences(branch.everything("main"), lake.everything("main"))
    assert branch.snapshot() == lake.snapshot()

    # It goes on from where the lake is: what waits is fed, and only that.
    assert branch.build_quickly().ok
    assert not differences(branch.everything("main"), reference.everything)
    assert not branch.wrong_counts()
    assert ": create, " not in _logged(branch).replace("stg_", "")
    assert files(branch.data)

    refreshed = branch.build_quickly("--full-refresh")
    assert refreshed.ok, refreshed
    for name, arguments in (
        ("maintain", {}),
        ("remove_orphans", {"days": 0}),
        ("maintain", {"keep_landed": True}),
        ("undo_delivery", {"source": "shopify", "stream": "orders", "day": "2025-01-10"}),
        ("maintain", {}),
    ):
        done = operation(branch, name, AT_ONCE, **arguments)
        assert done.code == 0, done
    assert state(lake, tmp_path) == before

    with writing(branch) as connection:
        for statement in (
            "drop table main.fct_sales",
            "delete from staging.stg_shopify__orders",
            "drop schema staging cascade",
            "call ducklake_merge_adjacent_files('lakehouse')",
            "call ducklake_expire_snapshots('lakehouse', older_than => now())",
            "call ducklake_cleanup_old_files('lakehouse', cleanup_all => true)",
            "call ducklake_delete_orphaned_files('lakehouse', cleanup_all => true)",
            "checkpoint lakehouse",
        ):
            connection.execute(statement)
    assert state(lake, tmp_path) == before
    assert lake.build_quickly().ok
    assert not differences(lake.everything("main"), reference.everything)


@pytest.mark.slow
def test_the_lake_goes_on(lake: Lake, reference: Reference) -> None:
    """While a branch lives, the lake is built and maintained; the branch stays as it was made."""
    assert operation(lake, "branch", name="trial").code == 0
    branch = lake.branch("trial")
    before = branch.everything("main")
    assert lake.build_quickly("--full-refresh").ok
    done = operation(lake, "maintain", AT_ONCE)
    assert "held: branch trial" in done.output
    assert not differences(lake.everything("main"), reference.everything)
    assert not differences(branch.everything("main"), before)

    again = operation(lake, "branch", name="trial")
    assert again.code != 0
    assert "There is a branch trial already" in again.output
    assert "Traceback" not in again.output
    own = set(files(branch.data))
    assert branch.build_quickly().ok
    assert set(files(branch.data)) > own
    assert operation(lake, "branch_drop", name="trial").code == 0
    assert not branch.data.exists()
    assert not branch.catalog_file.exists()
    done = operation(lake, "maintain", AT_ONCE)
    assert "held" not in done.output
    assert not differences(lake.everything("main"), reference.everything)
    gone = branch.build_quickly()
    assert gone.code != 0
    assert "There is no branch trial of this lake" in gone.output


def test_listed_and_dropped_by_age(reference_copy: Lake) -> None:
    """The list says how old each is and which are stale; old ones are dropped, young ones stay."""
    lake = reference_copy
    assert "0 branches" in operation(lake, "branch_list").output
    for name in ("young", "old"):
        assert operation(lake, "branch", name=name).code == 0
    record = lake.home / "branches" / "old.json"
    made = datetime.fromisoformat(json.loads(record.read_text())["created_at"])
    record.write_text(
        record.read_text().replace(made.isoformat(), (made - timedelta(days=20)).isoformat())
    )
    listed = operation(lake, "branch_list").output
    lines = {words[1]: words for line in listed.splitlines() if len(words := line.split()) > 1}
    assert "20" in lines["old"]
    assert "stale:" in lines["old"]
    assert "stale:" not in lines["young"]
    assert operation(lake, "branch_drop", older_than=14).code == 0
    assert [path.stem for path in (lake.home / "branches").glob("*.json")] == ["young"]
    assert "Nothing was dropped" in operation(lake, "branch_drop", older_than=14).output


def test_odd_files_among_branches(reference_copy: Lake) -> None:
    """What lies beside branches and is none is named and passed over; maintenance goes on."""
    lake = reference_copy
    folder = lake.home / "branches"
    folder.mkdir()
    odd = odd_records()
    for name, text in odd.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "bytes.json").write_bytes(b"\xff\xfe\0")
    (folder / "folder.json").mkdir()
    (folder / "nowhere.json").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.json")
    odd |= dict.fromkeys(("bytes", "folder", "nowhere", "pipe"), "")
    maintained = operation(lake, "maintain", AT_ONCE)
    assert maintained.code == 0, maintained
    assert "held" not in maintained.output
    for name in odd:
        said = f"File branches/{name.replace(chr(27), chr(92) + 'x1b')}.json is passed over: it "
        assert maintained.output.count(said) == 1, said
    assert chr(27) not in maintained.output

    assert operation(lake, "branch", name="trial").code == 0
    held = operation(lake, "maintain", AT_ONCE)
    assert "held: branch trial may need it" in held.output
    assert "No branch is 1 days old" in operation(lake, "branch_drop", older_than=1).output
    again = operation(lake, "branch", name="future")
    assert "There is a branch future already" in again.output
    dropped = operation(lake, "branch_drop", name="future")
    assert dropped.code == 0, dropped
    assert not (folder / "future.json").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("branch_drop", {"name": "nobody"}, "There is no branch nobody"),
        ("branch_drop", {}, "Say which"),
        ("branch_drop", {"older_than": "soon"}, "older_than is 'soon'"),
        ("branch", {"name": "../.."}, "cannot name a branch"),
    ],
)
def test_mistakes(reference_copy: Lake, name: str, arguments: dict[str, Any], said: str) -> None:
    """A mistake ends with a line that says what it was, and changes nothing."""
    wrong = operation(reference_copy, name, **arguments)
    assert wrong.code != 0
    assert said in wrong.output
    assert "Traceback" not in wrong.output


def test_no_branch_is_made_by_mistake(reference_copy: Lake) -> None:
    """Target pr without a branch, or with one that is not there, builds nothing anywhere."""
    lake = reference_copy
    for branch, said in ((None, "LAKE_BRANCH is not set"), ("nobody", "There is no branch nobody")):
        environment = {"DBT_TARGET": "pr"} | ({"LAKE_BRANCH": branch} if branch else {})
        build = lake.build_quickly(environment=environment)
        assert build.code == 2
        assert said in build.output
        assert not (lake.home / "branches").exists()
    assert operation(lake, "branch", name="trial").code == 0
    nested = operation(lake.branch("trial"), "branch", name="twig")
    assert nested.code != 0
    assert "branches are made of the lake itself" in nested.output


@pytest.mark.slow
def test_in_production(
    tmp_path: Path,
    parsed: Path,
    postgres: services.Postgres,
    s3: services.S3,
    sample: Delivery,
) -> None:
    """With PostgreSQL and S3: a branch writes below a prefix of its own, gone when it is."""
    s3.client.create_bucket(Bucket="branched")
    libpq = postgres.database("branched")
    lake = Lake(
        tmp_path / "lake",
        parsed=parsed,
        environment={
            **s3.environment,
            **libpq,
            "DBT_TARGET": "prod",
            "LAKE_LANDING_URL": "s3://branched/raw",
            "LAKE_DATA_URL": "s3://branched/lake/data/",
            "LAKE_CATALOG": "postgres:",
        },
        catalog=f"postgres:{services.libpq(libpq)}",
        connect=[s3.duckdb_secret],
    )
    lake.deliver((file.path for file in sample.files[:60]), sample.out)
    s3.upload("branched", lake.landing, "raw/")
    assert lake.build_quickly().ok
    before = s3.keys("branched")
    assert operation(lake, "branch", name="trial").code == 0
    branch = lake.branch("trial")
    done = branch.build_quickly("--select", "int_shopify__orders+", "--full-refresh")
    assert done.ok, done
    assert not differences(branch.everything("main"), lake.everything("main"))
    written = [key for key in s3.keys("branched") if key not in before]
    assert written
    assert all(key.startswith("lake/branches/trial/") for key in written)
    assert operation(lake, "branch_drop", name="trial").code == 0
    assert s3.keys("branched") == before


@pytest.mark.slow
def test_by_a_role_that_may_only_read_the_lake(
    lake_after: Callable[[str, int], Lake],
    postgres: services.Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the rights of role.sql's lotus_lake_pr a branch is made, built, compared and dropped;
    the lake's own tables refuse it."""
    lake = lake_after("postgres", 1)
    server, database = postgres.server, lake.environment["PGDATABASE"]
    server.psql(f'\\c "{database}"\n' + (DEPLOY / "postgres/role.sql").read_text())
    server.psql("alter role lotus_lake_pr password 'only-for-pull-requests';")
    lake.environment |= {"PGUSER": "lotus_lake_pr", "PGPASSWORD": "only-for-pull-requests"}
    code = (
        "from lotus_lake import branches; from lotus_lake.config import LakeConfig;"
        "lake = LakeConfig.from_env(); branches.{}(lake, 'trial')"
    )

    def run(function: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code.format(function)],
            env=lake.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    made = run("create")
    assert made.returncode == 0, made.stderr
    branch = lake.branch("trial")
    built = branch.build_quickly("--select", "fct_sales+", "--full-refresh")
    assert built.ok, built
    refused = lake.build_quickly("--select", "fct_sales", "--full-refresh")
    assert refused.code != 0
    assert "permission denied" in refused.output
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"):
        monkeypatch.setenv(name, lake.environment[name])
    with opened(LakeConfig.from_env(branch.environment), "trial") as (connection, before, after):
        assert not compare(connection, before, after, {}, {}).changed
    assert run("drop").returncode == 0


def _logged(lake: Lake) -> str:
    return "".join(path.read_text() for path in lake.logs.glob("dbt.log*"))
