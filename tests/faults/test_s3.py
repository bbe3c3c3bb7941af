"""S3 that is away, is slow, answers 503, or cuts its answers off."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from tests.faults.proxy import Cut, Drop, Fault, Proxy, Request, Slow, Unavailable, proxy
from tests.faults.world import (
    assert_consistent,
    assert_heals,
    assert_told,
    assert_whole,
    ticks_of,
)
from tests.system import services
from tests.system.conftest import SEED
from tests.system.small_project import DAYS, Shop

pytestmark = pytest.mark.nightly


@pytest.fixture
def between(s3: services.S3) -> Iterator[Proxy]:
    with proxy(s3.endpoint) as running:
        yield running


@pytest.fixture
def waiting(production: Shop, s3: services.S3, bucket: str, between: Proxy) -> Shop:
    """A lake in S3, reached through the proxy, that has fed the first days; all have landed."""
    assert production.lake.build_quickly().ok
    production.deliver_days(1, DAYS, SEED)
    s3.upload(bucket, production.lake.landing, "raw/")
    production.lake.environment["AWS_ENDPOINT_URL_S3"] = between.endpoint
    return production


Kind = Callable[[Request], bool]
Faulty = Callable[[Request], Fault | None]


def anything(request: Request) -> bool:
    return True


def writes(request: Request) -> bool:
    return request.method in ("PUT", "POST") and "/data/" in request.path


def reads_data(request: Request) -> bool:
    """Whether a request reads a file, landed or the lake's, and lists nothing."""
    return request.method == "GET" and "/?" not in request.path and "list-type" not in request.path


def reads_orders(request: Request) -> bool:
    return reads_data(request) and "/raw/jaffle_shop/orders/" in request.path


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
        pytest.param([at_times(0.05, Unavailable()), at_times(0.05, Slow(1))], id="busy"),
        pytest.param([at_times(0.1, Cut(), reads_data)], id="cut off"),
    ],
)
def test_what_retries_survive(waiting: Shop, between: Proxy, faults: list[Faulty]) -> None:
    """Some answers are 503 or a second late, or some bodies are cut off: the tick ends well."""

    def fault(request: Request) -> Fault | None:
        return next((found for one in faults if (found := one(request))), None)

    between.fault = fault
    done = ticks_of(waiting).run()
    assert done.code == 0, done.output
    assert len(between.hit) > 3, between.requests
    between.heal()
    assert_whole(waiting)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(after(1, Unavailable(), reads_orders), id="busy while looking at files"),
        pytest.param(after(8, Cut(), reads_orders), id="cut off while feeding"),
        pytest.param(after(1, Unavailable(), writes), id="busy while writing"),
        pytest.param(after(30, Drop()), id="away on the way"),
    ],
)
def test_what_they_do_not(waiting: Shop, between: Proxy, fault: Faulty) -> None:
    """S3 busy, cutting off or away for long: 40, no half of a file, no good file in quarantine."""
    ticks = ticks_of(waiting)
    between.fault = fault
    done = ticks.run(environment={"AWS_MAX_ATTEMPTS": "2"}, code=40)
    assert between.hit, between.requests
    assert_told(done, 40, "AWS_")
    between.heal()
    assert_consistent(waiting)
    assert_heals(ticks, waiting)
