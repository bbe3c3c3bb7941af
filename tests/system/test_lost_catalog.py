"""A lake whose catalog is lost: no command puts an empty one in its place in silence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sample import Delivery
from tests.system import services
from tests.system.lake import PROJECT, Lake

MODEL = ("--select", "stg_shopify__customers")


def script(lake: Lake, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts as a person does."""
    return subprocess.run(
        [sys.executable, PROJECT / "scripts" / name, *arguments],
        cwd=PROJECT,
        env=lake.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def lose(lake: Lake) -> None:
    """Lose the catalog, and nothing else."""
    if lake.environment["LAKE_CATALOG"] != "postgres:":
        for file in lake.home.glob("catalog.sqlite*"):
            file.unlink()
        return
    subprocess.run(
        [
            services.postgres_program("psql"),
            "-c",
            "drop schema public cascade; create schema public",
        ],
        env=lake.environment,
        check=True,
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def lake(request: pytest.FixtureRequest, sample: Delivery) -> Lake:
    """A small lake, with each kind of catalog."""
    make: Callable[[], Lake] = request.getfixturevalue(
        "new_lake" if request.param == "sqlite" else "postgres_lake"
    )
    lake = make()
    paths = [file.path for file in sample.files if "/customers/" in file.path]
    lake.deliver(paths[:3], sample.out)
    assert lake.build_quickly(*MODEL).ok
    return lake


def test_every_command_refuses(lake: Lake) -> None:
    """It says what it found, which backups there are, and what to type; nothing is made."""
    is_embedded = lake.environment["LAKE_CATALOG"] != "postgres:"
    kept = lake.everything("staging")
    if is_embedded:
        assert script(lake, "backup.py", "backup").returncode == 0
    lose(lake)
    files = {path: path.stat().st_size for path in lake.data.rglob("*.parquet")}
    said = [
        lake.build_quickly(*MODEL).output,
        lake.build("reconcile", command="run-operation").output,
        *(
            (done.stdout + done.stderr)
            for done in (
                script(lake, "status.py"),
                script(lake, "sql.py", "-c", "select 1"),
                script(lake, "scheduler.py"),
            )
        ),
    ]
    for output in said:
        assert "There is no catalog at" in output, output
        assert "LAKE_START_NEW=yes" in output, output
        if is_embedded:
            assert "/backups/: 1, the newest 2" in output, output
            assert "scripts/backup.py restore" in output, output
        else:
            assert "docs/runbooks/disaster-recovery.md" in output, output
    if is_embedded:
        assert not lake.catalog_file.exists()
        restored = script(lake, "backup.py", "restore")
        assert restored.returncode == 0, restored
        assert lake.everything("staging") == kept
    assert {path: path.stat().st_size for path in lake.data.rglob("*.parquet")} == files


def test_a_new_lake_on_purpose(lake: Lake) -> None:
    """With the words that the refusal names; from then on without them."""
    lose(lake)
    assert lake.build_quickly(*MODEL).code != 0
    assert lake.build_quickly(*MODEL, environment={"LAKE_START_NEW": "yes"}).ok
    assert lake.build_quickly(*MODEL).ok
    assert not lake.wrong_counts()


def test_a_data_path_of_something_else(new_lake: Callable[[], Lake], tmp_path: Path) -> None:
    """Files that are no lake's keep nobody from starting one."""
    lake = new_lake()
    lake.data.mkdir(parents=True)
    (lake.data / "README").write_text("here the lake will be")
    assert lake.build_quickly(*MODEL).ok
