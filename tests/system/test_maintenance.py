"""`dbt run-operation maintain`: fewer files, less history, and the same lake."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect, extension_file
from sample import Delivery
from tests.system import services
from tests.system.conftest import PARTS, SEED, Reference, part_of
from tests.system.lake import PROJECT, WITHOUT_TESTS, Lake, differences
from tests.system.upkeep import files, operation, writing

pytestmark = pytest.mark.slow

# Nothing is too young to expire or to be deleted.
AT_ONCE = {"snapshot_days": 0, "cleanup_delay_days": 0}
KILLS = 6


# What a step does to tables is the same with both catalogs; who waits for whom is not.
EACH_CATALOG = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


def snapshots(lake: Lake) -> int:
    """How many snapshots there are."""
    return int(lake.value("select count(*) from ducklake_snapshots('lakehouse')"))


# -- the lake stays the same -----------------------------------------------------------------------


def test_between_deliveries(
    lake_after: Callable[[str, int], Lake], sample: Delivery, reference: Reference
) -> None:
    """However often a lake is maintained, its tables are those of one that never was; changes are
    still read as changes, and a model that has nothing to read is not rebuilt for it."""
    lake = lake_after("postgres", 1)
    for part in range(1, PARTS):
        before = lake.everything("main")
        stored = len(files(lake.data))
        done = operation(lake, "maintain", AT_ONCE)
        assert done.code == 0, done
        assert not differences(lake.everything("main"), before, of_the_run=True)
        assert len(files(lake.data)) <= stored
        assert snapshots(lake) < 5

        if part > 1:
            idle = lake.snapshot()
            assert lake.build_quickly().ok
            assert lake.snapshot() == idle, "something was built again"
        lake.deliver(part_of(sample, part), sample.out)
        assert lake.build_quickly().ok
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)
    assert "have expired from the catalog" not in _logged(lake)
    assert lake.value("select count(*) from meta.invocations where command = 'maintain'") == 2


def test_what_was_not_read_may_expire(
    lake_after: Callable[[str, int], Lake], sample: Delivery, reference: Reference
) -> None:
    """Where the changes since a model last read have expired, it is computed whole."""
    lake = lake_after("sqlite", 2)
    read_up_to = lake.snapshot()
    lake.deliver(part_of(sample, 2), sample.out)
    assert lake.build_quickly("--select", "lotus_lake.landing").ok
    done = operation(lake, "maintain", AT_ONCE)
    assert done.code == 0, done
    assert lake.value("select min(snapshot_id) from ducklake_snapshots('lakehouse')") > read_up_to
    assert lake.build_quickly().ok
    assert not differences(lake.everything("main"), reference.everything)
    assert re.search(r"fct_sales: whole, what changed in \w+ is not known", _logged(lake))


def test_the_default_keeps_a_month(reference_copy: Lake) -> None:
    """With the project's settings nothing young expires, and no file is deleted."""
    before = files(reference_copy.data)
    was = snapshots(reference_copy)
    done = operation(reference_copy, "maintain")
    assert done.code == 0, done
    assert snapshots(reference_copy) > was
    assert set(before) <= set(files(reference_copy.data))
    assert reference_copy.query(
        f"select count(*) from fct_sales at (version => {reference_copy.snapshot() - 5})"
    )


def test_a_dry_run_changes_nothing(reference_copy: Lake) -> None:
    """It says what would be done, and writes neither a file nor a snapshot."""
    before = files(reference_copy.data), reference_copy.snapshot(), snapshots(reference_copy)
    dry = operation(reference_copy, "maintain", AT_ONCE, dry_run=True)
    assert dry.code == 0, dry
    assert "Dry run, nothing is changed" in dry.output
    assert re.search(rf"expire +{before[1]} snapshots", dry.output), dry
    after = files(reference_copy.data), reference_copy.snapshot(), snapshots(reference_copy)
    assert after == before


def test_bounded(reference_copy: Lake, reference: Reference) -> None:
    """A run merges no more than it may, says what waits, and the next ones do the rest."""
    for number in range(20):
        done = operation(reference_copy, "maintain", {"maintain_max_files": 8})
        assert done.code == 0, done
        if "next time" not in done.output:
            assert number, "everything fitted into one run"
            break
    else:
        raise AssertionError(f"it never came to an end: {done}")
    assert not differences(reference_copy.everything("main"), reference.everything)


