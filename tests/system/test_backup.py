"""Backups of the catalog: taken beside builds, restored to a point, and gone on from there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sample import Delivery
from tests.system import services
from tests.system.conftest import Reference, part_of
from tests.system.lake import PROJECT, WITHOUT_TESTS, Lake, differences

pytestmark = pytest.mark.slow

POSTGRES_PROGRAMS = str(services.postgres_program("pg_dump").parent)
IN_SQLITE = pytest.mark.parametrize("lake", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "postgres"])
def lake(request: pytest.FixtureRequest, lake_after: Callable[[str, int], Lake]) -> Lake:
    """A lake that has fed a third of the sample, with each kind of catalog."""
    return lake_after(request.param, 1)


def backup(lake: Lake, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does."""
    return subprocess.run(
        [sys.executable, PROJECT / "scripts/backup.py", *arguments],
        env=lake.environment | {"PG_BIN": POSTGRES_PROGRAMS} | environment,
        cwd=lake.home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_restored_to_a_point_and_on(lake: Lake, sample: Delivery, reference: Reference) -> None:
    """A delivery after the backup, the catalog goes back to it; the next run feeds what came
    since, once, and every table is that of a lake to which nothing ever happened."""
    saved = backup(lake, "backup")
    assert saved.returncode == 0, saved.stderr
    at_backup = lake.everything("main"), lake.snapshot()
    lake.deliver(part_of(sample, 1, 2), sample.out)
    assert lake.build_quickly().ok
    newer = lake.snapshot()

    refused = backup(lake, "restore")
    assert refused.returncode == 64
    assert f"{newer - at_backup[1]} snapshots newer" in refused.stderr
    assert "Nothing was changed; add --force" in refused.stderr
    assert lake.snapshot() == newer

    restored = backup(lake, "restore", "--force")
    assert restored.returncode == 0, restored.stderr
    assert "Every data file is there" in restored.stdout
    assert lake.snapshot() == at_backup[1]
    assert not differences(lake.everything("main"), at_backup[0], of_the_run=True)

    assert lake.build_quickly().ok
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)
    assert not differences(lake.tables(), reference.expected)
    reconciled = lake.build("reconcile", command="run-operation")
    assert reconciled.code == 0, reconciled

    # What the restore replaced is a backup too, with which it can be undone.
    replaced = next(line for line in backup(lake, "list").stdout.splitlines() if "replaced" in line)
    back = backup(lake, "restore", replaced.split()[0], "--force")
    assert back.returncode == 0, back.stderr
    assert lake.snapshot() == newer
    assert not differences(lake.tables(), reference.tables)


@IN_SQLITE  # to find files is the same with both catalogs, and to restore is tested above
def test_orphans_of_the_time_after(lake: Lake, sample: Delivery) -> None:
    """Files that were written after the point are found and removed, and nothing else is."""
    assert backup(lake, "backup").returncode == 0
    known = _files(lake.data)
    landed = _files(lake.landing)
    lake.deliver(part_of(sample, 1), sample.out)
    assert lake.build_quickly().ok
    landed |= _files(lake.landing)
    later = _files(lake.data) - known
    assert later
    before = lake.snapshot()
    assert backup(lake, "restore", "--force").returncode == 0
    assert lake.snapshot() < before

    # Nothing is old enough by default, and a dry run deletes nothing.
    for arguments in ("{}", "{days: 0, dry_run: true}"):
        found = lake.build("remove_orphans", "--args", arguments, command="run-operation")
        assert found.code == 0, found
        assert _files(lake.data) == known | later
    assert all(Path(path).name in found.output for path in later)
    found = lake.build("remove_orphans", "--args", "{days: 0}", command="run-operation")
    assert found.code == 0, found
    assert _files(lake.data) == known
    assert _files(lake.landing) == landed
    assert lake.build_quickly().ok
    assert not lake.wrong_counts()


