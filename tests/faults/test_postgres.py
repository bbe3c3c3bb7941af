"""PostgreSQL that goes away, takes other passwords, or few connections; several runs at once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from tests.faults.world import (
    SEED,
    Killer,
    Undisturbed,
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
    production,
    ticks_of,
)
from tests.system import services
from tests.system.lake import WITHOUT_TESTS, Lake
from tests.system.scheduling import Ticks

pytestmark = pytest.mark.slow

FEEDING = "START python feed model staging.stg_klaviyo__events"
BUILDING = "START sql lake_table model main.int_shopify__order_lines"


def lake_in(
    home: Path, parsed: Path, environment: dict[str, str], like: Lake | None = None
) -> Ticks:
    """Schedulers over a lake with local files and a catalog in a database.

    Args:
        like: A lake whose files these are a copy of.
    """
    ticks = ticks_of(
        Lake(
            home,
            parsed=parsed,
            environment={**environment, "LAKE_CATALOG": "postgres:"},
            catalog=f"postgres:{services.libpq(environment)}",
        )
    )
    if like:
        for part in ("landing", "data"):
            shutil.copytree(like.home / part, home / part, dirs_exist_ok=True)
    return ticks


@pytest.fixture(scope="module")
def template(
    tmp_path_factory: pytest.TempPathFactory,
    parsed: Path,
    postgres: services.Postgres,
    undisturbed: Undisturbed,
) -> Ticks:
    """A lake that its first tick has built, in database ``begun``; to be copied, not changed."""
    home = tmp_path_factory.mktemp("faults-postgres")
    ticks = lake_in(home, parsed, postgres.database("begun"))
    first = [path for path in undisturbed.files if path not in undisturbed.rest]
    ticks.lake.deliver(first, undisturbed.landed)
    done = ticks.run()
    assert done.code == 0, done.output
    return ticks


@pytest.fixture
def ticks(
    tmp_path: Path,
    parsed: Path,
    postgres: services.Postgres,
    template: Ticks,
    undisturbed: Undisturbed,
) -> Ticks:
    """A lake of one's own; the rest has landed, and waits."""
    name = tmp_path.name
    postgres.server.psql(f'create database "{name}" template begun owner lake;')
    environment = {**template.lake.environment, "PGDATABASE": name}
    libpq = {key: value for key, value in environment.items() if key.startswith("PG")}
    ticks = lake_in(tmp_path / "lake", parsed, libpq, like=template.lake)
    postgres.server.psql(
        f'\\c "{name}"\n'
        f"update ducklake_metadata set value = '{ticks.lake.data}/' where key = 'data_path';"
    )
    ticks.lake.deliver(undisturbed.rest, undisturbed.landed)
    return ticks


def stop(postgres: services.Postgres) -> None:
    """End the server at once and without a word to its clients: `pg_ctl stop -m immediate`."""
    server = postgres.server
    os.kill(server.get_pid(), signal.SIGQUIT)
    for _ in range(600):
        if not (server.pgdata / "postmaster.pid").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the server does not stop")


def start(postgres: services.Postgres) -> None:
    """Start it again."""
    postgres.server.ensure_postgres_running()


@pytest.fixture
def stopped(postgres: services.Postgres) -> Iterator[Callable[[], None]]:
    """Stops the server, which runs again at the end in any case."""
    yield lambda: stop(postgres)
    start(postgres)


@pytest.mark.parametrize(
    ("moment", "comes_back"),
    [
        pytest.param(FEEDING, True, id="restarted while feeding"),
        pytest.param(BUILDING, False, id="away while building"),
    ],
)
def test_the_server_crashes(
    ticks: Ticks,
    undisturbed: Undisturbed,
    postgres: services.Postgres,
    stopped: Callable[[], None],
    moment: str,
    comes_back: bool,
) -> None:
    """40 while it is away; when it comes back at once, the tick may survive what is left of it."""
    running = ticks.start()
    running.wait_for(moment)
    stopped()
    if comes_back:
        start(postgres)
    done = running.wait()
    if not comes_back:
        start(postgres)
    if not (comes_back and done.code == 0):
        assert_told(done, 40, "PostgreSQL", "catalog")
    assert_consistent(ticks.lake)
    assert_heals(ticks, undisturbed)


def test_it_is_away_from_the_start(
    ticks: Ticks,
    undisturbed: Undisturbed,
    postgres: services.Postgres,
    stopped: Callable[[], None],
) -> None:
    """40 within seconds, before dbt is imported; the next tick finds everything."""
    stopped()
    done = ticks.command()
    assert_told(done, 40, "PGHOST")
    assert "imported []" in done.output
    start(postgres)
    assert_heals(ticks, undisturbed)


