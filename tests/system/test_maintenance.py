"""`lake maintain`: fewer files, less history, and the same lake."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect, extension_file
from tests.system.conftest import SEED
from tests.system.lake import WITHOUT_TESTS, Lake
from tests.system.small_project import BEGUN, DAYS, Shop
from tests.system.upkeep import AT_ONCE, files, writing

KILLS = 6


def snapshots(lake: Lake) -> int:
    """How many snapshots there are."""
    return int(lake.value("select count(*) from ducklake_snapshots('lakehouse')"))


def state(lake: Lake) -> tuple[dict[str, int], int, int]:
    """What a command that does nothing leaves as it was."""
    return files(lake.data), lake.snapshot(), snapshots(lake)


# -- the lake stays the same -----------------------------------------------------------------------


@pytest.mark.slow
def test_between_deliveries(begun: Shop) -> None:
    """However often a lake is maintained, its tables are those of one that never was; changes are
    still read as changes, and a model that has nothing to read is not rebuilt for it."""
    lake = begun.lake
    for day in range(BEGUN + 1, BEGUN + 3):
        before = begun.tables()
        done = lake.command("maintain")
        assert done.code == 0, done
        assert begun.tables() == before
        idle = lake.snapshot()
        assert lake.build_quickly().ok
        assert lake.snapshot() == idle, "something was built again"
        begun.deliver_days(day, day, SEED)
        assert lake.build_quickly().ok
        assert "int_orders: keys, " in begun.logged()
        begun.assert_whole()
    assert lake.value("select count(*) from meta.invocations where command = 'maintain'") == 2
    stored = len(files(lake.data))
    done = lake.command("maintain", variables=AT_ONCE)
    assert done.code == 0, done
    assert len(files(lake.data)) < stored
    assert snapshots(lake) < 5
    begun.assert_whole()


def test_what_was_not_read_may_expire(begun: Shop) -> None:
    """Where the changes since a model last read have expired, it is computed whole."""
    lake = begun.lake
    read_up_to = lake.snapshot()
    begun.deliver_days(BEGUN + 1, DAYS, SEED)
    assert lake.build_quickly("--select", "lotus_lake.landing").ok
    done = lake.command("maintain", variables=AT_ONCE)
    assert done.code == 0, done
    assert lake.value("select min(snapshot_id) from ducklake_snapshots('lakehouse')") > read_up_to
    assert lake.build_quickly().ok
    begun.assert_whole()
    assert re.search(r"int_orders: whole, what changed in \w+ is not known", begun.logged())


def test_the_default_keeps_a_month(begun: Shop) -> None:
    """A dry run says what would be done, and does nothing. With the project's settings nothing
    young expires, and no file is deleted."""
    lake = begun.lake
    before = state(lake)
    dry = lake.command("maintain", "--dry-run", variables=AT_ONCE)
    assert dry.code == 0, dry
    assert "Dry run, nothing is changed" in dry.output
    assert re.search(rf"expire +{before[1]} snapshots", dry.output), dry
    assert state(lake) == before
    done = lake.command("maintain")
    assert done.code == 0, done
    assert snapshots(lake) > before[2]
    assert set(before[0]) <= set(files(lake.data))
    assert lake.query(f"select count(*) from fct_customers at (version => {before[1]})")


@pytest.mark.slow
def test_bounded(begun: Shop) -> None:
    """A run merges no more than it may, says what waits, and the next ones do the rest."""
    orders = "staging.stg_jaffle_shop__orders"
    for _ in range(12):
        begun.lake.change(f"insert into {orders} select * from {orders} limit 1")
    landed = f"from {orders} order by all"
    before = begun.lake.query(landed)
    for number in range(20):
        done = begun.lake.command("maintain", variables={"maintain_max_files": 4})
        assert done.code == 0, done
        if "next time" not in done.output:
            assert number, "everything fitted into one run"
            break
    else:
        raise AssertionError(f"it never came to an end: {done}")
    assert begun.lake.query(landed) == before


def test_history_is_pruned(shop: Shop) -> None:
    """Recorded runs older than history_days go, with their nodes; younger ones stay."""
    lake = shop.lake
    with writing(lake) as connection:
        for table in ("invocations", "node_results"):
            connection.execute(
                f"insert into meta.{table} select * replace ('old' as invocation_id,"
                f" now() - interval 500 day as finished_at) from meta.{table}"
            )
    young = lake.value("select count(*) from meta.node_results") // 2
    done = lake.command("maintain")
    assert "1 recorded run " in done.output, done
    assert lake.value("select count(*) from meta.node_results") == young > 5
    assert not lake.query("from meta.invocations where invocation_id = 'old'")


# -- what must never be deleted --------------------------------------------------------------------


def test_a_file_of_somebody_else_stops_it(shop: Shop) -> None:
    """A landed file on DuckLake's list of files to delete stops maintenance before it begins; told
    to keep such files, it takes them off the list, and they stay where they lie."""
    lake = shop.lake
    landed = lake.landing / lake.loaded()[0]
    lake.edit_catalog(
        "insert into ducklake_files_scheduled_for_deletion"
        f" values (999999, '{landed}', 0, '2020-01-01 00:00:00+00')"
    )
    before = state(lake)
    for words in ([], ["--orphans"]):
        stopped = lake.command("maintain", *words, variables=AT_ONCE)
        assert stopped.code == 64
        assert str(landed) in stopped.output
        assert "--keep-landed" in stopped.output
        assert "Traceback" not in stopped.output
    assert state(lake) == before
    for words in (["--keep-landed"], []):
        done = lake.command("maintain", *words, variables=AT_ONCE)
        assert done.code == 0, done
        assert landed.exists()


@pytest.mark.nightly
def test_register_mode(new_shop: Callable[..., Shop]) -> None:
    """Where staging reads landed files, maintenance leaves every one of them as it is."""
    shop = new_shop()
    lake, sources = shop.lake, "models/landing/sources.yml"
    text = (shop.project / sources).read_text()
    shop.write(sources, text.replace("feeder: {", "feeder: {feed_mode: register, "))
    for day in range(1, 9):
        folder = lake.landing / f"jaffle_shop/orders/year=2024/month=01/day={day:02}"
        folder.mkdir(parents=True)
        duckdb.sql(
            f"copy (select range as id, range % 9 as user_id, date '2024-01-01' as order_date,"
            f" 'placed' as status from range({day}, {day + 20})) to '{folder}/part_0.parquet'"
        )
        if day in (4, 8):
            assert lake.build_quickly().ok
    landed, before = files(lake.landing), shop.tables()
    assert lake.query("select distinct feed_mode, status from meta.feeder_files") == [
        ("register", "loaded")
    ]
    assert len(before["int_orders"]) == 27
    for _ in range(2):
        done = lake.command("maintain", variables=AT_ONCE)
        assert done.code == 0, done
    done = lake.command("maintain", "--orphans", "--older-than", "0")
    assert done.code == 0, done
    assert files(lake.landing) == landed
    assert lake.command("reconcile").code == 0
    assert shop.tables() == before


def test_branches_hold_it(begun: Shop) -> None:
    """While a branch lives, nothing expires and nothing is deleted; an old one holds no more."""
    lake = begun.lake
    was, stored = snapshots(lake), set(files(lake.data))
    assert lake.command("branch", "create", "trial").code == 0
    held = lake.command("maintain", variables=AT_ONCE)
    assert held.code == 0, held
    assert held.output.count("held: branch trial") == 2
    assert snapshots(lake) > was
    assert stored <= set(files(lake.data))
    refused = lake.command("maintain", "--orphans", "--older-than", "0")
    assert refused.code != 0
    assert "Branch trial" in refused.output
    record = lake.home / "branches" / "trial.json"
    made = datetime.fromisoformat(json.loads(record.read_text())["created_at"])
    older = made - timedelta(days=15)
    record.write_text(record.read_text().replace(made.isoformat(), older.isoformat()))
    assert lake.command("maintain", variables=AT_ONCE).code == 0
    assert snapshots(lake) < 5


# -- what happens meanwhile ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.slow),
        pytest.param("postgres", marks=pytest.mark.nightly),
    ],
)
def test_killed_at_any_moment(kind: str, new_shop: Callable[..., Shop]) -> None:
    """Killed at random moments, it leaves the lake as it was, and the next one goes on."""
    chance = random.Random(f"{SEED} maintain {kind}")
    shop = new_shop(kind)
    lake = shop.lake
    for day in (1, 2, 3):
        shop.deliver_days(day, day, SEED)
        assert lake.build_quickly().ok
    whole = lake.start_command("maintain", "--dry-run").wait()
    killed = 0
    for _ in range(KILLS):
        running = lake.start_command("maintain", variables=AT_ONCE)
        ended = running.kill(after=chance.uniform(0.5, 1.3) * whole.seconds)
        killed += ended.code < 0
        shop.assert_right()
        with writing(lake) as connection:  # something to do for the next one
            connection.execute("update meta.feeder_cursors set updated_at = now()")
    assert killed, "none was killed while it ran"
    done = lake.command("maintain", variables=AT_ONCE)
    assert done.code == 0, done
    left = lake.command("maintain", "--orphans", "--older-than", "0")
    assert left.code == 0, left
    # Rows that a killed one has put in again may be read once more, and come out as they were.
    assert lake.build_quickly().ok
    idle = lake.snapshot()
    assert lake.build_quickly().ok
    assert lake.snapshot() == idle
    shop.assert_whole()
    assert lake.command("reconcile").code == 0


@pytest.mark.slow
def test_beside_a_reader(begun: Shop) -> None:
    """A reader, the project's own, sees the same rows before, while and after files are rewritten.

    It reads a copy of the catalog: DuckLake reads a catalog in SQLite itself at several moments.
    """
    lake = begun.lake
    everything = "select count(*), sum(orders) from lakehouse.main.fct_customers"
    landed = "from lakehouse.staging.stg_jaffle_shop__orders order by all"
    before, orders = lake.query(everything), lake.query(landed)
    running = lake.start_command("maintain")
    while running.process.is_alive():
        with connect(LakeConfig.from_env(lake.environment)) as reader:
            assert reader.execute(everything).fetchall() == before
    done = running.wait()
    assert done.code == 0, done
    assert lake.query(everything) == before
    assert lake.query(landed) == orders


@pytest.mark.slow
def test_beside_a_build(begun: Shop) -> None:
    """Without the scheduler's lock between them, a build and maintenance leave the lake right: the
    one whose commit comes second may stop with a conflict, and does its work the next time."""
    lake = begun.lake
    begun.deliver_days(BEGUN + 1, DAYS, SEED)
    build = lake.start("build", *WITHOUT_TESTS)
    ended = [lake.start_command("maintain", variables=AT_ONCE).wait() for _ in range(3)]
    ended.append(build.wait())
    for one in ended:
        assert one.code in (0, 1, 2, 20), one
        assert "Traceback" not in one.output, one
    begun.lake.drain()
    assert lake.command("maintain", variables=AT_ONCE).code == 0
    begun.assert_whole()


@pytest.mark.slow
def test_beside_a_change_of_meta(shop: Shop) -> None:
    """A row of the bookkeeping that changes while maintenance rewrites its file is there once.

    DuckLake's own rewriting and merging would let both commit, and leave the old row too.
    """
    lake = shop.lake
    change = "update meta.feeder_cursors set updated_at = now() where stream = ?"
    streams = lake.value("select count(*) from meta.feeder_cursors")
    assert lake.command("maintain", variables=AT_ONCE).code == 0
    with writing(lake) as connection:
        connection.execute(change, ["customers"])
    with writing(lake) as connection:
        connection.execute("begin")
        connection.execute(change, ["orders"])
        done = lake.command("maintain", variables=AT_ONCE)
        assert done.code == 0, done
        with suppress(duckdb.Error):  # the second of two commits may be refused
            connection.execute("commit")
    assert not lake.query(
        "select source, stream from meta.feeder_cursors group by all having count(*) > 1"
    )
    assert lake.value("select count(*) from meta.feeder_cursors") == streams
    # Nor does what is rewritten again and again leave files.
    for _ in range(3):
        with writing(lake) as connection:
            connection.execute(change, ["orders"])
        assert lake.command("maintain", variables=AT_ONCE).code == 0
    assert (
        lake.value(
            "select count(*) from __ducklake_metadata_lakehouse.ducklake_data_file"
            " inner join __ducklake_metadata_lakehouse.ducklake_table as tables using (table_id)"
            " where table_name = 'feeder_cursors'"
        )
        <= 2
    )


@pytest.mark.slow
def test_half_done_clean_up(begun: Shop) -> None:
    """Files that are gone already, because a clean-up was killed, do not stop the next one."""
    lake = begun.lake
    assert lake.command("maintain", variables={"snapshot_days": 0}).code == 0
    scheduled = "from __ducklake_metadata_lakehouse.ducklake_files_scheduled_for_deletion"
    waiting = lake.query(f"select path {scheduled}")
    assert waiting
    for (path,) in waiting[::2]:
        (lake.data / path).unlink()
    done = lake.command("maintain", variables=AT_ONCE)
    assert done.code == 0, done
    assert not lake.query(scheduled)


# -- DuckLake itself -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inlined", "ordered"),
    [(0, False), (0, True), (20, False)],
    ids=["files", "sorted files", "inlined"],
)
def test_changes_cover_what_changed(inlined: int, ordered: bool, tmp_path: Path) -> None:
    """Whatever is merged, rewritten, flushed and expired in between, a table has its rows, and the
    changes since a position name every key that changed. Incremental models rest on that.

    Tables whose small inserts are inlined (schema meta) are only right as of now: this DuckLake
    version reads their past, and so what changed, wrongly after a flush. Nothing reads it.
    """
    catalog = f"sqlite:{tmp_path}/catalog.sqlite"
    chance = random.Random(f"{SEED} changes")
    with duckdb.connect() as connection:
        for name in ("sqlite_scanner", "ducklake"):
            connection.execute(f"load '{extension_file(name)}'")
        connection.execute(f"attach 'ducklake:{catalog}' as lake (data_path '{tmp_path}/data/')")
        connection.execute(f"call lake.set_option('data_inlining_row_limit', {inlined})")
        connection.execute("use lake; create table t (key bigint, value bigint)")
        if ordered:
            # Not the order in which the rows are inserted below.
            connection.execute("alter table t set sorted by (key desc)")
        rows: dict[int, int] = {}
        past = {_newest(connection): dict(rows)}
        for step in range(40):
            rows = _change(connection, chance, step, rows, inlined > 0)
            newest = _newest(connection)
            past[newest] = dict(rows)
            assert connection.execute("from t order by key").fetchall() == sorted(rows.items())
            # Of tables that are inlined nobody asks.
            for position in chance.sample(sorted(past), 0 if inlined else min(3, len(past))):
                then = past[position]
                found = connection.execute(f"from t at (version => {position}) order by key")
                assert found.fetchall() == sorted(then.items()), (step, position)
                if position < newest:
                    found = connection.execute(
                        "select distinct key from ducklake_table_changes('lake', 'main', 't',"
                        f" {position + 1}, {newest})"
                    )
                    changed = {
                        key for key in rows.keys() | then.keys() if rows.get(key) != then.get(key)
                    }
                    assert changed <= {key for (key,) in found.fetchall()}, (step, position)
            if step % 10 == 9:
                old = sorted(past)[: len(past) // 2]
                connection.execute(f"call ducklake_expire_snapshots('lake', versions => {old})")
                connection.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)")
                past = {position: then for position, then in past.items() if position not in old}


def _change(
    connection: duckdb.DuckDBPyConnection,
    chance: random.Random,
    step: int,
    rows: dict[int, int],
    inlined: bool,
) -> dict[int, int]:
    """Do one random thing to table t; the rows that it then has to have."""
    first = chance.randrange(60)
    keys = range(first, first + chance.choice([1, 5, 40]))
    inside = f"where key between {keys.start} and {keys.stop - 1}"
    others = {key: value for key, value in rows.items() if key not in keys}
    match chance.choice(["insert", "insert", "delete", "update", "merge", "rewrite", "flush"]):
        case "insert":
            connection.execute(
                f"begin; delete from t {inside}; insert into t select range, {step}"
                f" from range({keys.start}, {keys.stop}); commit"
            )
            return others | dict.fromkeys(keys, step)
        case "delete":
            connection.execute(f"delete from t {inside}")
            return others
        case "update":
            connection.execute(f"update t set value = {step} {inside}")
            return others | {key: step for key in rows if key in keys}
        case "merge" if not inlined:
            connection.execute("call ducklake_merge_adjacent_files('lake', 't')")
        case "rewrite":  # a random half of the files
            paths = connection.execute(
                "select distinct filename from t where filename is not null order by all"
            ).fetchall()
            some = [path for (path,) in paths if chance.random() < 0.5]
            connection.execute("begin")
            connection.execute(
                "create or replace temp table kept as from t where filename in $1", [some]
            )
            connection.execute("delete from t where filename in $1", [some])
            connection.execute("insert into t from kept")
            connection.execute("commit")
            if inlined:  # as maintain does it for schema meta
                connection.execute(
                    "call ducklake_rewrite_data_files('lake', 't', delete_threshold => 1)"
                )
        case "flush":
            connection.execute("call ducklake_flush_inlined_data('lake')")
    return rows


def _newest(connection: duckdb.DuckDBPyConnection) -> int:
    found = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    assert found
    return int(found[0])
