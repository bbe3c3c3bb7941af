"""Ticks, as a CronJob and a person run them: real processes, a real webhook, real servers."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.system.conftest import SEED, once
from tests.system.lake import PROJECT, Lake
from tests.system.scheduling import Ticks, Webhook, webhook
from tests.system.small_project import Shop, path_of

BAD = "jaffle_shop/orders/year=2024/month=01/day=09/bad.parquet"
CUSTOMERS, ORDERS = "jaffle_shop.customers", "jaffle_shop.orders"


@pytest.fixture(scope="module")
def first(shared: Path, small_project: Path) -> Shop:
    """A lake that its first tick has built; to be copied, not changed."""
    parsed = small_project.with_name("small-parsed")
    shop = Shop(Lake(shared / "scheduler", parsed=parsed), small_project)
    with once(shared, "scheduler") as mine:
        if mine:
            shop.deliver_days(1, 2, SEED)
            done = Ticks(shop.lake).run()
            assert done.says("there is no lake yet")
    return shop


@pytest.fixture
def shop(first: Shop, new_shop: Callable[..., Shop]) -> Shop:
    """A built lake of one's own."""
    copy = new_shop()
    copy.lake.copy_of(first.lake)
    return copy


@pytest.fixture
def ticks(shop: Shop) -> Ticks:
    """Its scheduler."""
    return Ticks(shop.lake)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


def fall_silent(shop: Shop, days: dict[str, int]) -> None:
    """Nothing has come of some streams for so many days, as if these had passed since; and there is
    a test that says so."""
    fresh = (PROJECT / "engine/tests/watching/streams_are_fresh.sql").read_text()
    shop.write(
        "tests/streams_are_fresh.sql",
        "{{ config(severity='warn') }}" + fresh.replace("{{ after_feeding() }}", ""),
    )
    Ticks(shop.lake).run()  # a test more is another project, which is built whole
    for stream, count in days.items():
        shop.lake.change(
            f"update meta.feeder_files set loaded_at = loaded_at - interval {count} day"
            f" where source || '.' || stream = '{stream}'"
        )
    shop.lake.change("update meta.invocations set started_at = started_at - interval 40 day")


# -- what a tick does ------------------------------------------------------------------------------


def test_nothing_new_writes_nothing(ticks: Ticks) -> None:
    """No dbt, no snapshot, no file beside the lake's own."""
    before = ticks.lake.snapshot(), sorted(ticks.lake.home.iterdir())
    done = ticks.command()
    assert done.says("Nothing new")
    assert "imported []" in done.output
    after = sorted(path for path in ticks.lake.home.iterdir() if path.suffix != ".lock")
    assert (ticks.lake.snapshot(), after) == before


def test_new_files_build_their_streams_only(shop: Shop, ticks: Ticks) -> None:
    """A dry run says which, and changes nothing; the tick builds them and what follows."""
    shop.deliver(3, "7,Ann,A.", stream="customers")
    before = ticks.lake.snapshot()
    dry = ticks.run("--dry-run")
    assert dry.says(f"{CUSTOMERS}: 1 new file.")
    assert dry.says("--select stg_jaffle_shop__customers+")
    assert ticks.lake.snapshot() == before
    ticks.run()
    nodes = ticks.nodes()
    assert {"stg_jaffle_shop__customers", "dim_customers"} <= nodes
    assert not {"stg_jaffle_shop__orders", "fct_statuses"} & nodes
    assert ticks.command().says("Nothing new")
    assert "Nothing new" in ticks.run("--dry-run").output


def test_a_due_sweep_is_done_by_a_build(ticks: Ticks) -> None:
    """It lists what no tick does, and says in the lake when it was done."""
    settings = '{"feed_list_free_files": 0}'
    ticks.lake.change(
        f"update meta.feeder_cursors set declaration = json_merge_patch(declaration, '{settings}'),"
        " swept_at = swept_at - interval 25 hour where stream = 'customers'"
    )
    assert ticks.run("--dry-run").says(f"{CUSTOMERS}: a full sweep is due")
    ticks.run()
    assert "stg_jaffle_shop__customers" in ticks.nodes()
    assert ticks.command().says("Nothing new")


@pytest.mark.slow
def test_a_stream_that_is_declared_no_more_is_left_alone(shop: Shop, ticks: Ticks) -> None:
    """Its files go on landing; a build finds that the project has it no more, and says so."""
    ticks.lake.change(
        "insert into meta.feeder_cursors select * replace ('old' as stream, null as swept_at)"
        " from meta.feeder_cursors where stream = 'customers'"
    )
    shop.land(path_of("old", 9), "x")
    assert ticks.run("--dry-run").says("jaffle_shop.old: 1 new file")
    ticks.run("--full")
    assert (
        ticks.lake.value("select declaration from meta.feeder_cursors where stream = 'old'") is None
    )
    assert ticks.command().says("Nothing new")