def test_history_is_pruned(reference_copy: Lake) -> None:
    """Recorded runs older than history_days go, with their nodes; younger ones stay."""
    with writing(reference_copy) as connection:
        for table in ("invocations", "node_results"):
            connection.execute(
                f"insert into meta.{table} select * replace ('old' as invocation_id,"
                f" now() - interval 500 day as finished_at) from meta.{table}"
            )
    young = reference_copy.value("select count(*) from meta.node_results") // 2
    assert young > 30
    done = operation(reference_copy, "maintain")
    assert "1 recorded runs" in done.output, done
    assert reference_copy.value("select count(*) from meta.node_results") == young
    assert not reference_copy.query("from meta.invocations where invocation_id = 'old'")


def test_wrong_settings(reference_copy: Lake) -> None:
    """A setting that cannot be meant stops it with a line that names it."""
    before = reference_copy.snapshot()
    for name, value in (("snapshot_days", -1), ("maintain_max_files", "many")):
        wrong = operation(reference_copy, "maintain", {name: value})
        assert wrong.code != 0
        assert f"Variable {name} is '{value}'" in wrong.output
    assert reference_copy.snapshot() == before


# -- what must never be deleted --------------------------------------------------------------------


def test_a_file_of_somebody_else_stops_it(reference_copy: Lake) -> None:
    """A landed file on DuckLake's list of files to delete stops maintenance before it begins; told
    to keep such files, it takes them off the list, and they stay where they lie."""
    lake = reference_copy
    landed = lake.landing / lake.loaded()[0]
    lake.edit_catalog(
        "insert into ducklake_files_scheduled_for_deletion"
        f" values (999999, '{landed}', 0, '2020-01-01 00:00:00+00')"
    )
    before = files(lake.home / "data"), lake.snapshot()
    for name in ("maintain", "remove_orphans"):
        stopped = operation(lake, name, AT_ONCE)
        assert stopped.code != 0
        assert str(landed) in stopped.output
        assert "keep_landed: true" in stopped.output
        assert "Traceback" not in stopped.output
    assert (files(lake.home / "data"), lake.snapshot()) == before
    done = operation(lake, "maintain", AT_ONCE, keep_landed=True)
    assert done.code == 0, done
    assert landed.exists()
    assert operation(lake, "maintain", AT_ONCE).code == 0
    assert landed.exists()


def test_register_mode(lake: Lake, tmp_path: Path, sample: Delivery, reference: Reference) -> None:
    """Where staging reads landed files, maintenance leaves every one of them as it is."""
    lake.environment["DBT_PROJECT_DIR"] = str(_registering(tmp_path / "project"))
    # Another project than the other lakes': what it is parsed to is of use to itself alone.
    lake.parsed = tmp_path / "parsed"
    lake.parsed.mkdir()
    paths = [file.path for file in sample.files]
    for part in range(2):
        lake.deliver(paths[part::2], sample.out)
        assert lake.build_quickly().ok
    landed = files(lake.landing)
    registered = lake.value("select count(*) from meta.feeder_files where feed_mode = 'register'")
    assert registered > 10
    before = lake.everything("main")
    for _ in range(2):
        done = operation(lake, "maintain", AT_ONCE)
        assert done.code == 0, done
    done = operation(lake, "remove_orphans", days=0)
    assert done.code == 0, done
    assert files(lake.landing) == landed
    assert operation(lake, "reconcile").code == 0
    assert not differences(lake.everything("main"), before, of_the_run=True)
    assert not differences(lake.everything("main"), reference.everything)


def _registering(project: Path) -> Path:
    """The project with all Airbyte streams in register mode."""
    project.mkdir()
    for part in PROJECT.iterdir():
        if part.name not in ("models", "target", "logs", ".lake"):
            (project / part.name).symlink_to(part)
    shutil.copytree(PROJECT / "models", project / "models")
    for path in project.glob("models/landing/*/_*__sources.yml"):
        text = path.read_text()
        text = text.replace("feeder: {", "feeder: {feed_mode: register, ")
        path.write_text(re.sub(r"(\n +)sync_mode:", r"\1feed_mode: register\1sync_mode:", text))
    return project


