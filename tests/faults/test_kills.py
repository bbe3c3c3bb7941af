"""`kill -9` at random moments of a tick: the lake is never half-written, and a tick heals it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.world import Killer, assert_consistent, assert_heals, ticks_of
from tests.system import services
from tests.system.conftest import SEED
from tests.system.small_project import BEGUN, DAYS, Shop


@pytest.mark.parametrize(
    "kills",
    [pytest.param(10, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.nightly)],
)
@pytest.mark.parametrize("kind", ["begun", "production"])
def test_killed_at_random_moments(
    kind: str, kills: int, s3: services.S3, bucket: str, request: pytest.FixtureRequest
) -> None:
    """After each kill no row is there twice; in the end a tick heals the lake. Embedded, and with
    the catalog in PostgreSQL and files in S3."""
    shop: Shop = request.getfixturevalue(kind)
    ticks, chance = ticks_of(shop), random.Random(SEED)
    killer = Killer(ticks, SEED)
    shop.deliver_days(BEGUN + 1, BEGUN + 1, SEED)
    s3.upload(bucket, shop.lake.landing, "raw/")
    assert killer.watch("--full").code == 0
    for number, moment in enumerate(killer.moments(kills)):
        if number % (kills // 3) == 0 and (day := BEGUN + 2 + number * 3 // kills) <= DAYS:
            shop.deliver_days(day, day, SEED)
        _repeat(shop.lake.landing, chance, number)
        s3.upload(bucket, shop.lake.landing, "raw/")
        # One that came too late hit nothing: another one, a little earlier.
        while not killer.kill(moment):
            moment *= 0.9
        assert_consistent(shop)
    assert_heals(ticks, shop)
    print(killer.told)
    assert len(killer.phases) == kills
    assert "4 feeding" in killer.phases, killer.told
    assert kills < 50 or {"2 dbt starting", "5 models"} <= set(killer.phases), killer.told


def _repeat(landing: Path, chance: random.Random, number: int) -> None:
    """Two files come again under other names, as an at-least-once delivery has them."""
    for file in chance.sample(sorted(landing.rglob("part_0?.csv")), 2):
        file.with_name(f"{file.stem}_{number}.csv").write_bytes(file.read_bytes())