def test_quarantine_is_partial_and_a_repair_is_good_again(
    shop: Shop, ticks: Ticks, hook: Webhook
) -> None:
    """10 once, and one message; the same bad file is no news; mended, one message more."""
    ticks.environment["LAKE_ALERT_WEBHOOK"] = hook.url
    shop.land(BAD, "no parquet")
    shop.deliver(3, "7,Ann,A.", stream="customers")
    ticks.run(code=10)
    (message,) = hook.take()
    assert (message["status"], message["exit_code"]) == ("bad", 10)
    assert message["streams"] == [ORDERS]
    assert BAD in message["text"] and "lake status" in message["text"]
    idle = ticks.command()
    assert (idle.code, idle.says("Nothing new")) == (0, True), idle.output
    shop.deliver(3, "8,Bo,B.", stream="customers", part=1)
    ticks.run()
    assert hook.take() == []
    good = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "user_id": [7], "status": ["placed"]}), good)
    shop.land(BAD, good.getvalue())
    ticks.run()
    (message,) = hook.take()
    assert (message["status"], message["exit_code"]) == ("good", 0)
    assert hook.url not in "".join(path.read_text() for path in ticks.lake.home.glob("tick-*.txt"))


@pytest.mark.slow
def test_names_cannot_control_a_terminal_or_mention_anybody(
    shop: Shop, ticks: Ticks, hook: Webhook
) -> None:
    """A file's and a column's: escaped in the tick's lines, the alert, and what commands print."""
    ticks.environment["LAKE_ALERT_WEBHOOK"] = hook.url
    hostile = (
        "\x1b]0;x\x07\u202e\n12:00:00  scheduler: ERROR <!channel> [a](http://x.example) [/red]"
    )
    folder = "jaffle_shop/customers/year=2030/month=01/day=01"
    shop.land(f"{folder}/{hostile.replace('/', '')}.parquet", "no parquet")
    shop.land(f"{folder}/good.csv", f'id,"{hostile}"\n990001,x\n')
    shop.land(f"jaffle_shop/{hostile.replace('/', '')}/{folder[22:]}/a.csv", "id\n1\n")
    done = ticks.run(code=10)
    printed = [done.output, ticks.run("--dry-run").output]
    assert "QUARANTINED " in done.output and "\\x1b]0;x\\x07\\u202e\\n12:00:00" in done.output
    (message,) = hook.take()
    assert "`quarantined jaffle_shop/customers/" in message["text"]
    assert "<" not in message["text"] and "\\x3c!channel\\x3e" in message["text"]
    for words in (["status"], ["discover"], ["diff", hostile], ["reconcile"], ["sweep"]):
        printed.append(ticks.lake.command(*words).output)
        assert "Traceback" not in printed[-1]
    assert sum("\\x1b]0;x\\x07" in text for text in printed) >= 4
    for text in printed:
        assert {char for char in text if not char.isprintable()} <= {"\n"}
        assert "\n12:00:00" not in text


@pytest.mark.slow
def test_a_backlog_takes_as_many_rounds_as_it_needs(new_shop: Callable[..., Shop]) -> None:
    """In small rounds the lake becomes what one round had made of it."""
    shop = new_shop()
    ticks = Ticks(shop.lake)
    shop.deliver_days(1, 3, SEED)
    done = ticks.run("--vars", "{feed_max_files: 2}")
    assert done.says("Round 2")
    shop.assert_whole()
    assert ticks.command("--dry-run").says("settings changed"), "other variables"


def test_a_failing_test_is_a_failure_until_it_passes(ticks: Ticks, hook: Webhook) -> None:
    """Somebody put a row into a table by hand: everything is built, and a test fails; so again,
    though nothing else is new, until the row is gone."""
    ticks.environment["LAKE_ALERT_WEBHOOK"] = hook.url
    lines = "main.int_orders"
    ticks.lake.change(f"insert into {lines} select * from {lines} limit 1")
    done = ticks.run(code=20)
    assert done.says("int_orders changed after the last build")
    assert done.says("dbt build --select")
    assert ticks.run("--dry-run").says("the last build failed")
    assert ticks.lake.build("--select", "int_orders", "--full-refresh").ok
    ticks.run()
    assert [message["exit_code"] for message in hook.take()] == [20, 0]
    assert ticks.command().says("Nothing new")


