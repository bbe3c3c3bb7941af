"""Feeding: exactly once, all or nothing, bounded, and nothing missed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lotus_lake.config import LakeError
from lotus_lake.feeder import Feeder, feeding
from lotus_lake.feeder.ledger import Ledger
from lotus_lake.landing import LocalLanding
from lotus_lake.probe import Prober, Unreadable

from .conftest import SmallLake, parquet

A, B, C = ({"id": number, "name": name} for number, name in ((1, "a"), (2, "b"), (3, "c")))


# -- exactly once ------------------------------------------------------------------------------


def test_a_file_is_fed_once(lake: SmallLake) -> None:
    path = lake.land("part_0.parquet", [A, B])
    assert lake.feed().files == 1
    before = lake.snapshot()
    assert lake.feed().files == 0
    assert lake.snapshot() == before
    assert lake.rows("id, name, _source_file, _source_row, _cursor_version") == [
        (1, "a", path, 0, 1),
        (2, "b", path, 1, 1),
    ]


def test_a_feed_is_one_snapshot(lake: SmallLake) -> None:
    lake.feed()  # makes the table
    before = lake.snapshot()
    lake.land("part_0.parquet", [A])
    lake.land("part_1.parquet", [{**B, "new": 1.5}])
    lake.land("part_2.csv", "id,name\n3,c\n")
    path = lake.land("part_3.parquet", "PAR1 cut off")
    lake.feed()
    assert lake.snapshot() == before + 1
    assert lake.cursor("files_loaded, rows_loaded, cursor_path") == (3, 3, path)


def test_a_reused_path_is_a_new_version(lake: SmallLake) -> None:
    lake.land("part_0.parquet", [A])
    lake.feed()
    lake.land("part_0.parquet", [B, C])
    assert lake.feed().rows == 2
    assert lake.rows("id, _cursor_version") == [(1, 1), (2, 2), (3, 2)]
    assert lake.query("select row_count from lakehouse.meta.feeder_files order by all") == [
        (1,),
        (2,),
    ]


def test_a_stream_without_a_cursor_says_what_to_do(lake: SmallLake) -> None:
    lake.query("delete from lakehouse.meta.feeder_cursors")
    with pytest.raises(LakeError, match="no cursor row"):
        lake.feed()


# -- all or nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["copy", "register"])
def test_an_error_leaves_everything_as_it_was(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The bookkeeping too, with what it says of changed columns."""
    lake.settings["feed_mode"] = mode
    lake.land("part_0.parquet", [A])
    lake.feed()

    def everything() -> list[Any]:
        meta = (f"from lakehouse.meta.{name}" for name in ("feeder_files", "schema_changes"))
        return [lake.types(), lake.rows(), lake.cursor("*"), *map(lake.query, meta)]

    before = everything()
    lake.land("part_1.parquet", [{**B, "new": 1}])

    def fail(*_: Any) -> None:
        raise duckdb.IOException("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(feeding, "check_unchanged", fail)  # what comes last before the commit
        with pytest.raises(LakeError, match="nothing of it was written"):
            lake.feed()
    assert everything() == before
    assert lake.feed().files == 1
    assert lake.rows("id, new") == [(1, None), (2, 1)]
    assert lake.query("select column_name from lakehouse.meta.schema_changes") == [("new",)]


def test_a_file_replaced_while_it_is_read_is_read_again(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land("part_0.parquet", [A])
    real = Ledger.write_files

    def replaced_meanwhile(self: Ledger, *args: Any) -> None:
        real(self, *args)
        monkeypatch.setattr(Ledger, "write_files", real)
        lake.land("part_0.parquet", [B])

    monkeypatch.setattr(Ledger, "write_files", replaced_meanwhile)
    assert lake.feed().files == 1
    assert lake.rows() == [(2, "b")]
    assert lake.feed().files == 0


@pytest.mark.parametrize("new", [None, [B, C]])
def test_a_file_gone_or_replaced_after_the_listing_is_no_bad_file(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch, new: Any
) -> None:
    path = lake.land("part_0.parquet", [A])
    lake.land("part_1.parquet", [C])
    real = LocalLanding.files

    def then_changed(self: LocalLanding, *args: Any) -> Any:
        files = real(self, *args)
        monkeypatch.setattr(LocalLanding, "files", real)
        lake.file(path).unlink()
        if new:
            lake.land("part_0.parquet", new)
        return files

    monkeypatch.setattr(LocalLanding, "files", then_changed)
    outcome = lake.feed()
    assert outcome.quarantined == []
    assert outcome.rows == (3 if new else 1)


def unreadable(_: Prober, files: Any) -> Any:
    return [(file, Unreadable("it cannot be read: timeout")) for file in files]


@pytest.mark.parametrize("when", ["while files are scanned", "before the commit"])
def test_a_landing_zone_that_goes_away_is_no_files_fault(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    lake.land("part_0.parquet", [A])

    def gone(*_: Any) -> Any:
        raise LakeError("the store is away")

    with monkeypatch.context() as broken:
        if when == "while files are scanned":
            broken.setattr(Prober, "probe", unreadable)
        broken.setattr(LocalLanding, "again", gone)
        with pytest.raises(LakeError, match="the store is away"):
            lake.feed()
    lake.query("begin")  # refused, if a transaction were open
    lake.query("rollback")
    assert (lake.rows(), lake.ledger()) == ([], {})
    assert lake.feed().files == 1


def test_a_store_that_fails_once_puts_nothing_into_quarantine(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land("part_0.parquet", [A])
    real = Prober.probe

    def once(prober: Prober, files: Any) -> Any:
        monkeypatch.setattr(Prober, "probe", real)
        return unreadable(prober, files)

    monkeypatch.setattr(Prober, "probe", once)
    assert lake.feed().files == 1


def test_a_lake_that_cannot_be_written_puts_nothing_into_quarantine(lake: SmallLake) -> None:
    lake.feed()
    lake.land("part_0.parquet", [A])
    folder = lake.folder / "lake data"
    folder.rename(lake.folder / "moved")
    folder.write_text("a file where the data should go")
    with pytest.raises(LakeError, match="nothing of it was written"):
        lake.feed()
    folder.unlink()
    assert lake.feed().files == 1


# -- races -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "step"),
    [
        pytest.param(Feeder, "_commit", id="before its transaction"),
        pytest.param(feeding, "check_unchanged", id="during its transaction"),
    ],
)
def test_a_feed_that_lost_a_race_feeds_nothing_twice(
    lake: SmallLake,
    open_again: Callable[[], SmallLake],
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    step: str,
) -> None:
    lake.feed()
    lake.land("part_0.parquet", [A])
    rival = open_again()
    real = getattr(place, step)

    def after_the_rival(*args: Any) -> None:
        monkeypatch.setattr(place, step, real)
        assert rival.feed().files == 1
        real(*args)

    monkeypatch.setattr(place, step, after_the_rival)
    assert lake.feed().files == 0
    assert lake.rows() == [(1, "a")]
    assert lake.cursor("files_loaded, rows_loaded") == (1, 1)


# -- bounded -----------------------------------------------------------------------------------


def test_a_feed_takes_a_bounded_batch_oldest_first(lake: SmallLake) -> None:
    for number in (9, 10, 11):
        lake.land(f"part_{number}.parquet", [{"id": number}])
    lake.land("part_1.parquet", [{"id": 100}], "year=2025/month=02/day=01")
    lake.land("part_2.parquet", [{"id": 0}], "year=2024/month=12/day=31")
    outcome = lake.feed(feed_max_files=2)
    assert (outcome.files, outcome.backlog_files) == (2, 3)
    assert lake.rows("id") == [(0,), (9,)]
    assert lake.cursor("backlog_files, backlog_bytes") == (3, outcome.backlog_bytes)
    assert lake.feed(feed_max_files=2).backlog_files == 1
    assert lake.rows("id") == [(0,), (9,), (10,), (11,)]
    assert lake.feed(feed_max_files=2).backlog_files == 0
    assert lake.cursor("backlog_files, backlog_bytes") == (0, 0)


def test_bytes_bound_a_feed_but_a_larger_file_is_fed_all_the_same(lake: SmallLake) -> None:
    paths = [
        lake.land(f"part_{part}.parquet", pa.table({"id": range(count)}))
        for part, count in enumerate([10, 10, 50_000, 10])
    ]
    sizes = [lake.file(path).stat().st_size for path in paths]
    lake.settings = {"feed_max_bytes": sizes[0] + sizes[1] + 1}
    assert [lake.feed().files for _ in range(4)] == [2, 1, 1, 0]
    assert lake.cursor("bytes_loaded") == (sum(sizes),)


def test_a_backlog_that_was_deleted_is_no_backlog(lake: SmallLake) -> None:
    paths = [lake.land(f"part_{number}.parquet", [A]) for number in range(3)]
    lake.feed(feed_max_files=1)
    for path in paths:
        lake.file(path).unlink()
    lake.feed()
    assert lake.cursor("backlog_files, backlog_bytes") == (0, 0)
    assert lake.rows() == [(1, "a")]  # what was fed stays


def test_a_feed_writes_few_files(lake: SmallLake) -> None:
    """Files that are alike are read together, also when each had to be scanned."""
    columns = {"id": "bigint", "o": "struct(a bigint)"}
    for number in range(12):
        lake.land(f"part_{number}.parquet", [{"id": 1, "o": f'{{"a": {number}}}'}])
    assert lake.feed(columns=columns).files == 12
    assert lake.rows("o.a") == [(number,) for number in range(12)]
    assert len(list((lake.folder / "lake data").rglob("stg_shop__orders/*.parquet"))) <= 2


@pytest.mark.slow
def test_memory_that_does_not_suffice_for_all_files_takes_fewer(lake: SmallLake) -> None:
    """And a single file for which it does not is quarantined, not tried for ever."""
    name = "x" * 2_000_000
    plain: dict[str, Any] = {"compression": "none", "use_dictionary": False}
    for number in range(8):
        rows = [{"id": number * 10 + row, "name": f"{row}{name}"} for row in range(10)]
        lake.land(f"part_{number}.parquet", parquet(rows, **plain))
    path = lake.land("part_9.parquet", parquet([{"id": 1, "name": "y" * 150_000_000}], **plain))
    lake.query("set memory_limit = '140MB'; set max_temp_directory_size = '0KB'")
    outcomes = [lake.feed()]
    while outcomes[-1].backlog_files:
        outcomes.append(lake.feed())
    lake.query("set memory_limit = '2GB'")
    ((quarantined, reason),) = [bad for outcome in outcomes for bad in outcome.quarantined]
    assert quarantined == path
    assert reason.startswith("it takes more memory to read than LAKE_MEMORY_LIMIT")
    assert lake.rows("count(*)") == [(80,)]


# -- nothing missed ----------------------------------------------------------------------------

OLD, NEW = (f"year=2025/month=0{month}/day=01" for month in (1, 6))


@pytest.fixture
def fed_long_ago(lake: SmallLake) -> SmallLake:
    """A lake whose stream has too many files to list it whole, and was fed months ago."""
    lake.settings = {"feed_list_free_files": 0, "feed_lookback_days": 14}
    lake.land("part_0.parquet", [A], NEW)
    lake.feed()
    return lake


def make_sweep_due(lake: SmallLake) -> None:
    lake.query("update lakehouse.meta.feeder_cursors set swept_at = swept_at - interval 25 hours")


def test_a_late_file_is_fed(fed_long_ago: SmallLake) -> None:
    fed_long_ago.land("late.parquet", [B], "year=2025/month=05/day=20")
    assert fed_long_ago.feed().files == 1


def test_a_sweep_finds_what_the_window_hides(fed_long_ago: SmallLake) -> None:
    """When a sweep is due is tested in test_scheduler.py."""
    fed_long_ago.land("late.parquet", [B], OLD)
    assert fed_long_ago.feed().files == 0
    assert fed_long_ago.feed(feed_list_free_files=10).files == 1


def test_what_a_sweep_finds_and_one_run_cannot_feed_is_not_forgotten(
    fed_long_ago: SmallLake,
) -> None:
    for number in range(3):
        fed_long_ago.land(f"late_{number}.parquet", [B], OLD)
    make_sweep_due(fed_long_ago)
    runs = [fed_long_ago.feed(feed_max_files=1) for _ in range(4)]
    assert [(run.files, run.backlog_files) for run in runs] == [(1, 2), (1, 1), (1, 0), (0, 0)]


def test_a_sweep_is_noted_when_nothing_is_new(fed_long_ago: SmallLake) -> None:
    make_sweep_due(fed_long_ago)
    fed_long_ago.feed()
    (swept_at,) = fed_long_ago.cursor("swept_at")
    assert datetime.now(UTC) - swept_at < timedelta(minutes=5)
    before = fed_long_ago.snapshot()
    fed_long_ago.feed()
    assert fed_long_ago.snapshot() == before


def test_a_repaired_file_is_fed_by_the_next_run_however_old(lake: SmallLake) -> None:
    path = lake.land("bad.parquet", "PAR1 cut off", OLD)
    lake.land("good.parquet", [A], NEW)
    lake.settings = {"feed_list_free_files": 0}
    lake.feed()
    lake.file(path).write_bytes(parquet([B]))
    outcome = lake.feed()
    assert (outcome.files, outcome.rows) == (1, 1)
    assert lake.feed().files == 0


# -- nothing blocks ----------------------------------------------------------------------------


def test_a_file_that_keeps_growing_does_not_hold_up_the_others(lake: SmallLake) -> None:
    """It is left for the next run, which feeds it when its writer is done."""
    growing = lake.land("part_0.csv", "id,name\n1,a\n")
    lake.land("part_1.parquet", [B])
    done = threading.Event()

    def write() -> None:
        with lake.file(growing).open("a") as file:
            while not done.wait(0.005):
                file.write("1,a\n")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcome = lake.feed()
    finally:
        done.set()
        writer.join()
    assert (outcome.files, outcome.backlog_files, outcome.quarantined) == (1, 1, [])
    assert any(line.startswith(f"WAITS {growing}") for line in outcome.lines(lake.stream()))
    assert lake.rows() == [(2, "b")]
    assert lake.feed().files == 1


def test_what_ducklake_cannot_hold_keeps_only_its_file_out(lake: SmallLake) -> None:
    """Whatever makes a feed fail, the file that does it is found."""
    lake.land("good.parquet", [A])
    lake.land("bad.parquet", [{**B, "odd": 1}])

    class Refusing:
        """A connection whose lake refuses one column."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.connection, name)

        def execute(self, sql: str, *args: Any) -> Any:
            if "add column" in sql:
                raise duckdb.InvalidInputException("unsupported type")
            return lake.connection.execute(sql, *args)

    refusing: Any = Refusing()
    outcome = SmallLake(lake.folder, refusing).feed()
    assert outcome.files == 1
    assert "unsupported type" in outcome.quarantined[0][1]
    assert lake.rows() == [(1, "a")]


def test_a_file_that_was_removed_leaves_the_quarantine(lake: SmallLake) -> None:
    """Nothing warns of it any more; if it returns as it was, it is scanned again."""
    lake.land("good.parquet", [A])
    path = lake.land("bad.parquet", "PAR1 and no more")
    assert len(lake.feed().quarantined) == 1
    assert [*lake.reasons()] == ["bad.parquet"]
    for free_files in (0, 100):  # with a listing of recent days, and with one of everything
        content, written = lake.file(path).read_bytes(), lake.file(path).stat().st_mtime_ns
        lake.file(path).unlink()
        assert lake.feed(feed_list_free_files=free_files).files == 0
        assert lake.reasons() == {}
        assert lake.ledger()["bad.parquet"] == ("undone", None)
        lake.land("bad.parquet", content)
        os.utime(lake.file(path), ns=(written, written))
        assert len(lake.feed(feed_list_free_files=free_files).quarantined) == 1
        assert [*lake.reasons()] == ["bad.parquet"]
