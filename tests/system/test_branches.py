"""Branches: the whole lake to try things on, and nothing that they can do to it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import pytest

from tests.system.conftest import SEED
from tests.system.lake import Lake
from tests.system.small_project import Shop
from tests.system.upkeep import AT_ONCE, files, odd_records, writing


def a_shop(new_shop: Callable[..., Shop], kind: str) -> Shop:
    """A lake that has fed two deliveries; a third waits in the landing zone."""
    shop = new_shop(kind)
    for day in (1, 2):
        shop.deliver_days(day, day, SEED)
        assert shop.lake.build_quickly().ok
    shop.deliver_days(3, 3, SEED)
    return shop


def on_branch(shop: Shop, name: str) -> Shop:
    """A branch of it, made before."""
    return Shop(shop.lake.branch(name), shop.project)


def state(lake: Lake) -> dict[str, Any]:
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
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_nothing_reaches_the_lake(kind: str, new_shop: Callable[..., Shop]) -> None:
    """A branch has everything, state included, and is built on; the strongest commands on it leave
    every row of the lake's catalog and every byte of its files as they were."""
    shop = a_shop(new_shop, kind)
    lake, before = shop.lake, state(shop.lake)
    made = lake.command("branch", "create", "Trial")
    assert made.code == 0, made
    assert "Branch trial of snapshot" in made.output
    assert state(lake) == before, "branching alone changed the lake"
    there = on_branch(shop, "trial")
    branch = there.lake
    assert there.tables() == shop.tables()
    assert branch.snapshot() == lake.snapshot()

    # It goes on from where the lake is: what waits is fed, and only that.
    assert branch.build_quickly().ok
    there.assert_whole()
    assert ": create, " not in there.logged().replace("stg_", "")
    assert files(branch.data)

    refreshed = branch.build_quickly("--full-refresh")
    assert refreshed.ok, refreshed
    for words in (
        ["maintain"],
        ["maintain", "--orphans", "--older-than", "0"],
        ["undo", "jaffle_shop.orders", "--day", "2024-01-02"],
        ["maintain", "--keep-landed"],
    ):
        done = branch.command(*words, variables=AT_ONCE)
        assert done.code == 0, done
    assert state(lake) == before

    with writing(branch) as connection:
        for statement in (
            "drop table main.fct_statuses",
            "delete from staging.stg_jaffle_shop__orders",
            "drop schema staging cascade",
            "call ducklake_merge_adjacent_files('lakehouse')",
            "call ducklake_expire_snapshots('lakehouse', older_than => now())",
            "call ducklake_cleanup_old_files('lakehouse', cleanup_all => true)",
            "call ducklake_delete_orphaned_files('lakehouse', cleanup_all => true)",
            "checkpoint lakehouse",
        ):
            connection.execute(statement)
    assert state(lake) == before
    assert lake.build_quickly().ok
    shop.assert_whole()


@pytest.mark.slow
def test_the_lake_goes_on(new_shop: Callable[..., Shop]) -> None:
    """While a branch lives, the lake is built and maintained; the branch stays as it was made."""
    shop = a_shop(new_shop, "sqlite")
    lake = shop.lake
    assert lake.command("branch", "create", "trial").code == 0
    there = on_branch(shop, "trial")
    branch, before = there.lake, there.tables()
    assert lake.build_quickly("--full-refresh").ok
    done = lake.command("maintain", variables=AT_ONCE)
    assert "held: branch trial" in done.output
    shop.assert_whole()
    assert there.tables() == before

    again = lake.command("branch", "create", "trial")
    assert again.code != 0
    assert "There is a branch trial already" in again.output
    assert "Traceback" not in again.output
    own = set(files(branch.data))
    assert branch.build_quickly().ok
    assert set(files(branch.data)) > own
    assert lake.command("branch", "drop", "trial").code == 0
    assert not branch.data.exists()
    assert not branch.catalog_file.exists()
    done = lake.command("maintain", variables=AT_ONCE)
    assert "held" not in done.output
    shop.assert_whole()
    gone = branch.build_quickly()
    assert gone.code != 0
    assert "There is no branch trial of this lake" in gone.output


def test_listed_and_dropped_by_age(shop: Shop) -> None:
    """The list says how old each is and which are stale; old ones are dropped, young ones stay."""
    lake = shop.lake
    assert "0 branches" in lake.command("branch", "list").output
    for name in ("young", "old"):
        assert lake.command("branch", "create", name).code == 0
    record = lake.home / "branches" / "old.json"
    made = datetime.fromisoformat(json.loads(record.read_text())["created_at"])
    record.write_text(
        record.read_text().replace(made.isoformat(), (made - timedelta(days=20)).isoformat())
    )
    listed = lake.command("branch", "list").output
    lines = {words[0]: words for line in listed.splitlines() if (words := line.split())}
    assert "20" in lines["old"]
    assert "stale:" in lines["old"]
    assert "stale:" not in lines["young"]
    assert lake.command("branch", "drop", "--older-than", "14").code == 0
    assert [path.stem for path in (lake.home / "branches").glob("*.json")] == ["young"]
    assert "Nothing was dropped" in lake.command("branch", "drop", "--older-than", "14").output


def test_odd_files_among_branches(shop: Shop) -> None:
    """What lies beside branches and is none is named and passed over; maintenance goes on."""
    lake = shop.lake
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
    maintained = lake.command("maintain", variables=AT_ONCE)
    assert maintained.code == 0, maintained
    assert "held" not in maintained.output
    for name in odd:
        said = f"File branches/{name.replace(chr(27), chr(92) + 'x1b')}.json is passed over: it "
        assert maintained.output.count(said) == 1, said
    assert chr(27) not in maintained.output

    assert lake.command("branch", "create", "trial").code == 0
    held = lake.command("maintain", variables=AT_ONCE)
    assert "held: branch trial may need it" in held.output
    assert "No branch is 1 day old" in lake.command("branch", "drop", "--older-than", "1").output
    again = lake.command("branch", "create", "future")
    assert "There is a branch future already" in again.output
    dropped = lake.command("branch", "drop", "future")
    assert dropped.code == 0, dropped
    assert not (folder / "future.json").exists()


def test_mistakes(shop: Shop) -> None:
    """A mistake ends with a line that says what it was, and changes nothing."""
    for words, said in (
        (["drop", "nobody"], "There is no branch nobody"),
        (["drop"], "Say which"),
        (["drop", "--older-than", "soon"], "'soon' is not a valid integer"),
        (["create", "../.."], "cannot name a branch"),
    ):
        wrong = shop.lake.command("branch", *words)
        assert wrong.code == 64
        assert said in wrong.output
        assert "Traceback" not in wrong.output


def test_no_branch_is_made_by_mistake(shop: Shop) -> None:
    """Target pr without a branch, or with one that is not there, builds nothing anywhere."""
    lake = shop.lake
    for branch, said in ((None, "LAKE_BRANCH is not set"), ("nobody", "There is no branch nobody")):
        environment = {"DBT_TARGET": "pr"} | ({"LAKE_BRANCH": branch} if branch else {})
        build = lake.build_quickly(environment=environment)
        assert build.code == 2
        assert said in build.output
        assert not (lake.home / "branches").exists()
    assert lake.command("branch", "create", "trial").code == 0
    nested = lake.branch("trial").command("branch", "create", "twig")
    assert nested.code != 0
    assert "branches are made of the lake itself" in nested.output