def test_a_stream_that_becomes_late_is_told_although_nothing_landed(
    shop: Shop, ticks: Ticks
) -> None:
    """A build would say so, but silence is no reason for one."""
    fall_silent(shop, {ORDERS: 31})
    assert ticks.run("--dry-run").says("nothing arrives for longer than its freshness allows")
    done = ticks.run()
    assert {name for name in ticks.nodes() if "on-run" not in name} == {"streams_are_fresh"}
    assert f"{ORDERS}: nothing was loaded for 744 hours" in done.output
    assert "it may be 720." in done.output
    last = "select status from meta.node_results where node like '%.streams_are_fresh'"
    assert ticks.lake.value(f"{last} order by finished_at desc limit 1") == "warn"
    assert ticks.command().says("Nothing new"), "it is told once"


def test_an_undone_delivery_is_followed(ticks: Ticks) -> None:
    """What a person undoes, the next tick computes again, without any new file."""
    undone = ticks.lake.command("undo", "jaffle_shop.orders", "--delivery", "1")
    assert undone.code == 0, undone
    done = ticks.run()
    assert done.says("stg_jaffle_shop__orders changed after the last build")
    assert ticks.lake.value("select count(*) from main.int_orders") == 0
    assert ticks.command().says("Nothing new")


# -- one at a time ---------------------------------------------------------------------------------


def test_another_run_holds_the_lock(ticks: Ticks) -> None:
    """30, and the message says who; a dry run needs no lock."""
    with open(f"{ticks.lake.catalog_file}.lock", "w") as lock:
        lock.write("builder pid 7, since yesterday\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = ticks.command(code=30)
        assert done.says("builder pid 7, since yesterday")
        ticks.command("--dry-run")
        ticks.command("--maintain", code=30)
    ticks.command()


# -- what can be wrong -----------------------------------------------------------------------------


def test_places_that_are_away(ticks: Ticks, hook: Webhook) -> None:
    """40 for each; one message for however many ticks, and one when they are back."""
    ticks.environment["LAKE_ALERT_WEBHOOK"] = hook.url
    gone = {"LAKE_LANDING_URL": str(ticks.lake.home / "gone")}
    for _ in range(2):
        done = ticks.command(environment=gone, code=40)
        assert done.says("LAKE_LANDING_URL")
    assert [message["exit_code"] for message in hook.take()] == [40]
    ticks.command()
    assert [message["status"] for message in hook.take()] == ["good"]


@pytest.mark.slow
def test_a_stream_that_cannot_be_listed_stops_no_other(shop: Shop, ticks: Ticks) -> None:
    """40 that names it, what landed elsewhere is fed; listed again, everything is good."""
    folder = ticks.lake.landing / "jaffle_shop" / "orders"
    folder.rename(ticks.lake.home / "aside")
    folder.write_bytes(b"not a folder")
    shop.deliver(3, "77,Ann,A.", stream="customers")
    dry = ticks.run("--dry-run")
    assert dry.code == 0 and "Not a directory" in dry.output, dry.output
    done = ticks.run(code=40)
    assert done.says("jaffle_shop/orders") and done.says("Not a directory"), done.output
    assert ticks.lake.query("from int_customers where customer_id = 77")
    folder.unlink()
    (ticks.lake.home / "aside").rename(folder)
    done = ticks.run()
    assert ticks.command().says("Nothing new")


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--vars", "{a"], {}, "--vars"),
        (
            ["--full", "--vars", "{watch_weeks: abc}"],
            {},
            "ERROR dbt: Variable watch_weeks is 'abc'",
        ),
        (
            ["--maintain", "--vars", "{snapshot_days: abc}"],
            {},
            "ERROR Variable snapshot_days is 'abc'; it has to be a whole number",
        ),
        ([], {"LAKE_LANDING_URL": "s3://landing"}, "AWS_ACCESS_KEY_ID is not set"),
        ([], {"LAKE_GRACE_SECONDS": "soon"}, "LAKE_GRACE_SECONDS is 'soon'"),
        ([], {"LAKE_ALERT_WEBHOOK": "t0ps3cret"}, "LAKE_ALERT_WEBHOOK has to begin"),
        ([], {"LAKE_ARTIFACTS_URL": "ftp://x"}, "LAKE_ARTIFACTS_URL is 'ftp://x'"),
    ],
)
def test_wrong_usage(
    ticks: Ticks, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    done = ticks.command(*arguments, environment=environment, code=64)
    assert said in done.output
    assert "t0ps3cret" not in done.output
    assert "Traceback" not in done.output


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "code"), [("60", 0), ("0", 20)])
def test_sigterm(shop: Shop, ticks: Ticks, grace: str, code: int) -> None:
    """The build finishes within its grace, or is rolled back; the next tick goes on."""
    shop.deliver_days(3, 3, SEED)
    running = ticks.start("--full", environment={"LAKE_GRACE_SECONDS": grace})
    running.wait_for("START sql lake_table model main.int_orders")
    running.signal(signal.SIGTERM)
    done = running.wait(60)
    assert done.code == code, done.output
    assert done.says("SIGTERM")
    assert done.says("Nothing is half-written") == (code == 20)
    assert "Traceback" not in done.output
    assert not ticks.lake.wrong_counts()
    after = ticks.run()
    assert after.says("Everything is built") == (code == 20)
    shop.assert_whole()


