"""S3 that refuses, is slow, answers 503, cuts its answers off, or has other keys since today."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.proxy import Cut, Drop, Fault, Proxy, Request, Slow, Unavailable, proxy
from tests.faults.world import (
    SEED,
    Undisturbed,
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
    ticks_of,
)
from tests.system import services
from tests.system.lake import Lake
from tests.system.scheduling import Ticks

pytestmark = pytest.mark.slow

GONE = "http://127.0.0.1:9"  # where nobody listens


@pytest.fixture
def between(s3: services.S3) -> Iterator[Proxy]:
    with proxy(s3.endpoint) as running:
        yield running


@pytest.fixture
def ticks(
    new_lake: Callable[..., Lake],
    begun: Ticks,
    s3: services.S3,
    landing_s3: str,
    between: Proxy,
) -> Ticks:
    """A lake in S3, reached through the proxy, that has fed the first days; all have landed."""
    return lake_in_s3(new_lake, begun, s3, landing_s3, between.endpoint)


def lake_in_s3(
    new_lake: Callable[..., Lake],
    like: Ticks,
    s3: services.S3,
    bucket: str,
    endpoint: str,
    upload: bool = True,
) -> Ticks:
    """A copy of an embedded lake whose files lie in S3; its catalog stays a file.

    Args:
        like: The lake to copy.
        bucket: For its data, beside what has landed there.
        endpoint: Where it finds S3.
        upload: Whether to upload its data.
    """
    data = f"s3://{bucket}/lake/data/"
    lake = new_lake(
        "in_s3",
        environment={
            **s3.environment,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "LAKE_LANDING_URL": f"s3://{bucket}/raw",
            "LAKE_DATA_URL": data,
        },
        connect=[s3.duckdb_secret],
    )
    shutil.copy2(like.lake.catalog_file, lake.catalog_file)
    if upload:
        s3.upload(bucket, like.lake.data, "lake/data/")
    lake.edit_catalog(f"update ducklake_metadata set value = '{data}' where key = 'data_path'")
    return ticks_of(lake)


Kind = Callable[[Request], bool]
Faulty = Callable[[Request], Fault | None]


def anything(request: Request) -> bool:
    return True


def writes(request: Request) -> bool:
    return request.method in ("PUT", "POST") and "/data/" in request.path


def reads_data(request: Request) -> bool:
    """Whether a request reads a file, landed or the lake's, and lists nothing."""
    return request.method == "GET" and "/?" not in request.path and "list-type" not in request.path


def reads_events(request: Request) -> bool:
    return reads_data(request) and "/raw/klaviyo/events/" in request.path


def at_times(share: float, fault: Fault, of: Kind = anything) -> Faulty:
    """A fault of a share of some requests, at random."""
    chance = random.Random(SEED)
    return lambda request: fault if of(request) and chance.random() < share else None


def after(count: int, fault: Fault, of: Kind = anything) -> Faulty:
    """A fault of every request of a kind, but for the first ones."""
    seen = itertools.count()
    return lambda request: fault if of(request) and next(seen) >= count else None


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([at_times(0.04, Unavailable()), at_times(0.02, Slow(1))], id="busy"),
        pytest.param([at_times(0.08, Cut(), reads_data)], id="cut off"),
    ],
)
def test_what_retries_survive(
    ticks: Ticks, between: Proxy, undisturbed: Undisturbed, faults: list[Faulty]
) -> None:
    """Some answers are 503 or a second late, or some bodies are cut off: the tick ends well."""

    def fault(request: Request) -> Fault | None:
        return next((found for one in faults if (found := one(request))), None)

    between.fault = fault
    done = ticks.run()
    assert done.code == 0, done.output
    assert len(between.hit) > 5, between.requests
    between.heal()
    assert_whole(ticks.lake, undisturbed)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(after(3, Unavailable(), reads_events), id="busy while looking at files"),
        pytest.param(after(40, Cut(), reads_events), id="cut off while feeding"),
        pytest.param(after(20, Unavailable(), writes), id="busy while writing"),
        pytest.param(after(150, Drop()), id="away on the way"),
    ],
)
def test_what_they_do_not(
    ticks: Ticks, between: Proxy, undisturbed: Undisturbed, fault: Faulty
) -> None:
    """S3 busy, cutting off or away for long: 40, no half of a file, no good file in quarantine."""
    between.fault = fault
    done = ticks.run(environment={"AWS_MAX_ATTEMPTS": "2"})
    assert between.hit, between.requests
    assert_told(done, 40, "AWS_")
    between.heal()
    assert_consistent(ticks.lake)
    assert_heals(ticks, undisturbed)


def test_refused(ticks: Ticks, undisturbed: Undisturbed) -> None:
    """Nobody listens: said within seconds, before anything is built."""
    before = ticks.lake.snapshot()
    done = ticks.command(environment={"AWS_ENDPOINT_URL_S3": GONE})
    assert_told(done, 40, "AWS_ENDPOINT_URL_S3")
    assert ticks.lake.snapshot() == before
    assert_heals(ticks, undisturbed)


def test_the_keys_are_others_since_today(
    tmp_path: Path, new_lake: Callable[..., Lake], begun: Ticks, undisturbed: Undisturbed
) -> None:
    """40 until the new keys are set; then the tick goes on."""
    old = {"AWS_ACCESS_KEY_ID": "OLDKEYID0123456789", "AWS_SECRET_ACCESS_KEY": "old-s3cr3t"}
    bucket = tmp_path / "server" / "buckets" / "rotated"
    shutil.copytree(undisturbed.landed, bucket / "raw")
    port = services.free_port()
    s3 = services.S3(f"http://127.0.0.1:{port}")
    with rclone(tmp_path / "server", port, *old.values()):
        ticks = lake_in_s3(new_lake, begun, s3, "rotated", s3.endpoint, upload=False)
        shutil.copytree(begun.lake.data, bucket / "lake" / "data")
        idle = ticks.run("--dry-run", environment=old)
        assert idle.code == 0, idle.output
    with rclone(tmp_path / "server", port, services.S3_KEY, services.S3_SECRET):
        done = ticks.run(environment=old)
        assert_told(done, 40, "AWS_*")
        assert "old-s3cr3t" not in done.output
        done = ticks.run()
        assert done.code == 0, done.output
        assert_whole(ticks.lake, undisturbed)


def rclone(folder: Path, port: int, key: str, secret: str) -> AbstractContextManager[None]:
    """An S3 server over the folder `buckets`, on a port and with keys of one's choice."""
    command = [
        *(services.program("rclone"), "serve", "s3", str(folder / "buckets")),
        *("--addr", f"127.0.0.1:{port}", "--config", str(folder / "rclone.conf")),
    ]
    return services.running(command, folder, {"RCLONE_AUTH_KEY": f'"{key},{secret}"'}, port)
