"""Backups of the catalog: taken beside builds, restored to a point, and gone on from there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system import services
from tests.system.conftest import SEED
from tests.system.lake import WITHOUT_TESTS
from tests.system.small_project import BEGUN, DAYS, Shop
from tests.system.upkeep import files


def assert_goes_on(shop: Shop) -> None:
    """The next run feeds what came since, once, and every table is that of a lake to which nothing
    ever happened."""
    assert shop.lake.build_quickly().ok
    shop.assert_whole()
    reconciled = shop.lake.command("reconcile")
    assert reconciled.code == 0, reconciled


@pytest.mark.slow
def test_restored_to_a_point_and_on(begun: Shop) -> None:
    lake = begun.lake
    saved = lake.command("backup")
    assert saved.code == 0, saved.output
    then, snapshot, known = begun.tables(), lake.snapshot(), set(files(lake.data))
    begun.deliver_days(BEGUN + 1, DAYS, SEED)
    assert lake.build_quickly().ok
    now, newer, later = begun.tables(), lake.snapshot(), set(files(lake.data)) - known

    refused = lake.command("restore")
    assert refused.code == 64
    assert f"{newer - snapshot} snapshots newer" in refused.output
    assert "Nothing was changed; add --force" in refused.output
    assert lake.snapshot() == newer

    restored = lake.command("restore", "--force")
    assert restored.code == 0, restored.output
    assert "Every data file is there" in restored.output
    assert (lake.snapshot(), begun.tables()) == (snapshot, then)

    # What the restore replaced is a backup too, with which it can be undone.
    replaced = next(
        line for line in lake.command("backup", "--list").output.splitlines() if "replaced" in line
    )
    assert lake.command("restore", replaced.split()[0], "--force").code == 0
    assert (lake.snapshot(), begun.tables()) == (newer, now)
    assert lake.command("restore", "--force").code == 0

    # Files that were written after the point are found and removed, and nothing else is. Nothing
    # is old enough by default, and a dry run deletes nothing.
    landed = files(lake.landing)
    for arguments in ([], ["--older-than", "0", "--dry-run"]):
        found = lake.command("maintain", "--orphans", *arguments)
        assert found.code == 0, found
        assert set(files(lake.data)) == known | later
    assert all(Path(path).name in found.output for path in later)
    found = lake.command("maintain", "--orphans", "--older-than", "0")
    assert found.code == 0, found
    assert set(files(lake.data)) == known
    assert files(lake.landing) == landed
    assert_goes_on(begun)


@pytest.mark.slow
def test_postgres_with_its_own_tools(
    new_shop: Callable[..., Shop], postgres: services.Postgres, tmp_path: Path
) -> None:
    """As docs/runbooks/disaster-recovery.md says, beside a build, into another database."""
    shop = new_shop("postgres")
    lake = shop.lake
    shop.deliver_days(1, BEGUN, SEED)
    assert lake.build_quickly().ok
    refused = lake.command("backup")
    assert refused.code == 64
    assert "pg_dump" in refused.output

    def run(program: str, *arguments: str) -> None:
        environment = {**os.environ, **lake.environment}
        command = [str(services.postgres_program(program)), *arguments]
        subprocess.run(command, env=environment, check=True)

    dump = str(tmp_path / "catalog.pgdump")
    shop.deliver_days(BEGUN + 1, DAYS, SEED)
    running = lake.start("build", *WITHOUT_TESTS)
    table = "--table=public.ducklake_*"
    run("pg_dump", "--format=custom", table, "--no-owner", "--no-acl", f"--file={dump}")
    assert running.wait().code == 0

    restored = postgres.database(f"{tmp_path.name}_restored")
    lake.environment.update(restored)
    lake._catalog = f"postgres:{services.libpq(restored)}"
    options = ("--no-owner", "--no-acl", f"--dbname={restored['PGDATABASE']}")
    run("pg_restore", *options, dump)
    checked = lake.command("backup", "--check")
    assert checked.code == 0, checked.output
    assert_goes_on(shop)


@pytest.mark.slow
def test_beside_a_running_build(begun: Shop) -> None:
    """Backups taken all through a build disturb it not, and each can be restored and built on."""
    lake = begun.lake
    begun.deliver_days(BEGUN + 1, DAYS, SEED)
    running = lake.start("build", *WITHOUT_TESTS)
    while running.process.is_alive():
        saved = lake.command("backup")
        assert saved.code == 0, saved.output
    build = running.wait()
    assert build.code == 0, build
    begun.assert_whole()

    names = [line.split()[0] for line in lake.command("backup", "--list").output.splitlines()]
    assert len(names) > 2
    middle = lake.command("restore", names[len(names) // 2], "--force")
    assert middle.code == 0, middle.output
    assert not lake.wrong_counts()
    assert_goes_on(begun)


def test_a_damaged_catalog_and_a_lost_file(shop: Shop) -> None:
    """A catalog that is no database any more comes back; a data file that is needed is named."""
    lake, before = shop.lake, shop.tables()
    assert lake.command("backup").code == 0
    lake.catalog_file.write_bytes(b"nothing that SQLite knows" * 500)
    refused = lake.command("restore")
    assert refused.code == 64
    assert "add --force" in refused.output
    assert lake.command("restore", "--force").code == 0
    assert shop.tables() == before

    lost = next((lake.data / "main").rglob("*.parquet"))
    lost.unlink()
    incomplete = lake.command("backup", "--check")
    assert incomplete.code == 40
    assert lost.name in incomplete.output


@pytest.mark.slow
def test_in_s3(s3: services.S3, shop: Shop) -> None:
    """Backups in a bucket: taken, pruned to the newest, restored. Mistakes end with one line."""
    lake = shop.lake
    lake.environment.update(s3.environment)
    s3.client.create_bucket(Bucket="backups-test")
    s3.client.put_object(Bucket="backups-test", Key="lake/other.txt", Body=b"not a backup")
    place = ("--at", "s3://backups-test/lake")
    before = lake.snapshot()
    for _ in range(3):
        saved = lake.command("backup", "--keep", "2", *place)
        assert saved.code == 0, saved.output
        assert services.S3_SECRET not in saved.output
        lake.change("create or replace table main.another_snapshot as select 1 as one")
    keys = s3.keys("backups-test")
    assert "lake/other.txt" in keys
    assert len(keys) == 3
    assert f"snapshot-{before}." not in "".join(keys)
    assert lake.command("restore", "2", "--force", *place).code == 0
    for arguments, code in (
        (["backup", "--list", "--at", "s3://no-such-bucket/lake"], 40),
        (["backup", "--keep", "0"], 64),
        (["bakcup"], 64),
        (["restore", "2020"], 64),
    ):
        wrong = lake.command(*arguments)
        assert wrong.code == code, wrong
        assert "Traceback" not in wrong.output