def test_kill_is_healed_by_the_next_tick(shop: Shop, ticks: Ticks) -> None:
    """SIGKILL after feeding: no file is new any more, and yet everything is built."""
    shop.deliver_days(3, 3, SEED)
    running = ticks.start()
    running.wait_for("OK created python feed model staging.stg_jaffle_shop__orders")
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    done = ticks.run()
    assert done.says("changed after the last build, or that was cut short")
    shop.assert_whole()
    assert ticks.command().says("Nothing new")


METRICS = """\
models:
  - name: days
    time_spine: {standard_granularity_column: day}
    columns: [{name: day, granularity: day}]
semantic_models:
  - name: orders
    model: ref('int_orders')
    defaults: {agg_time_dimension: seen}
    entities: [{name: order, type: primary, expr: order_id}]
    dimensions:
      - {name: seen, type: time, expr: current_date, type_params: {time_granularity: day}}
    measures: [{name: orders, agg: count, expr: order_id}]
metrics:
  - {name: orders, label: Orders, type: simple, type_params: {measure: orders}}
saved_queries:
  - {name: orders_by_day, query_params: {metrics: [orders], group_by: [Entity('order')]}}
"""


@pytest.mark.slow
def test_loop(shop: Shop, ticks: Ticks) -> None:
    """Ticks in one process find what lands between them; SIGTERM ends it, JSON all the way. The
    project that they keep has metrics and saved queries too."""
    shop.write("models/days.sql", "select date '2024-01-01' as day")
    shop.write("models/metrics.yml", METRICS)
    ticks.run()
    ticks.environment["LAKE_GRACE_SECONDS"] = "120"
    running = ticks.start("--loop", "0.5", "--log-format", "json")
    running.wait_for("Nothing new")
    shop.deliver(3, "7,Ann,A.", stream="customers")
    running.wait_for("Built:")
    shop.deliver(3, "1,7,placed")
    running.wait_for(f"{ORDERS}: 1 new file.")
    time.sleep(0.2)
    running.signal(signal.SIGTERM)
    done = running.wait(150)
    assert done.code == 0, done.output
    entries = [json.loads(line) for line in done.output.splitlines()]
    assert any("info" in entry for entry in entries), "dbt's own lines"
    messages = [entry["msg"] for entry in entries if entry.get("logger") == "scheduler"]
    assert any(f"fed {ORDERS}: 1 file," in message for message in messages)
    assert not ticks.lake.wrong_counts()


# -- publishing ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_not_published_is_published_by_any_later_tick(shop: Shop, ticks: Ticks) -> None:
    """Of another pod too, which has no target folder; after that, a build renews the status page
    alone."""
    place = ticks.lake.home / "published"
    place.write_text("a file where a folder should be")
    shop.add_meta()
    ticks.environment["LAKE_ARTIFACTS_URL"] = str(place)
    done = ticks.run("--full")
    assert done.says("LAKE_ARTIFACTS_URL:") and done.says("tries again")
    place.unlink()
    shutil.rmtree(ticks.lake.target)
    assert ticks.run().says("Nothing new")
    assert "fct_statuses" in (place / "manifest.json").read_text()
    for page in ("index.html", "status/index.html", "catalog/index.html", "lineage/index.html"):
        assert (place / "site" / page).exists()
    status = (place / "site/status/index.html").read_text()
    written = (place / "site/index.html").stat().st_mtime_ns
    idle = ticks.command()
    assert idle.says("Nothing new") and "imported []" in idle.output
    shop.deliver(3, "1,7,placed")
    ticks.run()
    assert json.loads((place / "run_results.json").read_text())["results"]
    assert (place / "site/index.html").stat().st_mtime_ns == written
    assert (place / "site/status/index.html").read_text() != status
    assert "freshness allows" not in status
    # Also when all that is new is that nothing comes any more.
    fall_silent(shop, {ORDERS: 31})
    ticks.run()
    assert f"freshness allows: {ORDERS}." in (place / "site/status/index.html").read_text()