def test_branches_hold_it(reference_copy: Lake) -> None:
    """While a branch lives, nothing expires and nothing is deleted; an old one holds no more."""
    was = snapshots(reference_copy)
    stored = set(files(reference_copy.data))
    assert operation(reference_copy, "branch", name="trial").code == 0
    held = operation(reference_copy, "maintain", AT_ONCE)
    assert held.code == 0, held
    assert held.output.count("held: branch trial") == 2
    assert snapshots(reference_copy) > was
    assert stored <= set(files(reference_copy.data))
    refused = operation(reference_copy, "remove_orphans", days=0)
    assert refused.code != 0
    assert "Branch trial" in refused.output
    record = reference_copy.home / "branches" / "trial.json"
    made = datetime.fromisoformat(json.loads(record.read_text())["created_at"])
    older = made - timedelta(days=15)
    record.write_text(record.read_text().replace(made.isoformat(), older.isoformat()))
    assert operation(reference_copy, "maintain", AT_ONCE).code == 0
    assert snapshots(reference_copy) < 5


# -- what happens meanwhile ------------------------------------------------------------------------


def test_killed_at_any_moment(lake_after: Callable[[str, int], Lake], reference: Reference) -> None:
    """Killed at random moments, it leaves the lake as it was, and the next one goes on."""
    chance = random.Random(f"{SEED} maintain")
    lake = lake_after("postgres", PARTS)
    whole = lake.start("run-operation", "maintain", "--args", "{dry_run: true}").wait()
    killed = 0
    for _ in range(KILLS):
        running = lake.start("run-operation", "maintain", variables=AT_ONCE)
        ended = running.kill(after=chance.uniform(0.5, 1.3) * whole.seconds)
        killed += ended.code < 0
        assert not lake.wrong_counts()
        assert not differences(lake.everything("main"), reference.everything)
        with writing(lake) as connection:  # something to do for the next one
            connection.execute("update meta.feeder_cursors set updated_at = now()")
    assert killed, "none was killed while it ran"
    done = operation(lake, "maintain", AT_ONCE)
    assert done.code == 0, done
    left = operation(lake, "remove_orphans", days=0)
    assert left.code == 0, left
    # Rows that a killed one has put in again may be read once more, and come out as they were.
    assert lake.build_quickly().ok
    idle = lake.snapshot()
    assert lake.build_quickly().ok
    assert lake.snapshot() == idle
    assert not differences(lake.everything("main"), reference.everything)
    assert operation(lake, "reconcile").code == 0


@EACH_CATALOG
def test_beside_a_reader(kind: str, lake_after: Callable[[str, int], Lake]) -> None:
    """A reader sees the same rows before, while and after files are rewritten.

    With PostgreSQL in one transaction all the while. With SQLite as the project's own commands
    read, over a copy of the catalog: DuckLake reads the catalog itself at several moments.
    """
    lake = lake_after(kind, PARTS)
    everything = "select count(*), sum(net_sales) from lakehouse.main.fct_sales"
    landed = "from lakehouse.staging.stg_shopify__orders order by all"
    with lake.connection() as reader:
        before, orders = reader.execute(everything).fetchone(), reader.execute(landed).fetchall()
        reader.execute("begin")
        kept = reader.execute(everything).fetchone()
        running = lake.start("run-operation", "maintain")
        while running.process.is_alive():
            if kind == "sqlite":
                with connect(LakeConfig.from_env(lake.environment)) as once:
                    kept = once.execute(everything).fetchone()
            else:
                kept = reader.execute(everything).fetchone()
            assert kept == before
        done = running.wait()
        assert done.code == 0, done
    with lake.connection() as reader:
        assert reader.execute(everything).fetchone() == before
        assert reader.execute(landed).fetchall() == orders


