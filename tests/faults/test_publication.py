"""The database of the marts stops, or its disk is full; and what its readers cannot do to it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.faults.world import ticks_of
from tests.system import services
from tests.system.serving import Serving, publish, same
from tests.system.small_project import Shop

pytestmark = pytest.mark.nightly

STAYS = "Nothing was written; what was published before stays."


def rows(serving: Serving) -> list[Any]:
    """What a BI tool reads."""
    return [serving.rows("dim_customers"), serving.rows("fct_statuses")]


def test_the_server_crashes(marts: Shop, serving: Serving, restarted: services.Postgres) -> None:
    """When one table is written and another is not: the old copy stays, and the next one is made.
    `lake publish` ends with 40; a tick says the same, and ends well."""
    lake, ticks, codes = marts.lake, ticks_of(marts), []
    publish(lake)
    old = rows(serving)
    marts.deliver(2, "4,7,placed", "5,8,shipped")
    assert marts.build().ok
    begins: list[Callable[[], Any]] = [lambda: lake.start_command("publish"), ticks.start]
    for begin in begins:
        with closing(serving.connect("postgres")) as other:
            other.autocommit = False
            # The last table to be written.
            other.cursor().execute("lock table marts.fct_statuses in share row exclusive mode")
            running = begin()
            while not serving.run(
                "select 1 from pg_stat_activity"
                " where usename = 'publisher' and wait_event_type = 'Lock'"
            ):
                assert running.process.is_alive(), running.wait().output
                time.sleep(0.02)
            restarted.crash()
        done = running.wait()
        (said,) = [line for line in done.output.splitlines() if "LAKE_SERVING_URL" in line]
        assert "The database of LAKE_SERVING_URL cannot be used: " in said and STAYS in said
        assert "Traceback" not in done.output
        restarted.start()
        assert rows(serving) == old
        codes.append(done.code)
    assert codes == [40, 0]
    done = ticks.run()
    assert done.code == 0 and done.says("Published: 2 tables"), done
    assert same(lake, serving, "dim_customers", "customer_id, orders")
    assert same(lake, serving, "fct_statuses")


@pytest.fixture
def disk(serving: Serving) -> Iterator[Path]:
    """A disk of 16 MB that has the database of the marts, and nothing else."""
    server = serving.server.server
    folder = server.pgdata.with_name("disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small file system")
    try:
        shutil.chown(folder, server.system_user)
        server.psql(f"create tablespace small location '{folder}'")
        server.psql(f'alter database "{serving.name}" set tablespace small')
        yield folder
        server.psql(f'drop database "{serving.name}"')
        server.psql("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_the_disk_is_full(marts: Shop, serving: Serving, disk: Path) -> None:
    """The old copy stays, the cause is said, a tick ends well, and more room is all it takes."""
    lake = marts.lake
    publish(lake)
    old = rows(serving)
    marts.deliver(2, *(f"{number},{number},placed" for number in range(100, 200_000)))
    customers = (f"{number},Ann,A." for number in range(100, 200_000))
    marts.deliver(2, *customers, stream="customers")
    done = ticks_of(marts).run()
    assert done.code == 0, done.output
    (said,) = [line for line in done.lines if "Not published" in line]
    assert "No space left on device" in said and STAYS in said
    assert rows(serving) == old
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    assert set(publish(lake)) == {"dim_customers", "fct_statuses"}
    assert same(lake, serving, "dim_customers", "customer_id, orders")


def test_a_dashboard_that_runs_away(marts: Shop, serving: Serving) -> None:
    """Ends after a minute; and however many connections it has, the publisher gets its own."""
    publish(marts.lake)
    with ExitStack() as dashboards:
        cursors = [
            dashboards.enter_context(closing(serving.connect("bi"))).cursor() for _ in range(20)
        ]
        with pytest.raises(psycopg2.OperationalError, match="too many connections for role"):
            serving.connect("bi")
        assert "dim_customers" in publish(marts.lake, "--full")
        started = time.monotonic()
        with pytest.raises(psycopg2.errors.QueryCanceled, match="statement timeout"):
            cursors[0].execute("select pg_sleep(90) from marts.dim_customers")
        assert 59 < time.monotonic() - started < 75
