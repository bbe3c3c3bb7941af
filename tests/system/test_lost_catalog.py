"""A lake whose catalog is lost: no command puts an empty one in its place in silence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.system.lake import PROJECT, Lake
from tests.system.small_project import Shop


def python(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands as a person does."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=lake.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def lose(lake: Lake) -> None:
    """Lose the catalog, and nothing else."""
    for file in lake.home.glob("catalog.sqlite*"):
        file.unlink()


def test_every_command_refuses(shop: Shop) -> None:
    """It says what it found, which backups there are, and what to type; nothing is made."""
    lake, kept = shop.lake, shop.tables()
    assert python(lake, "scripts/backup.py", "backup").returncode == 0
    lose(lake)
    files = {path: path.stat().st_size for path in lake.data.rglob("*.parquet")}
    said = [
        lake.build_quickly().output,
        lake.build("reconcile", command="run-operation").output,
        *(
            (done.stdout + done.stderr)
            for done in (
                python(lake, "-m", "lotus_lake.status"),
                python(lake, "-m", "lotus_lake.shell", "-c", "select 1"),
                python(lake, "scripts/scheduler.py"),
            )
        ),
    ]
    for output in said:
        assert "There is no catalog at" in output, output
        assert "LAKE_START_NEW=yes" in output, output
        assert "/backups/: 1, the newest 2" in output, output
        assert "scripts/backup.py restore" in output, output
    assert not lake.catalog_file.exists()
    restored = python(lake, "scripts/backup.py", "restore")
    assert restored.returncode == 0, restored
    assert shop.tables() == kept
    assert {path: path.stat().st_size for path in lake.data.rglob("*.parquet")} == files


def test_a_new_lake_on_purpose(shop: Shop) -> None:
    """With the words that the refusal names; from then on without them."""
    lose(shop.lake)
    assert shop.lake.build_quickly().code != 0
    assert shop.lake.build_quickly(environment={"LAKE_START_NEW": "yes"}).ok
    assert shop.lake.build_quickly().ok
    shop.assert_whole()


def test_a_data_path_of_something_else(new_shop: Callable[..., Shop]) -> None:
    """Files that are no lake's keep nobody from starting one."""
    lake = new_shop().lake
    lake.data.mkdir(parents=True)
    (lake.data / "README").write_text("here the lake will be")
    assert lake.build_quickly().ok
