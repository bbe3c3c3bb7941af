"""A lake whose catalog is lost: no command puts an empty one in its place in silence."""

from __future__ import annotations

from collections.abc import Callable

from tests.system.lake import Lake
from tests.system.small_project import Shop


def lose(lake: Lake) -> None:
    """Lose the catalog, and nothing else."""
    for file in lake.home.glob("catalog.sqlite*"):
        file.unlink()


def test_every_command_refuses(shop: Shop) -> None:
    """It says what it found, which backups there are, and what to type; nothing is made."""
    lake, kept = shop.lake, shop.tables()
    assert lake.command("backup").code == 0
    lose(lake)
    files = {path: path.stat().st_size for path in lake.data.rglob("*.parquet")}
    commands = ("status", "sql", "tick", "reconcile", "maintain")
    said = [lake.build_quickly().output, *(lake.command(name).output for name in commands)]
    for output in said:
        assert "There is no catalog at" in output, output
        assert "LAKE_START_NEW=yes" in output, output
        assert "/backups/: 1, the newest 2" in output, output
        assert "`lake restore`" in output, output
    assert not lake.catalog_file.exists()
    restored = lake.command("restore")
    assert restored.code == 0, restored
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
