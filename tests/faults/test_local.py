"""A disk that is full, a clock that was set back, and a landing zone that is cleared."""

from __future__ import annotations

import random
import resource
import subprocess
from pathlib import Path

import pytest

from tests.faults.world import (
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
    ticks_of,
)
from tests.system.conftest import SEED
from tests.system.small_project import BEGUN, DAYS, Shop, history, path_of
from tests.system.upkeep import writing

pytestmark = pytest.mark.nightly


@pytest.fixture
def waiting(begun: Shop) -> Shop:
    """A lake that has fed the first days; the rest has landed, and waits."""
    begun.deliver_days(BEGUN + 1, DAYS, SEED)
    return begun


# -- disk ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux has prlimit")
@pytest.mark.parametrize(
    ("memory", "said"),
    [("1GB", ["/data/staging/", "Free space"]), ("40MB", ["LAKE_TEMP_DIR", "LAKE_MEMORY_LIMIT"])],
    ids=["data", "spill"],
)
def test_the_disk_is_full(waiting: Shop, memory: str, said: list[str]) -> None:
    """Where the lake's files, or those that DuckDB spills to, cannot grow: 20 and what to do.

    What is full is a limit on the size of a file: it needs no file system of one's own.
    """
    chance, ticks = random.Random(SEED), ticks_of(waiting)
    big = waiting.deliver(
        DAYS, *(f"{id_},1,{chance.randbytes(200).hex()}" for id_ in range(100_000)), part=9
    )
    running = ticks.start(environment={"LAKE_MEMORY_LIMIT": memory})
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    done = running.wait()
    assert_told(done, 20, *said)
    assert_consistent(waiting)
    assert big not in waiting.lake.loaded()
    assert_heals(ticks, waiting)


@pytest.mark.parametrize(
    ("variable", "size", "code"),
    [("LAKE_CATALOG", "300k", 20), ("DBT_TARGET_PATH", "16k", 20), ("DBT_LOG_PATH", "16k", 0)],
)
def test_the_place_that_is_full_is_named(
    waiting: Shop, tmp_path: Path, variable: str, size: str, code: int
) -> None:
    """The catalog, dbt's artefacts, its logs: on a small file system of their own."""
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", full]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small file system")
    try:
        places = {variable: str(full)}
        if variable == "LAKE_CATALOG":
            places = {variable: f"sqlite:{full}/catalog.sqlite", "LAKE_DATA_URL": f"{tmp_path}/new"}
        done = ticks_of(waiting).run(environment=places, code=code)
    finally:
        subprocess.run(["umount", full], check=True)
    assert f"{full} ({variable})" in done.output
    assert "Traceback" not in done.output


# -- clock -----------------------------------------------------------------------------------------


def test_the_clock_was_set_back(waiting: Shop) -> None:
    """Everything that the lake remembers lies two days ahead of the clock: nothing is missed.

    Nobody can set the clock of one process, DuckDB's and the file system's included; but a clock
    that was set back is nothing but times in the future, wherever a run has left any.
    """
    lake, ticks, ahead = waiting.lake, ticks_of(waiting), "interval 2 days"
    with writing(lake) as connection:
        connection.execute(
            f"update meta.feeder_cursors set swept_at = swept_at + {ahead},"
            f" updated_at = updated_at + {ahead}"
        )
        connection.execute(f"update meta.feeder_files set loaded_at = loaded_at + {ahead}")
    lake.edit_catalog(
        "update ducklake_snapshot set snapshot_time ="
        " datetime(substr(snapshot_time, 1, 19), '+2 days') || substr(snapshot_time, 20)"
    )
    assert lake.value("select min(snapshot_time) > now() from ducklake_snapshots('lakehouse')")
    assert_heals(ticks, waiting)
    files = {path.name for path in lake.data.rglob("*.parquet")}
    ticks.run("--maintain")
    assert files <= {path.name for path in lake.data.rglob("*.parquet")}, "deleted too early"
    assert_whole(waiting)
    assert ticks.command().says("Nothing new")


# -- landing ---------------------------------------------------------------------------------------


def test_landing_is_cleared_while_it_is_fed(waiting: Shop) -> None:
    """What had been fed stays, what had not is as if it had never landed; it may land again."""
    lake, ticks = waiting.lake, ticks_of(waiting)
    running = ticks.start()
    running.wait_for("START python feed model staging.stg_jaffle_shop__customers")
    for path in lake.landing.rglob("*.csv"):
        path.unlink()
    done = running.wait()
    assert done.code == 0, done.output
    assert_consistent(waiting)
    assert set(lake.loaded()) < set(history(SEED)), "nothing was left to clear"
    assert path_of("orders", 1) in lake.loaded()
    waiting.deliver_days(1, DAYS, SEED)
    assert_heals(ticks, waiting)
