"""PostgreSQL that goes away, takes other passwords, or few connections; several runs at once."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from tests.faults.world import (
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
    ticks_of,
)
from tests.system import services
from tests.system.conftest import SEED
from tests.system.lake import WITHOUT_TESTS
from tests.system.small_project import BEGUN, DAYS, Shop

pytestmark = pytest.mark.nightly


@pytest.fixture
def waiting(new_shop: Callable[..., Shop]) -> Shop:
    """A lake with its catalog in PostgreSQL that has fed the first days; the rest has landed."""
    shop = new_shop("postgres")
    shop.deliver_days(1, BEGUN, SEED)
    assert shop.lake.build_quickly().ok
    shop.deliver_days(BEGUN + 1, DAYS, SEED)
    return shop


@pytest.mark.parametrize(
    ("moment", "comes_back"),
    [
        pytest.param("START python feed model staging.stg_", True, id="restarted while feeding"),
        pytest.param("START sql lake_table model main.int_", False, id="away while building"),
    ],
)
def test_the_server_crashes(
    waiting: Shop,
    restarted: services.Postgres,
    moment: str,
    comes_back: bool,
) -> None:
    """40 while it is away; when it comes back at once, the tick may survive what is left of it."""
    ticks = ticks_of(waiting)
    running = ticks.start()
    running.wait_for(moment)
    restarted.crash()
    if comes_back:
        restarted.start()
    done = running.wait()
    if not comes_back:
        restarted.start()
    if not (comes_back and done.code == 0):
        assert_told(done, 40, "PostgreSQL", "catalog")
    assert_consistent(waiting)
    assert_heals(ticks, waiting)


def test_five_connections_are_enough(waiting: Shop, postgres: services.Postgres) -> None:
    """A whole tick, its build and its tests included, never needs a sixth connection."""
    postgres.server.psql("alter role lake connection limit 5;")
    try:
        done = ticks_of(waiting).run("--full")
        assert done.code == 0, done.output
        assert_whole(waiting)
    finally:
        postgres.server.psql("alter role lake connection limit -1;")


def test_two_pods_feed_different_streams(waiting: Shop) -> None:
    """Without the lock: both end well, though they share a model and all of the bookkeeping."""
    both = [
        waiting.lake.start("build", "--select", f"stg_jaffle_shop__{stream}+", *WITHOUT_TESTS)
        for stream in ("orders", "customers")
    ]
    builds = [one.wait() for one in both]
    assert all(build.ok for build in builds), builds
    assert_consistent(waiting)
    assert_heals(ticks_of(waiting), waiting)


def test_two_runs_know_a_new_stream(waiting: Shop) -> None:
    """Of two that give it its cursor row only one commits: it never has two."""
    lake = waiting.lake
    lake.change("delete from meta.feeder_cursors where stream = 'orders'")
    with lake.connection(writes=True) as other:
        other.execute("begin")
        other.execute(
            "insert into lakehouse.meta.feeder_cursors select source, 'orders', * exclude"
            " (source, stream) from lakehouse.meta.feeder_cursors limit 1"
        )
        assert lake.build_quickly("--select", "stg_jaffle_shop__customers").ok
        with pytest.raises(duckdb.TransactionException, match="has altered it"):
            other.execute("commit")
    assert lake.value("select count(*) from meta.feeder_cursors where stream = 'orders'") == 1