def test_beside_a_running_build(lake: Lake, sample: Delivery, reference: Reference) -> None:
    """Backups taken all through a build disturb it not, and each can be restored and built on."""
    lake.deliver(part_of(sample, 1, 2), sample.out)
    running = lake.start("build", *WITHOUT_TESTS)
    while running.process.is_alive():
        saved = backup(lake, "backup")
        assert saved.returncode == 0, saved.stderr
    build = running.wait()
    assert build.code == 0, build
    assert not differences(lake.everything("main"), reference.everything)

    names = [line.split()[0] for line in backup(lake, "list").stdout.splitlines()]
    assert len(names) > 2
    middle = backup(lake, "restore", names[len(names) // 2], "--force")
    assert middle.returncode == 0, middle.stderr
    assert not lake.wrong_counts()
    assert lake.build_quickly().ok
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)


def test_a_lost_catalog(
    new_lake: Callable[..., Lake], sqlite_stages: Callable[[int], Lake]
) -> None:
    """A catalog that is gone, or no database any more, comes back; one that is needed is named."""
    lake = new_lake()
    nothing = backup(lake, "backup")
    assert nothing.returncode == 64
    assert "There is no lake" in nothing.stderr
    lake.copy_of(sqlite_stages(1))
    before = lake.everything("main")
    assert backup(lake, "backup").returncode == 0
    for leftover in lake.home.glob("catalog.sqlite*"):
        leftover.unlink()
    assert backup(lake, "restore").returncode == 0
    assert not differences(lake.everything("main"), before, of_the_run=True)

    lake.catalog_file.write_bytes(b"nothing that SQLite knows" * 500)
    refused = backup(lake, "restore")
    assert refused.returncode == 64
    assert "add --force" in refused.stderr
    assert backup(lake, "restore", "--force").returncode == 0
    assert not differences(lake.everything("main"), before, of_the_run=True)

    lost = next((lake.data / "main").rglob("*.parquet"))
    lost.unlink()
    incomplete = backup(lake, "restore")
    assert incomplete.returncode == 40
    assert lost.name in incomplete.stderr


def test_what_would_be_lost_is_named(reference_copy: Lake) -> None:
    """Files that were fed after the backup and have left the landing zone cannot come back."""
    lake = reference_copy
    assert backup(lake, "backup").returncode == 0
    template = lake.landing / next(
        path for path in lake.loaded() if "shopify/customers" in path and path.endswith("parquet")
    )
    for name in ("stays.parquet", "leaves.parquet"):
        template.with_name(name).write_bytes(template.read_bytes())
    assert lake.build_quickly().ok
    template.with_name("leaves.parquet").unlink()
    refused = backup(lake, "restore")
    assert refused.returncode == 64
    assert "2 files were fed since, and 1 of them would be fed again" in refused.stderr
    assert "leaves.parquet" in refused.stderr


def test_in_s3(s3: services.S3, reference_copy: Lake) -> None:
    """Backups in a bucket: taken, pruned to the newest, restored."""
    lake = reference_copy
    lake.environment.update(s3.environment)
    s3.client.create_bucket(Bucket="backups-test")
    s3.client.put_object(Bucket="backups-test", Key="lake/other.txt", Body=b"not a backup")
    place = ("--at", "s3://backups-test/lake")
    before = lake.snapshot()
    for extra in range(3):
        saved = backup(lake, "backup", "--keep", "2", *place)
        assert saved.returncode == 0, saved.stderr
        if extra < 2:
            file = next(path for path in lake.landing.rglob("part_0.parquet"))
            os.utime(file)  # another version, and so another snapshot
            assert lake.build_quickly("--select", "lotus_lake.landing").ok
    keys = s3.keys("backups-test")
    assert "lake/other.txt" in keys
    assert len(keys) == 3
    assert f"snapshot-{before}." not in "".join(keys)
    assert backup(lake, "restore", "2", *place).returncode == 0
    assert services.S3_SECRET not in saved.stdout + saved.stderr
    away = backup(lake, "list", "--at", "s3://no-such-bucket/lake")
    assert away.returncode == 40, away
    assert "cannot be reached" in away.stderr
    assert "Traceback" not in away.stderr


def test_wrong_usage(lake: Lake) -> None:
    """Mistakes end with 64 and one line."""
    for arguments in (["backup", "--keep", "0"], ["bakcup"], ["restore", "2020"]):
        wrong = backup(lake, *arguments)
        assert wrong.returncode == 64, wrong
        assert "Traceback" not in wrong.stderr


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}