@EACH_CATALOG
def test_beside_a_build(
    kind: str,
    lake_after: Callable[[str, int], Lake],
    sample: Delivery,
    reference: Reference,
) -> None:
    """Without the scheduler's lock between them, a build and maintenance leave the lake right: the
    one whose commit comes second may stop with a conflict, and does its work the next time."""
    lake = lake_after(kind, 2)
    lake.deliver(part_of(sample, 2), sample.out)
    build = lake.start("build", *WITHOUT_TESTS)
    ended = []
    while build.process.is_alive():
        ended.append(lake.start("run-operation", "maintain", variables=AT_ONCE).wait())
    ended.append(build.wait())
    assert len(ended) > 2
    for one in ended:
        assert one.code in (0, 1, 2), one
        assert "Traceback" not in one.output, one
    assert not lake.wrong_counts()
    lake.drain()
    assert operation(lake, "maintain", AT_ONCE).code == 0
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)


@EACH_CATALOG
def test_beside_a_change_of_meta(kind: str, lake_after: Callable[[str, int], Lake]) -> None:
    """A row of the bookkeeping that changes while maintenance rewrites its file is there once.

    DuckLake's own rewriting and merging would let both commit, and leave the old row too.
    """
    lake = lake_after(kind, 1)
    change = "update meta.feeder_cursors set updated_at = now() where source = ?"
    streams = lake.value("select count(*) from meta.feeder_cursors")
    for source in ("klaviyo", "shopify"):
        assert operation(lake, "maintain", AT_ONCE).code == 0
        with writing(lake) as connection:
            connection.execute(change, [source])
    with writing(lake) as connection:
        connection.execute("begin")
        connection.execute(change, ["jaffle_shop"])
        done = operation(lake, "maintain", AT_ONCE)
        assert done.code == 0, done
        with suppress(duckdb.Error):  # the second of two commits may be refused
            connection.execute("commit")
    assert not lake.query(
        "select source, stream from meta.feeder_cursors group by all having count(*) > 1"
    )
    assert lake.value("select count(*) from meta.feeder_cursors") == streams
    assert not lake.wrong_counts()
    # Nor does what is rewritten again and again leave files.
    for _ in range(3):
        with writing(lake) as connection:
            connection.execute(change, ["shopify"])
        assert operation(lake, "maintain", AT_ONCE).code == 0
    assert (
        lake.value(
            "select count(*) from __ducklake_metadata_lakehouse.ducklake_data_file"
            " inner join __ducklake_metadata_lakehouse.ducklake_table as tables using (table_id)"
            " where table_name = 'feeder_cursors'"
        )
        <= 2
    )


def test_half_done_clean_up(reference_copy: Lake) -> None:
    """Files that are gone already, because a clean-up was killed, do not stop the next one."""
    assert operation(reference_copy, "maintain", {"snapshot_days": 0}).code == 0
    for (path,) in reference_copy.query(
        "select path from __ducklake_metadata_lakehouse.ducklake_files_scheduled_for_deletion"
    )[::2]:
        (reference_copy.data / path).unlink()
    done = operation(reference_copy, "maintain", AT_ONCE)
    assert done.code == 0, done
    assert not reference_copy.query(
        "from __ducklake_metadata_lakehouse.ducklake_files_scheduled_for_deletion"
    )


# -- DuckLake itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inlined", "ordered"),
    [(0, False), (0, True), (20, False)],
    ids=["files", "sorted files", "inlined"],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_changes_cover_what_changed(
    kind: str, inlined: int, ordered: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever is merged, rewritten, flushed and expired in between, a table has its rows, and the
    changes since a position name every key that changed. Incremental models rest on that.

    Tables whose small inserts are inlined (schema meta) are only right as of now: this DuckLake
    version reads their past, and so what changed, wrongly after a flush. Nothing reads it.
    """
    catalog = f"sqlite:{tmp_path}/catalog.sqlite"
    if kind == "postgres":
        server: services.Postgres = request.getfixturevalue("postgres")
        catalog = f"postgres:{services.libpq(server.database(tmp_path.name))}"
    chance = random.Random(f"{SEED} changes")
    with duckdb.connect() as connection:
        for name in ("sqlite_scanner", "postgres_scanner", "ducklake"):
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


def _logged(lake: Lake) -> str:
    return "".join(path.read_text() for path in lake.logs.glob("dbt.log*"))