def test_the_password_is_another_since_today(
    ticks: Ticks, undisturbed: Undisturbed, postgres: services.Postgres
) -> None:
    """40 with the variable to set, until it is set; then the tick goes on."""
    new = "rotated-s3cr3t'\\"
    postgres.server.psql("create role rotating login password 'first' in role lake;")
    ticks.environment |= {"PGUSER": "rotating", "PGPASSWORD": "first"}
    idle = ticks.run("--dry-run")
    assert idle.code == 0, idle.output
    postgres.server.psql("set standard_conforming_strings = on;")
    quoted = new.replace("'", "''")
    postgres.server.psql(f"alter role rotating password '{quoted}';")
    done = ticks.run()
    assert_told(done, 40, "PGPASSWORD")
    assert "first" not in done.output
    ticks.environment["PGPASSWORD"] = new
    done = ticks.run()
    assert done.code == 0, done.output
    assert new not in done.output
    assert_whole(ticks.lake, undisturbed)


def test_five_connections_are_enough(
    ticks: Ticks, undisturbed: Undisturbed, postgres: services.Postgres
) -> None:
    """A whole tick, its build and its tests included, never needs a sixth connection."""
    del ticks.environment["DBT_RESOURCE_TYPES"]
    postgres.server.psql("alter role lake connection limit 5;")
    try:
        done = ticks.run("--full")
        assert done.code == 0, done.output
        assert_whole(ticks.lake, undisturbed)
    finally:
        postgres.server.psql("alter role lake connection limit -1;")


def test_two_schedulers(ticks: Ticks, undisturbed: Undisturbed) -> None:
    """One builds, the other one leaves at once and says who builds."""
    both = [ticks.start() for _ in range(2)]
    done = sorted((one.wait() for one in both), key=lambda one: one.code)
    assert [one.code for one in done] == [0, 30], [one.output for one in done]
    assert_told(done[1], 30, "pid ")
    assert done[1].seconds < done[0].seconds
    assert_whole(ticks.lake, undisturbed)


def test_two_pods_feed_different_streams(ticks: Ticks, undisturbed: Undisturbed) -> None:
    """Without the lock: both end well, though they share a model and all of the bookkeeping."""
    selections = ("stg_shopify__orders+", "stg_klaviyo__events+ stg_klaviyo__profiles+")
    both = [
        ticks.lake.start("build", "--select", *selection.split(), *WITHOUT_TESTS)
        for selection in selections
    ]
    builds = [one.wait() for one in both]
    assert all(build.ok for build in builds), builds
    assert_consistent(ticks.lake)
    assert_heals(ticks, undisturbed)


def test_two_runs_know_a_new_stream(ticks: Ticks) -> None:
    """Of two that give it its cursor row only one commits: it never has two."""
    of_the_stream = "source = 'shopify' and stream = 'orders'"
    ticks.lake.change(f"delete from meta.feeder_cursors where {of_the_stream}")
    with ticks.lake.connection(writes=True) as other:
        other.execute("begin")
        other.execute(
            "insert into lakehouse.meta.feeder_cursors select 'shopify', 'orders', * exclude"
            " (source, stream) from lakehouse.meta.feeder_cursors limit 1"
        )
        assert ticks.lake.build("stream_status", command="run-operation").ok
        with pytest.raises(duckdb.TransactionException, match="has altered it"):
            other.execute("commit")
    count = f"select count(*) from meta.feeder_cursors where {of_the_stream}"
    assert ticks.lake.value(count) == 1


def test_killed_in_production(
    tmp_path: Path,
    parsed: Path,
    postgres: services.Postgres,
    s3: services.S3,
    undisturbed: Undisturbed,
) -> None:
    """`kill -9` at ten moments of a tick on PostgreSQL and S3; the next ones go on."""
    s3.client.create_bucket(Bucket="killed")
    first = Lake(tmp_path / "first")
    first.deliver(set(undisturbed.files).difference(undisturbed.rest), undisturbed.landed)
    s3.upload("killed", first.landing, "raw/")
    ticks = production(tmp_path / "killed", parsed, postgres, s3, "killed")
    killer = Killer(ticks, SEED)
    assert killer.watch().code == 0
    s3.upload("killed", undisturbed.landed, "raw/")
    for moment in killer.moments(10):
        while not killer.kill(moment):
            moment *= 0.9
        assert_consistent(ticks.lake)
    assert_heals(ticks, undisturbed)
    print(killer.told)
    assert len(killer.phases) == 10
    assert "4 feeding" in killer.phases, killer.told
