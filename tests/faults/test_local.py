"""A disk that is full, a clock that was set back, and a landing zone that is cleared."""

from __future__ import annotations

import json
import random
import resource
import subprocess
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.faults.world import (
    SEED,
    Undisturbed,
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
)
from tests.system.lake import Lake
from tests.system.scheduling import Ticks
from tests.system.upkeep import writing

pytestmark = pytest.mark.slow

BIG = "klaviyo/events/year=2025/month=01/day=08/big.parquet"


@pytest.fixture
def ticks(begun: Ticks, undisturbed: Undisturbed) -> Ticks:
    """A lake that has fed the first days; the rest has landed, and waits."""
    begun.lake.deliver(undisturbed.rest, undisturbed.landed)
    return begun


# -- disk ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux has prlimit")
@pytest.mark.parametrize(
    ("memory", "said"),
    [("1GB", ["/data/staging/", "Free space"]), ("40MB", ["LAKE_TEMP_DIR", "LAKE_MEMORY_LIMIT"])],
    ids=["data", "spill"],
)
def test_the_disk_is_full(
    ticks: Ticks, undisturbed: Undisturbed, memory: str, said: list[str]
) -> None:
    """Where the lake's files, or those that DuckDB spills to, cannot grow: 20 and what to do.

    What is full is a limit on the size of a file: it needs no file system of one's own.
    """
    land_big_file(ticks.lake)
    running = ticks.start(environment={"LAKE_MEMORY_LIMIT": memory})
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    done = running.wait()
    assert_told(done, 20, *said)
    assert_consistent(ticks.lake)
    assert BIG not in ticks.lake.loaded()
    assert_heals(ticks, undisturbed, [BIG])


@pytest.mark.parametrize(
    ("variable", "size", "code"),
    [("LAKE_CATALOG", "300k", 20), ("DBT_TARGET_PATH", "16k", 20), ("DBT_LOG_PATH", "16k", 0)],
)
def test_the_place_that_is_full_is_named(
    ticks: Ticks, tmp_path: Path, variable: str, size: str, code: int
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
        done = ticks.run(environment=places)
    finally:
        subprocess.run(["umount", full], check=True)
    assert done.code == code, done.output
    assert f"{full} ({variable})" in done.output
    assert "Traceback" not in done.output


def land_big_file(lake: Lake, rows: int = 30_000) -> None:
    """Events that are there already, in an older version: large, and without any effect."""
    some = pq.read_table(sorted((lake.landing / BIG).parent.glob("*.parquet"))[0])
    table = pa.concat_tables([some] * (rows // some.num_rows + 1)).slice(0, rows).combine_chunks()
    chance = random.Random(SEED)
    junk = pa.array([json.dumps({"junk": chance.randbytes(150).hex()}) for _ in range(rows)])
    attributes = table["attributes"].combine_chunks()
    fields = list(attributes.type)
    values = [
        junk if field.name == "event_properties" else attributes.field(field.name)
        for field in fields
    ]
    older = pc.subtract(
        table["_airbyte_extracted_at"], pa.scalar(timedelta(days=1), pa.duration("ms"))
    )
    for name, column in (
        ("attributes", pa.StructArray.from_arrays(values, fields=fields)),
        ("_airbyte_extracted_at", older),
    ):
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, lake.landing / BIG, row_group_size=5000)


# -- clock -----------------------------------------------------------------------------------------


def test_the_clock_was_set_back(ticks: Ticks, undisturbed: Undisturbed) -> None:
    """Everything that the lake remembers lies two days ahead of the clock: nothing is missed.

    Nobody can set the clock of one process, DuckDB's and the file system's included; but a clock
    that was set back is nothing but times in the future, wherever a run has left any.
    """
    lake, ahead = ticks.lake, "interval 2 days"
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
    done = ticks.run()
    assert done.code == 0, done.output
    assert_whole(lake, undisturbed)
    files = {path.name for path in lake.data.rglob("*.parquet")}
    done = ticks.run("--maintain")
    assert done.code == 0, done.output
    assert files <= {path.name for path in lake.data.rglob("*.parquet")}, "deleted too early"
    assert_whole(lake, undisturbed)
    assert ticks.command().says("Nothing new")


# -- landing ---------------------------------------------------------------------------------------


def test_landing_is_cleared_while_it_is_fed(ticks: Ticks, undisturbed: Undisturbed) -> None:
    """What had been fed stays, what had not is as if it had never landed; it may land again."""
    lake = ticks.lake
    running = ticks.start()
    running.wait_for("START python feed model staging.stg_klaviyo__events")
    for path in lake.landing.rglob("*"):
        if path.is_file():
            path.unlink()
    done = running.wait()
    assert done.code == 0, done.output
    assert_consistent(lake)
    fed = lake.loaded()
    assert set(fed) < set(undisturbed.files), "nothing was left to clear"
    lake.deliver(undisturbed.files, undisturbed.landed)
    assert_heals(ticks, undisturbed)
