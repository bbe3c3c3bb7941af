"""Feeding: exactly once, all or nothing, whatever lands."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.feeder import Feeder, feeding
from lotus_lake.feeder.ledger import Cursor, Ledger
from lotus_lake.functions import register
from lotus_lake.landing import LocalLanding
from lotus_lake.probe import Prober, Unreadable
from lotus_lake.streams import Stream

from .conftest import DAY, SmallLake, csv_text, json_lines, parquet

A, B, C = ({"id": number, "name": name} for number, name in ((1, "a"), (2, "b"), (3, "c")))


def corrupt(content: bytes) -> bytes:
    """A Parquet file with a right footer and a damaged page."""
    return content[:30] + b"\xff" * 200 + content[230:]


def many(start: int = 0) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"name {number * 7919}"} for number in range(start, start + 500)]


# -- exactly once ------------------------------------------------------------------------------


def test_a_file_is_fed_once(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A, B])
    assert (lake.feed().files, lake.feed().files) == (1, 0)
    assert lake.rows() == [(1, "a"), (2, "b")]
    assert lake.rows("_source_file, _source_row, _cursor_version") == [
        (f"shop/orders/{DAY}/part_0.parquet", 0, 1),
        (f"shop/orders/{DAY}/part_0.parquet", 1, 1),
    ]


def test_a_feed_without_news_writes_no_snapshot(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    before = lake.snapshot()
    lake.feed()
    assert lake.snapshot() == before


def test_a_feed_is_one_snapshot(lake: SmallLake) -> None:
    lake.feed()  # makes the table
    before = lake.snapshot()
    lake.land_rows("part_0.parquet", [A])
    lake.land_rows("part_1.parquet", [{**B, "new": 1.5}])
    lake.land("part_2.csv", b"id,name\n3,c\n")
    lake.land("part_3.parquet", b"PAR1 cut off")
    lake.feed()
    assert lake.snapshot() == before + 1
    assert lake.cursor()["files_loaded"] == 3
    assert lake.cursor()["rows_loaded"] == 3
    assert lake.cursor()["cursor_path"].endswith("part_3.parquet")


def test_a_reused_path_is_a_new_version(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    lake.land_rows("part_0.parquet", [B, C])
    assert lake.feed().rows == 2
    assert lake.rows("id, _cursor_version") == [(1, 1), (2, 2), (3, 2)]
    assert len(lake.query("from lakehouse.meta.feeder_files")) == 2


@pytest.mark.parametrize(
    "name",
    [
        "with space.parquet",
        "it's.parquet",
        "a*b?.parquet",
        "[x]{y}.parquet",
        "100%.parquet",
        "a%20b#c.parquet",
        "é–部.parquet",
        'say "x".parquet',
        "part_0.parquet-1",
        "no_extension",
        "wrong.csv",  # Parquet all the same
        "back\\slash.parquet",
    ],
)
def test_odd_names_are_fed_and_known_again(lake: SmallLake, name: str) -> None:
    path = lake.land_rows(name, [A])
    lake.land("aXb?.parquet", parquet(pa.Table.from_pylist([B])))  # would match as a pattern
    assert lake.feed().rows == 2
    assert lake.feed().files == 0
    assert lake.rows("id", "all") == [(1,), (2,)]
    assert (path,) in lake.query("select path from lakehouse.meta.feeder_files")
    assert (path,) in lake.rows("distinct _source_file")


def test_a_name_that_is_no_utf8_blocks_nothing(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    folder = os.fsencode(lake.folder / "landing" / "shop/orders" / DAY)
    Path(os.fsdecode(folder + b"/bad\xff.parquet")).write_bytes(parquet(pa.Table.from_pylist([B])))
    outcome = lake.feed()
    assert (outcome.files, len(outcome.quarantined)) == (1, 1)
    assert "bad\\xff.parquet" in outcome.quarantined[0][0]
    assert lake.feed().quarantined == []


# -- all or nothing ----------------------------------------------------------------------------


def test_an_error_leaves_everything_as_it_was(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    before = (lake.types(), lake.rows(), lake.ledger(), lake.cursor())
    lake.land_rows("part_1.parquet", [{**B, "new": 1}])
    # The ledger is the last that is written: without a column the feed fails after the rows.
    lake.query("alter table lakehouse.meta.feeder_files rename feed_mode to hidden")
    with pytest.raises(LakeError, match="nothing of it was written"):
        lake.feed()
    lake.query("alter table lakehouse.meta.feeder_files rename hidden to feed_mode")
    assert before == (lake.types(), lake.rows(), lake.ledger(), lake.cursor())
    assert lake.feed().files == 1
    assert lake.rows("id, new") == [(1, None), (2, 1)]


def test_a_file_replaced_while_it_is_read_is_read_again(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land_rows("part_0.parquet", [A])
    feeder = lake.feeder()
    real = Ledger.write_files

    def replaced_meanwhile(self: Ledger, *args: Any) -> None:
        real(self, *args)
        if lake.query("select * from lakehouse.meta.feeder_files")[0][9] == 1:
            monkeypatch.setattr(Ledger, "write_files", real)
            lake.land_rows("part_0.parquet", [B])

    monkeypatch.setattr(Ledger, "write_files", replaced_meanwhile)
    assert feeder.feed().files == 1
    assert lake.rows() == [(2, "b")]
    assert lake.feed().files == 0


@pytest.mark.parametrize("new", [None, [B, C]])
def test_a_file_gone_or_replaced_after_the_listing_is_no_bad_file(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch, new: Any
) -> None:
    path = lake.land_rows("part_0.parquet", [A])
    lake.land_rows("part_1.parquet", [C])
    real = LocalLanding.files

    def then_changed(self: LocalLanding, *args: Any) -> Any:
        found = real(self, *args)
        monkeypatch.setattr(LocalLanding, "files", real)
        (lake.folder / "landing" / path).unlink()
        if new:
            lake.land_rows("part_0.parquet", new)
        return found

    monkeypatch.setattr(LocalLanding, "files", then_changed)
    outcome = lake.feed()
    assert outcome.quarantined == []
    assert outcome.rows == (3 if new else 1)


def unreadable(_: Prober, files: Any) -> Any:
    return [(file, Unreadable("it cannot be read: timeout")) for file in files]


def test_a_landing_zone_that_goes_away_puts_nothing_into_quarantine(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land_rows("part_0.parquet", [A])

    def gone(*_: Any) -> Any:
        raise LakeError("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(Prober, "probe", unreadable)
        broken.setattr(LocalLanding, "again", gone)
        with pytest.raises(LakeError, match="the store is away"):
            lake.feed()
    assert lake.ledger() == {}
    assert lake.feed().files == 1


def test_a_landing_zone_that_goes_away_before_the_commit_leaves_no_open_transaction(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land_rows("part_0.parquet", [A])

    def gone(*_: Any) -> Any:
        raise LakeError("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(LocalLanding, "again", gone)
        with pytest.raises(LakeError, match="the store is away"):
            lake.feed()
    lake.query("begin")  # refused, if one were open
    lake.query("rollback")
    assert lake.rows() == []
    assert lake.feed().files == 1


def test_a_store_that_stumbles_once_puts_nothing_into_quarantine(
    lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land_rows("part_0.parquet", [A])
    real = Prober.probe

    def once(prober: Prober, files: Any) -> Any:
        monkeypatch.setattr(Prober, "probe", real)
        return unreadable(prober, files)

    monkeypatch.setattr(Prober, "probe", once)
    assert lake.feed().files == 1


def test_of_two_racing_feeds_the_second_finds_nothing(
    lake: SmallLake, other: Callable[[], SmallLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.feed()
    lake.land_rows("part_0.parquet", [A])
    rival = other()
    real = Feeder._commit

    def after_the_rival(self: Feeder, cursor: Cursor, *args: Any) -> None:
        monkeypatch.setattr(Feeder, "_commit", real)
        assert rival.feed().files == 1
        real(self, cursor, *args)

    monkeypatch.setattr(Feeder, "_commit", after_the_rival)
    assert lake.feed().files == 0
    assert lake.rows() == [(1, "a")]
    assert lake.cursor()["files_loaded"] == 1


def test_of_two_open_transactions_only_one_commits(
    lake: SmallLake, other: Callable[[], SmallLake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.feed()
    lake.land_rows("part_0.parquet", [A])
    rival = other()
    real = feeding.check_unchanged

    def rival_commits_first(*args: Any) -> None:
        monkeypatch.setattr(feeding, "check_unchanged", real)
        assert rival.feed().files == 1
        real(*args)

    monkeypatch.setattr(feeding, "check_unchanged", rival_commits_first)
    assert lake.feed().files == 0
    assert lake.rows() == [(1, "a")]
    assert lake.cursor()["rows_loaded"] == 1


def test_feeds_at_the_same_time_never_double_rows(
    lake: SmallLake, other: Callable[[], SmallLake]
) -> None:
    for number in range(6):
        lake.land_rows(f"part_{number}.parquet", [{"id": number, "name": "x"}])
    lake.feed(feed_max_files=1)
    failures: list[BaseException] = []

    def feed_all(rival: SmallLake) -> None:
        try:
            while rival.feed(feed_max_files=2).backlog_files:
                pass
        except LakeError as error:
            failures.append(error)  # clean: it says that the other one won
        except BaseException as error:
            failures.append(error)
            raise

    rivals = [threading.Thread(target=feed_all, args=[other()]) for _ in range(2)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert all(isinstance(failure, LakeError) for failure in failures)
    lake.feed()
    assert lake.rows("id") == [(number,) for number in range(6)]
    assert lake.cursor()["files_loaded"] == 6
    assert len(lake.query("from lakehouse.meta.feeder_files")) == 6


# -- bounded -----------------------------------------------------------------------------------


def test_a_feed_takes_a_bounded_batch_oldest_first(lake: SmallLake) -> None:
    for number in (9, 10, 11):
        lake.land_rows(f"part_{number}.parquet", [{"id": number, "name": "x"}])
    lake.land_rows("part_1.parquet", [{"id": 100, "name": "x"}], "year=2025/month=02/day=01")
    lake.land_rows("part_2.parquet", [{"id": 0, "name": "x"}], "year=2024/month=12/day=31")
    outcome = lake.feed(feed_max_files=2)
    assert (outcome.files, outcome.backlog_files) == (2, 3)
    assert lake.rows("id") == [(0,), (9,)]
    cursor = lake.cursor()
    assert (cursor["backlog_files"], cursor["backlog_bytes"]) == (3, outcome.backlog_bytes)
    assert lake.feed(feed_max_files=2).backlog_files == 1
    assert lake.rows("id") == [(0,), (9,), (10,), (11,)]
    assert lake.feed(feed_max_files=2).backlog_files == 0
    assert lake.cursor()["backlog_files"] == 0


def test_bytes_bound_a_feed_but_a_larger_file_is_fed_all_the_same(lake: SmallLake) -> None:
    for number in range(3):
        lake.land_rows(f"part_{number}.parquet", many(number * 500))
    assert [lake.feed(feed_max_bytes=1).files for _ in range(4)] == [1, 1, 1, 0]


def test_a_backlog_that_was_deleted_is_no_backlog(lake: SmallLake) -> None:
    paths = [lake.land_rows(f"part_{number}.parquet", [A]) for number in range(3)]
    lake.feed(feed_max_files=1)
    for path in paths:
        (lake.folder / "landing" / path).unlink()
    lake.feed()
    assert lake.cursor()["backlog_files"] == 0
    assert lake.cursor()["backlog_bytes"] == 0


def test_a_feed_writes_few_files(lake: SmallLake) -> None:
    """Files are read together when they are alike, also when each had to be looked into."""
    columns = {"id": "bigint", "name": "varchar", "o": "struct(a bigint)"}
    for number in range(12):
        lake.land_rows(f"part_{number}.parquet", [{**A, "o": json.dumps({"a": number})}])
    assert lake.feed(columns=columns).files == 12
    assert lake.rows("o.a") == [(number,) for number in range(12)]
    assert len(list((lake.folder / "lake data").rglob("stg_shop__orders/*.parquet"))) <= 2


# -- nothing missed ----------------------------------------------------------------------------

OLD, FORMER, NEW = (f"year=2025/month=0{month}/day=01" for month in (1, 3, 6))


# A stream with too many files to list it whole.
WINDOWED: dict[str, Any] = {"feed_list_free_files": 0, "feed_lookback_days": 14}


def fed_long_ago(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A], NEW)
    lake.feed(**WINDOWED)
    settle(lake, OLD, NEW, FORMER)


def settle(lake: SmallLake, *days: str) -> None:
    """Let the folders look as if nothing had changed in them for a long time."""
    for day in days:
        folder = lake.folder / "landing/shop/orders" / day
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder, (0, 0))


def make_due(lake: SmallLake) -> None:
    lake.query("update lakehouse.meta.feeder_cursors set swept_at = swept_at - interval 25 hours")


def test_a_late_file_within_the_window_is_fed(lake: SmallLake) -> None:
    fed_long_ago(lake)
    lake.land_rows("late.parquet", [B], "year=2025/month=05/day=20")
    settle(lake, "year=2025/month=05/day=20")
    assert lake.feed(**WINDOWED).files == 1


def test_a_late_file_in_a_changed_folder_is_fed(lake: SmallLake) -> None:
    fed_long_ago(lake)
    lake.land_rows("late.parquet", [B], OLD)
    assert lake.feed(**WINDOWED).files == 1


@pytest.mark.parametrize("how", ["due", "on demand", "asked for in the catalog", "few files"])
def test_a_sweep_finds_what_the_window_hides(lake: SmallLake, how: str) -> None:
    fed_long_ago(lake)
    lake.land_rows("late.parquet", [B], OLD)
    settle(lake, OLD)
    assert lake.feed(**WINDOWED).files == 0
    settings: dict[str, Any] = dict(WINDOWED)
    if how == "due":
        make_due(lake)
    elif how == "on demand":
        settings["feed_sweep_hours"] = 0
    elif how == "few files":
        settings["feed_list_free_files"] = 10
    else:
        lake.query("update lakehouse.meta.feeder_cursors set swept_at = null")
    assert lake.feed(**settings).files == 1


def test_what_a_sweep_finds_and_one_run_cannot_feed_is_not_forgotten(lake: SmallLake) -> None:
    fed_long_ago(lake)
    for number in range(3):
        lake.land_rows(f"late_{number}.parquet", [B], OLD)
    settle(lake, OLD)
    make_due(lake)
    runs = [lake.feed(**WINDOWED, feed_max_files=1) for _ in range(4)]
    assert [run.files for run in runs] == [1, 1, 1, 0]
    assert [run.backlog_files for run in runs] == [2, 1, 0, 0]


def test_a_folder_of_a_day_to_come_hides_nothing(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A], "year=2999/month=01/day=01")
    lake.feed(**WINDOWED)
    today = f"{datetime.now(UTC):year=%Y/month=%m/day=%d}"
    lake.land_rows("part_0.parquet", [B], today)
    settle(lake, today)
    assert lake.feed(**WINDOWED).files == 1


def test_a_sweep_is_noted_when_nothing_is_new(lake: SmallLake) -> None:
    fed_long_ago(lake)
    make_due(lake)
    lake.feed(**WINDOWED)
    assert datetime.now(UTC) - lake.cursor()["swept_at"] < timedelta(minutes=5)
    before = lake.snapshot()
    lake.feed(**WINDOWED)
    assert lake.snapshot() == before


def test_a_repaired_file_is_fed_by_the_next_run_however_old(lake: SmallLake) -> None:
    path = lake.land("part_0.parquet", b"PAR1 cut off", OLD)
    fed_long_ago(lake)
    assert lake.ledger()["part_0.parquet"] == ("loaded", 1)  # the newer day's
    (lake.folder / "landing" / path).write_bytes(parquet(pa.Table.from_pylist([B])))
    settle(lake, OLD)
    outcome = lake.feed(**WINDOWED)
    assert (outcome.files, outcome.rows) == (1, 1)
    assert lake.feed(**WINDOWED).files == 0


# -- nothing blocks ----------------------------------------------------------------------------


def test_bad_files_are_left_out_with_their_reasons(lake: SmallLake) -> None:
    whole = parquet(pa.Table.from_pylist(many()))
    lake.land_rows("good.parquet", [A])
    lake.land("cut.parquet", whole[:-100])
    lake.land("empty.parquet", b"")
    lake.land("encrypted.parquet", b"PARE" + whole[4:-4] + b"PARE")
    lake.land_rows("no rows.parquet", pa.schema([("id", pa.int64())]).empty_table())
    lake.land("damaged page.parquet", corrupt(whole))
    lake.land_rows("lossy.parquet", [{"id": 12.5, "name": "x"}])
    lake.land_rows("object.parquet", [{"id": {"x": 1}, "name": "x"}])
    lake.land("page.html.parquet", b"<html>not found</html>")
    outcome = lake.feed()
    assert (outcome.files, outcome.rows, len(outcome.quarantined)) == (1, 1, 8)
    assert lake.rows() == [(1, "a")]
    reasons = lake.reasons()
    for name, part in {
        "cut": "cut off",
        "empty": "0 bytes",
        "encrypted": "encrypted",
        "no rows": "no rows",
        "damaged page": "cannot be read",
        "lossy": "column id has 1 values",
        "object": "column id is an object where the lake has BIGINT",
        "page.html": "not Parquet",
    }.items():
        assert part in reasons[f"{name}.parquet"]
    assert lake.feed().quarantined == []
    assert any("QUARANTINED" in line for line in outcome.lines(lake.stream()))


def test_a_first_feed_of_bad_files_only_goes_on_with_the_next(lake: SmallLake) -> None:
    lake.land("part_0.parquet", b"")
    outcome = lake.feed()
    assert (outcome.files, len(outcome.quarantined)) == (0, 1)
    assert lake.types() == {"id": "BIGINT", "name": "VARCHAR"}
    lake.land_rows("part_0.parquet", [A])  # repaired
    assert lake.feed().files == 1
    assert lake.rows() == [(1, "a")]


def test_what_ducklake_cannot_hold_keeps_only_its_file_out(lake: SmallLake) -> None:
    """Whatever makes a feed fail, the file that does it is found."""
    lake.land_rows("good.parquet", [A])
    lake.land_rows("bad.parquet", [{**B, "odd": 1}])

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


def test_a_lake_that_cannot_be_written_puts_nothing_into_quarantine(lake: SmallLake) -> None:
    lake.feed()
    lake.land_rows("part_0.parquet", [A])
    folder = lake.folder / "lake data"
    if folder.exists():
        folder.rename(lake.folder / "moved")
    folder.write_text("a file where the data should go")
    with pytest.raises(LakeError, match="nothing of it was written"):
        lake.feed()
    folder.unlink()
    assert lake.feed().files == 1


def test_a_folder_is_no_column(lake: SmallLake) -> None:
    """What a path says replaces no value of a CSV, and files of any folders are fed together."""
    folders = (DAY, "", "hour=5", "date=2025-01-15/name=nobody", f"{DAY}/id=9")
    for number, folder in enumerate(folders):
        lake.land(
            f"shop/orders/{folder}/part_{number}.csv".replace("//", "/"),
            f"id,name,year,day,hour\n{number},a,1999,x,7\n".encode(),
        )
    assert lake.feed().files == len(folders)
    assert lake.rows("id, name, year, day, hour") == [
        (number, "a", "1999", "x", "7") for number in range(len(folders))
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", parquet(pa.table({"name": ["a"]}))),
        ("a.parquet", parquet(pa.table({"name": ["a"], "ID": pa.nulls(1)}))),
        ("a.jsonl", b'{"name": "a", "id": null}\n'),
        ("a.csv", b"name\na\n"),
    ],
)
def test_records_without_the_key_are_refused(lake: SmallLake, name: str, content: bytes) -> None:
    """Nothing downstream could tell them apart, so they would be missing there without a word."""
    lake.land(name, content)
    assert lake.feed(primary_key="id").files == 0
    assert lake.reasons()[name].startswith("it has no value in id")


def test_text_that_is_no_table_of_the_stream_is_refused(lake: SmallLake) -> None:
    lake.land("part_0.csv", b"id;name\n1;a\n")
    lake.land("part_1.csv", b"Dear customer\nthank you\n")
    lake.land("part_2.jsonl", b'{"_airbyte_raw_id": "1", "_airbyte_data": {"id": 1}}\n')
    assert lake.feed(primary_key="id").files == 0
    assert "are they separated by commas" in lake.reasons()["part_0.csv"]
    assert "Root level flattening" in lake.reasons()["part_2.jsonl"]
    assert lake.types() == {"id": "BIGINT", "name": "VARCHAR"}


@pytest.mark.parametrize(
    "name", ["_source_file", "_Source_Row", "__uri", "__row", "file_row_number", "rowid"]
)
def test_a_column_named_like_the_lakes_own_is_refused(lake: SmallLake, name: str) -> None:
    lake.land_rows("part_0.parquet", [{**A, name: "x"}])
    lake.land_rows("part_1.parquet", [B])
    assert lake.feed().files == 1
    assert "name that the lake uses itself" in lake.reasons()["part_0.parquet"]


@pytest.mark.parametrize(
    "name", ["filename", "year", "month", "select", "a.b", "it's", 'a "b"', "é"]
)
def test_any_other_column_name_is_fine(lake: SmallLake, name: str) -> None:
    for number in range(2):
        lake.land_rows(f"part_{number}.parquet", [{**A, name: f"x'{number}"}])
    lake.feed()
    quoted = '"' + name.replace('"', '""') + '"'
    assert lake.rows(quoted) == [("x'0",), ("x'1",)]


# -- drift -------------------------------------------------------------------------------------


def test_columns_come_and_go(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    lake.land_rows("part_1.parquet", [{"id": 2, "extra": 1.5}])
    lake.feed()
    assert lake.rows("id, name, extra") == [(1, "a", None), (2, None, 1.5)]


def test_fields_come_and_go_in_objects_and_lists(lake: SmallLake) -> None:
    columns = {"id": "bigint", "lines": "struct(a bigint, inner_ struct(x varchar))[]"}
    versions = [
        [{"a": 1, "inner_": {"x": "one"}}],
        [{"inner_": {"x": "two", "it's": [{"new y": 2.5}]}, "b": "B"}, None],
        [{"b": "C"}],
        [],
        None,
    ]
    for number, lines in enumerate(versions):
        lake.land_rows(f"part_{number}.parquet", [{"id": number, "lines": lines}])
        lake.feed(columns=columns)
    assert lake.reasons() == {}
    assert [lines for (lines,) in lake.rows("lines", "id")] == [
        [{"a": 1, "inner_": {"x": "one", "it's": None}, "b": None}],
        [{"a": None, "inner_": {"x": "two", "it's": [{"new y": 2.5}]}, "b": "B"}, None],
        [{"a": None, "inner_": None, "b": "C"}],
        [],
        None,
    ]


DRIFTING: list[dict[str, Any]] = [
    {"id": 1, "o": {"a": 1, "b": [{"c": "x"}]}, "amount": 1.5, "flag": True},
    {"id": 2, "o": '{"a": "2", "b": [{"c": "y"}, {}]}', "amount": "2.5", "flag": "false"},
    {"id": 3.0, "o": "{}", "amount": 3, "flag": None},
    {"id": "4", "o": None, "amount": None},
    {"id": 5, "o": {"a": None, "b": None}, "Amount": "5"},
    {"id": 6, "o": {"b": [{"c": None}]}},
    {"id": 7, "o": '{"a": null, "b": []}', "amount": "0.1"},
    {"id": 8, "o": {"b": '[{"c": "z"}]'}},
]
DECLARED = {
    "id": "bigint",
    "o": "struct(a bigint, b struct(c varchar)[])",
    "amount": "double",
    "flag": "boolean",
}
AS_DECLARED = [
    (1, {"a": 1, "b": [{"c": "x"}]}, 1.5, True),
    (2, {"a": 2, "b": [{"c": "y"}, {"c": None}]}, 2.5, False),
    (3, {"a": None, "b": None}, 3.0, None),
    (4, None, None, None),
    (5, {"a": None, "b": None}, 5.0, None),
    (6, {"a": None, "b": [{"c": None}]}, None, None),
    (7, {"a": None, "b": []}, 0.1, None),
    (8, {"a": None, "b": [{"c": "z"}]}, None, None),
]


@pytest.mark.parametrize("order", [1, -1, 3, 5])
@pytest.mark.parametrize("at_once", [True, False])
def test_declared_columns_never_depend_on_the_order_of_the_files(
    lake: SmallLake, order: int, at_once: bool
) -> None:
    for number in range(len(DRIFTING)):
        row = DRIFTING[number * order % len(DRIFTING)]
        lake.land_rows(f"part_{number}.parquet", [row])
        if not at_once:
            lake.feed(columns=DECLARED)
    lake.feed(columns=DECLARED)
    assert lake.reasons() == {}
    assert lake.types() == {
        "id": "BIGINT",
        "o": "STRUCT(a BIGINT, b STRUCT(c VARCHAR)[])",
        "amount": "DOUBLE",
        "flag": "BOOLEAN",
    }
    assert lake.rows("id, o, amount, flag", "id") == AS_DECLARED


def test_the_same_records_as_json_lines(lake: SmallLake) -> None:
    lake.land("part_0.jsonl", json_lines(*DRIFTING))
    lake.land("part_1.jsonl.gz", gzip.compress(json_lines(*DRIFTING[2:4]), mtime=0))
    lake.feed(columns=DECLARED)
    # Objects and texts of objects cannot be told apart inside one file.
    assert "part_0.jsonl" in lake.reasons()
    assert lake.rows("id, o, amount, flag", "id") == AS_DECLARED[2:4]


def test_a_column_declared_later_is_added(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    later = {"id": "bigint", "name": "varchar", "o": "struct(a bigint)"}
    lake.land_rows("part_1.parquet", [B])
    lake.feed(columns=later)
    assert lake.types()["o"] == "STRUCT(a BIGINT)"
    lake.land_rows("part_2.parquet", [{**C, "o": {"a": 1}}])
    lake.feed(columns=later)
    assert lake.rows("id, o") == [(1, None), (2, None), (3, {"a": 1})]


def test_a_stream_without_declared_columns_takes_what_lands(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [{"a": 1, "nothing": None}])
    lake.land("part_1.csv", b"b,c\nx,\n")
    lake.land("part_2.jsonl", json_lines({"d": 2**40, "e": {"f": "x"}, "g": None}, {"h": 1.5}))
    lake.feed(columns={})
    assert lake.reasons() == {}
    assert lake.types() == {
        "a": "BIGINT",
        "b": "VARCHAR",
        "c": "VARCHAR",
        "d": "BIGINT",
        "e": "STRUCT(f VARCHAR)",
        "h": "DOUBLE",
    }
    assert lake.rows("a, b, c, d, e, h", "a, b, d, h") == [
        (1, None, None, None, None, None),
        (None, "x", None, None, None, None),
        (None, None, None, 2**40, {"f": "x"}, None),
        (None, None, None, None, None, 1.5),
    ]


def test_a_column_of_nulls_takes_no_type(lake: SmallLake) -> None:
    columns = {"id": "bigint", "o": "struct(a bigint)[]"}
    table = pa.table({"id": [1], "o": pa.nulls(1), "new": pa.nulls(1), "l": pa.array([[None]])})
    lake.land_rows("part_0.parquet", table)
    lake.land_rows("part_1.parquet", [{"id": 2, "o": [{"a": 5}], "new": "text"}])
    lake.feed(columns=columns)
    assert lake.reasons() == {}
    assert lake.types()["new"] == "VARCHAR"
    assert lake.rows("id, o, new") == [(1, None, None), (2, [{"a": 5}], "text")]


def test_integers_widen_and_old_rows_stay(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", pa.table({"id": [1], "n": pa.array([5], pa.int32())}))
    lake.feed()
    lake.land_rows("part_1.parquet", pa.table({"id": [2], "n": pa.array([2**40], pa.int64())}))
    lake.feed()
    assert lake.types()["n"] == "BIGINT"
    assert lake.rows("n") == [(5,), (2**40,)]


@pytest.mark.parametrize("content", [
    pytest.param(lambda: parquet(pa.table({"id": [3e18 * 10]})), id="too large a double"),
    pytest.param(lambda: b'{"id": 18446744073709551615}\n', id="too large an integer"),
    pytest.param(lambda: b'{"id": 9007199254740993}\n{"id": 1.5}\n', id="integers and doubles"),
    pytest.param(lambda: b"id,x\n12.7,y\n", id="a fraction as text"),
])  # fmt: skip
def test_lossy_values_are_never_silent(lake: SmallLake, content: Callable[[], bytes]) -> None:
    lake.land("part_0" + (".csv" if content().startswith(b"id") else ""), content())
    assert lake.feed().files == 0
    assert lake.rows("id") == []
    assert any("id" in reason for reason in lake.reasons().values())


def test_lossy_values_of_a_new_column_are_never_silent(lake: SmallLake) -> None:
    lake.land("part_0.jsonl", b'{"id": 1, "new": 9007199254740993}\n{"id": 2, "new": 0.5}\n')
    assert lake.feed().files == 0
    assert "new" not in lake.types()


def test_long_lines_of_json_are_fed_beside_short_ones(lake: SmallLake) -> None:
    """Also when they bring nothing else that is new, so that both could go in together."""
    lake.land("part_0.jsonl", b'{"id": 1, "new": "short"}\n')
    lake.land("part_1.jsonl", b'{"id": 2, "new": "%s"}\n' % (b"x" * (40 << 20)))
    lake.land("part_2.jsonl", b'{"id": "3", "new": "short"}\n')
    assert lake.feed().files == 3
    assert lake.rows("id, length(new)") == [(1, 5), (2, 40 << 20), (3, 5)]


# -- register ----------------------------------------------------------------------------------

REGISTER = {"feed_mode": "register"}


def data_files(lake: SmallLake) -> list[str]:
    return [
        file
        for (file,) in lake.query(
            "select data_file from ducklake_list_files('lakehouse', 'stg_shop__orders',"
            " schema => 'staging')"
        )
    ]


def test_registered_files_are_not_copied(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A, B])
    lake.land_rows("it's [odd] 100%.parquet", [{"id": 3, "name": "c"}])
    outcome = lake.feed(**REGISTER)
    assert outcome.files == 2
    assert lake.rows() == [(1, "a"), (2, "b"), (3, "c")]
    assert all("/landing/" in file for file in data_files(lake))
    assert lake.feed(**REGISTER).files == 0


def test_what_needs_conversion_is_copied_in_register_mode(lake: SmallLake) -> None:
    columns = {"id": "bigint", "o": "struct(a bigint, b varchar)", "l": "struct(x bigint)[]"}
    lake.land_rows("part_0.parquet", [{"id": 1, "o": {"b": "x", "a": 1}, "l": [{"x": 1}]}])
    lake.land_rows("part_1.parquet", [{"id": 2, "o": {"a": 2}, "l": [{"x": 1}]}])
    lake.land_rows("part_2.parquet", [{"id": "3", "o": '{"b": "y"}', "l": None}])
    lake.land_rows("part_3.parquet", [{"id": 4, "o": {"a": 4, "new": True}, "l": [{"x": 2}]}])
    lake.land("part_4.csv", b"id\n5\n")
    lake.land("part_5.parquet", b"PAR1")
    outcome = lake.feed(**REGISTER, columns=columns)
    assert (outcome.files, len(outcome.quarantined)) == (5, 1)
    assert lake.rows("id, o, l", "id") == [
        (1, {"a": 1, "b": "x", "new": None}, [{"x": 1}]),
        (2, {"a": 2, "b": None, "new": None}, [{"x": 1}]),
        (3, {"a": None, "b": "y", "new": None}, None),
        (4, {"a": 4, "b": None, "new": True}, [{"x": 2}]),
        (5, None, None),
    ]
    modes = dict(lake.query("select path, feed_mode from lakehouse.meta.feeder_files"))
    assert modes[f"shop/orders/{DAY}/part_0.parquet"] == "register"
    assert modes[f"shop/orders/{DAY}/part_2.parquet"] == "copy"
    assert modes[f"shop/orders/{DAY}/part_4.csv"] == "copy"
    assert sum("/landing/" in file for file in data_files(lake)) == 3


def test_a_new_column_of_nulls_is_copied_in_register_mode(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed(**REGISTER)
    lake.land_rows("part_1.parquet", pa.table({"id": [2], "name": ["b"], "new": pa.nulls(1)}))
    assert lake.feed(**REGISTER).files == 1
    assert lake.types() == {"id": "BIGINT", "name": "VARCHAR"}
    assert lake.rows() == [(1, "a"), (2, "b")]


def test_no_maintenance_deletes_registered_files(lake: SmallLake) -> None:
    # The table was made in copy mode; registering alone has to protect the files.
    lake.feed()
    paths = []
    for number in range(3):
        paths.append(lake.land_rows(f"part_{number}.parquet", many(number * 500)))
        lake.feed(**REGISTER)
    lake.query("call ducklake_merge_adjacent_files('lakehouse')")
    lake.query("call ducklake_expire_snapshots('lakehouse', older_than => now())")
    lake.query("call ducklake_cleanup_old_files('lakehouse', cleanup_all => true)")
    assert all((lake.folder / "landing" / path).exists() for path in paths)
    assert lake.rows("count(*)") == [(1500,)]


def test_a_damaged_page_in_register_mode_blocks_nothing(lake: SmallLake) -> None:
    lake.land("part_0.parquet", corrupt(parquet(pa.Table.from_pylist(many()))))
    lake.land_rows("part_1.parquet", [A])
    assert lake.feed(**REGISTER).files == 1
    assert "cannot be read" in lake.reasons()["part_0.parquet"]
    assert lake.rows() == [(1, "a")]


# -- what changed of the schema ----------------------------------------------------------------


def changes(lake: SmallLake) -> set[tuple[Any, ...]]:
    """What meta.schema_changes says, with the names of the files."""
    return {
        (*row[:4], row[4].rsplit("/", 1)[-1])
        for row in lake.query(
            "select column_name, change, type_before, type_after, path"
            " from lakehouse.meta.schema_changes"
            " where source = 'shop' and stream = 'orders' and seen_at <= now()"
        )
    }


def test_the_first_delivery_changes_nothing(lake: SmallLake) -> None:
    """Whatever it brings; and an empty one before it was none."""
    lake.land("part_0.parquet", b"")
    lake.feed()
    lake.land_rows("part_1.parquet", [{"id": 1, "note": "more than declared"}])
    lake.feed()
    lake.land_rows("part_2.parquet", [{"id": 2, "note": "the same"}, {"id": 3, "note": None}])
    lake.feed()
    assert changes(lake) == set()


def test_changes_name_the_part_and_its_first_file(lake: SmallLake) -> None:
    declared = {"id": "integer", "who": "struct(name varchar)", "lines": "struct(sku varchar)[]"}
    lake.land_rows("part_0.parquet", [{"who": {"name": "A"}, "lines": [{"sku": "x"}]}])
    lake.feed(columns=declared)
    lake.land_rows("part_1.parquet", pa.table({"id": pa.array([1], pa.int32())}))
    grown = {"who": {"name": "B", "zip": 8}, "lines": [{"sku": "y", "tax": [{"rate": 0.2}]}]}
    lake.land_rows("part_10.parquet", [{"id": 2**40, **grown, "NOTE": "n"}])
    lake.land_rows("part_9.parquet", [{"note": "the first, for 9 comes before 10"}])
    lake.feed(columns=declared)
    assert changes(lake) == {
        ("id", "widened", "INTEGER", "BIGINT", "part_10.parquet"),
        ("who.zip", "added", None, "BIGINT", "part_10.parquet"),
        ("lines[].tax", "added", None, 'STRUCT("rate" DOUBLE)[]', "part_10.parquet"),
        ("note", "added", None, "VARCHAR", "part_9.parquet"),
    }


def test_a_refused_type_is_a_change_and_told_once(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    lake.land_rows("part_1.parquet", [{"id": "17b"}, {"id": "18"}])
    lake.land_rows("part_2.parquet", [{"id": {"value": 17}}])
    assert len(lake.feed().quarantined) == 2
    lake.land_rows("part_3.parquet", [{"id": "19b"}])
    assert len(lake.feed().quarantined) == 1
    assert changes(lake) == {
        ("id", "refused", "BIGINT", "VARCHAR", "part_1.parquet"),
        ("id", "refused", "BIGINT", "an object", "part_2.parquet"),
    }


def test_a_column_that_was_declared_is_no_change(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed()
    lake.land_rows("part_1.parquet", [B])
    lake.feed(columns={"id": "bigint", "name": "varchar", "note": "varchar"})
    assert "note" in lake.types()
    assert changes(lake) == set()


@pytest.mark.parametrize("mode", ["copy", "register"])
def test_a_change_is_recorded_with_its_feed_or_not_at_all(
    lake: SmallLake, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land_rows("part_0.parquet", [A])
    lake.feed(feed_mode=mode)
    lake.land_rows("part_1.parquet", [{**B, "note": "n"}])

    def stumble(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(feeding, "check_unchanged", stumble)
        with pytest.raises(RuntimeError):
            lake.feed(feed_mode=mode)
    assert changes(lake) == set()
    lake.feed(feed_mode=mode)
    assert changes(lake) == {("note", "added", None, "VARCHAR", "part_1.parquet")}


# -- declarations and outcomes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"feed_max_file": 1}, "'feed_max_file' under meta.feeder is not a setting"),
        ({"feed_mode": "link"}, "feed_mode is 'link'"),
        ({"sync_mode": "merge"}, "sync_mode is 'merge'"),
        *(
            ({"feed_max_files": value}, f"feed_max_files is '{value}'; it has to be a whole number")
            for value in (0, 1.5, True, None)
        ),
        (
            {"feed_max_bytes": "many"},
            "feed_max_bytes is 'many'; it has to be a whole number from 1",
        ),
        (
            {"feed_lookback_days": 99_999_999},
            "feed_lookback_days is '99999999'; it has to be a whole",
        ),
        *(
            ({"feed_sweep_hours": value}, f"feed_sweep_hours is '{value}'; it has to be a number")
            for value in (-1, float("nan"), float("inf"))
        ),
        ({"airbyte": "no"}, "airbyte is 'no'; it has to be true or false"),
        ({"source_cursor": 5}, "source_cursor is '5'; it has to be text"),
        ({"primary_key": ["id"]}, "primary_key is .* it has to be text"),
        ({"columns": {"id": "bigintt"}}, "data_type 'bigintt' of column id is no DuckDB type"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(
    lake: SmallLake, settings: dict[str, Any], part: str
) -> None:
    with pytest.raises(LakeError, match=part):
        lake.stream(**settings)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (
            {"source_cursor": "changed_at"},
            "source_cursor 'changed_at' .* id, name .*\"changed_at\"",
        ),
        ({"source_cursor": "coalesce(id"}, "source_cursor 'coalesce.*Parser Error"),
        ({"primary_key": "key"}, "primary_key 'key' cannot be computed"),
        ({"source_cursor": "_airbyte_extracted_at"}, "source_cursor"),
        ({"airbyte": True, "source_cursor": "_airbyte_extracted_at"}, None),
        ({"source_cursor": "coalesce(name, _source_file) -- newest", "primary_key": "ID"}, None),
    ],
)
def test_a_setting_that_names_no_declared_column(
    lake: SmallLake, settings: dict[str, Any], part: str | None
) -> None:
    stream = lake.stream(**settings)
    if part is None:
        stream.check_expressions(lake.connection)
        return
    with pytest.raises(LakeError, match=f"Stream shop.orders: {part}"):
        stream.check_expressions(lake.connection)


def test_a_wrong_declaration_is_told_to_macros(other: Callable[[], SmallLake]) -> None:
    lake = other()
    register(lake.connection, LakeConfig(f"{lake.folder}/landing", "sqlite:none", "data/"))
    declaration = {
        **{"source": "shop", "stream": "orders", "table": "t", "primary_key": "key"},
        "columns": [{"name": "id", "type": "bigint"}],
    }
    found = lake.connection.execute(
        "select declaration_problem(said) || '' from (values (?)) as declarations (said)",
        [json.dumps(declaration)],
    ).fetchone()
    assert found and "primary_key 'key' cannot be computed" in found[0]


def test_columns_that_are_no_list() -> None:
    with pytest.raises(LakeError, match=r"shop\.orders: columns is 'id'; it has to be a list"):
        Stream.from_declaration('{"source": "shop", "stream": "orders", "columns": "id"}')


def test_a_missing_declaration_says_what_to_do() -> None:
    with pytest.raises(LakeError, match="on-run-start"):
        Stream.from_declaration("{}")


@pytest.mark.parametrize(
    ("name", "content", "extracted"),
    [
        ("a.jsonl", b'{"id": 1, "_airbyte_extracted_at": 1622135805123}', 123),
        ("a.jsonl", b'{"id": 1, "_airbyte_extracted_at": "1622135805123"}', 123),
        ("a.jsonl", b'{"id": 1, "_airbyte_extracted_at": "2021-05-27T17:16:45.5Z"}', 500),
        ("a.csv", b"id,_airbyte_extracted_at\n1,1622135805123\n", 123),
        ("a.csv", b"id,_airbyte_extracted_at\n1,2021-05-27 17:16:45+00\n", 0),
        ("a.csv", b"id,_airbyte_extracted_at\n1,\n", None),
    ],
)
def test_when_a_record_was_read(
    lake: SmallLake, name: str, content: bytes, extracted: int | None
) -> None:
    """Airbyte writes milliseconds since 1970 into CSV and JSON lines, as a number or as text."""
    lake.land(name, content)
    lake.feed(airbyte=True)
    assert not lake.reasons()
    second = datetime(2021, 5, 27, 17, 16, 45, tzinfo=UTC)
    expected = None if extracted is None else second + timedelta(milliseconds=extracted)
    assert lake.rows("id, _airbyte_extracted_at") == [(1, expected)]


@pytest.mark.parametrize("time", ["162213580512345678901", "1.5", "soon"])
def test_when_a_record_was_read_is_no_time(lake: SmallLake, time: str) -> None:
    lake.land("a.csv", f"id,_airbyte_extracted_at\n1,{time}\n".encode())
    assert lake.feed(airbyte=True).files == 0
    assert "_airbyte_extracted_at has 1 values" in lake.reasons()["a.csv"]


def test_airbyte_columns_are_declared_by_themselves(lake: SmallLake) -> None:
    lake.feed(airbyte=True)
    assert list(lake.types()) == [
        "_airbyte_raw_id",
        "_airbyte_extracted_at",
        "_airbyte_generation_id",
        "_airbyte_meta",
        "id",
        "name",
    ]


def test_the_ledger_knows_the_generation(lake: SmallLake) -> None:
    lake.land_rows("part_0.parquet", [{**A, "_airbyte_generation_id": 7}])
    lake.feed(airbyte=True)
    assert lake.query("select generation_id from lakehouse.meta.feeder_files") == [(7,)]


def test_a_stream_without_a_cursor_says_what_to_do(lake: SmallLake) -> None:
    lake.query("delete from lakehouse.meta.feeder_cursors")
    with pytest.raises(LakeError, match="no cursor row"):
        lake.feed()


def test_csv_of_the_layout(lake: SmallLake) -> None:
    lake.land(
        "part_0.csv", b"\xef\xbb\xbf" + csv_text([["id", "name"], [1, "a,b"], [2, 'q "x"\n']])
    )
    lake.land("part_1.csv.gz", gzip.compress(csv_text([["name", "id"], ["", 3]]), mtime=0))
    lake.feed()
    assert lake.rows() == [(1, "a,b"), (2, 'q "x"\n'), (3, None)]


# -- hostile files -----------------------------------------------------------------------------


def test_a_file_that_keeps_growing_does_not_hold_up_the_others(lake: SmallLake) -> None:
    """It is left for the next run, which feeds it when its writer is done."""
    growing = lake.land("part_0.csv", csv_text([["id", "name"], ["1", "a"]]))
    lake.land_rows("part_1.parquet", [B])
    done = threading.Event()

    def write() -> None:
        with (lake.folder / "landing" / growing).open("a") as file:
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


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_row_without_a_key_is_not_lost(lake: SmallLake, form: str) -> None:
    rows: list[dict[str, Any]] = [A, {"id": None, "name": "b"}]
    content = {
        "parquet": lambda: parquet(pa.Table.from_pylist(rows)),
        "csv": lambda: csv_text([["id", "name"], ["1", "a"], ["", "b"]]),
        "jsonl": lambda: json_lines(*rows),
    }[form]()
    path = lake.land(f"bad.{form}", content)
    lake.land_rows("good.parquet", [C])
    outcome = lake.feed(primary_key="id")
    assert outcome.quarantined == [(path, "column id has no value in row 1")]
    assert lake.rows() == [(3, "c")]


@pytest.mark.parametrize(
    ("row", "amount"),
    [
        ({"price": float("nan")}, "price"),
        ({"price": float("-inf")}, "price"),
        ({"price": 1e308}, "price"),
        ({"tax": "NaN"}, "tax"),
        ({"tax": "9" * 60}, "tax"),
        ({"tax": "1e400"}, "tax"),
        ({"lines": [{"price": 1.0}, {"price": float("nan")}]}, "lines[].price"),
    ],
)
def test_an_amount_that_is_none_does_not_become_null(
    lake: SmallLake, row: dict[str, Any], amount: str
) -> None:
    good = {"id": 1, "price": 1.5, "tax": "0.30", "lines": [{"price": None}]}
    bad = lake.land_rows("bad.parquet", [good, {**good, **row}])
    lake.land_rows("good.parquet", [{**good, "tax": ""}, {**good, "lines": []}])
    outcome = lake.feed(
        columns={
            "id": "bigint",
            "price": "double",
            "tax": "varchar",
            "lines": "struct(price double)[]",
        },
        amounts=["price", "tax", "lines[].price"],
    )
    assert outcome.quarantined == [(bad, f"{amount} is no finite number below 1e15 in row 1")]
    assert outcome.rows == 2


@pytest.mark.parametrize("lines", [[{"id": 1}], '[{"id": 1}]', None, []])
def test_a_file_may_lack_an_amount(lake: SmallLake, lines: Any) -> None:
    lake.land_rows("part_0.parquet", [{"id": 1, "lines": lines}])
    columns = {"id": "bigint", "lines": "struct(id bigint, price double)[]"}
    assert not lake.feed(columns=columns, amounts=["lines[].price"]).quarantined


def test_amounts_have_to_be_declared(lake: SmallLake) -> None:
    with pytest.raises(LakeError, match=r"shop\.orders: 'lines\[\]\.price' of amounts"):
        lake.stream(amounts=["lines[].price"])
    with pytest.raises(LakeError, match="amounts is 'price'; it has to be a list"):
        lake.stream(amounts="price")


def test_text_that_hides_deep_json_is_refused(lake: SmallLake) -> None:
    deep = lake.land_rows("deep.parquet", [{"id": 1, "o": "[" * 20_000 + "]" * 20_000}])
    lake.land_rows("good.parquet", [{"id": 2, "o": '{"a": 1}'}])
    outcome = lake.feed(columns={"id": "bigint", "o": "struct(a bigint)"})
    ((path, reason),) = outcome.quarantined
    assert path == deep and "nested more deeply than the 64 levels" in reason
    assert lake.rows("id, o.a") == [(2, 1)]


def test_memory_that_does_not_suffice_for_all_files_takes_fewer(lake: SmallLake) -> None:
    """And a single file for which it does not is quarantined, not tried for ever."""
    name = "x" * 2_000_000
    for number in range(8):
        rows = [{"id": number * 10 + row, "name": f"{row}{name}"} for row in range(10)]
        lake.land_rows(f"part_{number}.parquet", rows, compression="none", use_dictionary=False)
    huge = pa.table({"id": [1], "name": ["y" * 150_000_000]})
    path = lake.land("part_9.parquet", parquet(huge, compression="none", use_dictionary=False))
    lake.query("set memory_limit = '140MB'; set max_temp_directory_size = '0KB'")
    outcomes = [lake.feed()]
    while outcomes[-1].backlog_files:
        outcomes.append(lake.feed())
    lake.query("set memory_limit = '2GB'")
    quarantined = [found for outcome in outcomes for found in outcome.quarantined]
    assert [found for found, _ in quarantined] == [path]
    assert quarantined[0][1].startswith("it takes more memory to read than LAKE_MEMORY_LIMIT")
    assert lake.query("select count(*) from lakehouse.staging.stg_shop__orders") == [(80,)]


def test_a_footer_with_the_wrong_number_of_rows_is_a_bad_file(lake: SmallLake) -> None:
    """It once counted as a lost race, which no further run could win."""
    content = parquet(pa.table({"id": [*range(100)]}), compression="none", use_dictionary=False)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    # A hundred and a hundred and one, as Thrift writes them.
    footer = content[start:].replace(b"\x16\xc8\x01", b"\x16\xca\x01", 1)
    path = lake.land("bad.parquet", content[:start] + footer)
    lake.land_rows("good.parquet", [A])
    outcome = lake.feed()
    reason = "it says that it has 101 rows, but 100 can be read"
    assert outcome.quarantined == [(path, reason)]
    assert lake.rows() == [(1, "a")]


def test_a_reason_tells_no_value(lake: SmallLake) -> None:
    """It is shown on pages and in alerts, and the value may be personal."""
    lake.land("bad.jsonl", json_lines({"id": 1, "born": "O'Neill, ann@example.com"}))
    lake.feed(columns={"id": "bigint", "born": "date[]"})
    assert "ann@example" not in lake.reasons()["bad.jsonl"]


def test_a_file_that_was_removed_leaves_the_quarantine(lake: SmallLake) -> None:
    """Nothing warns of it any more; if it returns as it was, it is looked at again."""
    lake.land_rows("good.parquet", [{"id": 1, "name": "a"}])
    path = lake.land("bad.parquet", b"PAR1 and no more")
    assert len(lake.feed().quarantined) == 1
    in_quarantine = "select path from lakehouse.meta.quarantine"
    assert lake.query(in_quarantine) == [(path,)]
    for free_files in (0, 100):  # with a listing of recent days, and with one of everything
        removed = lake.folder / "landing" / path
        content, written = removed.read_bytes(), removed.stat().st_mtime_ns
        removed.unlink()
        assert lake.feed(feed_list_free_files=free_files).files == 0
        assert lake.query(in_quarantine) == []
        assert lake.ledger()["bad.parquet"] == ("undone", None)
        lake.land("bad.parquet", content)
        os.utime(removed, ns=(written, written))
        assert len(lake.feed(feed_list_free_files=free_files).quarantined) == 1
        assert lake.query(in_quarantine) == [(path,)]
