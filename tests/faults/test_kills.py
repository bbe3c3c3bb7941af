"""`kill -9` at random moments of a tick: the lake is never half-written, and a tick heals it."""

from __future__ import annotations

import random

import pytest

from tests.faults.world import SEED, Killer, Undisturbed, assert_consistent, assert_heals
from tests.oracle import compute
from tests.system.lake import Lake, differences
from tests.system.scheduling import Ticks

pytestmark = pytest.mark.slow

KILLS = 50
# So many times something new lands; before each kill, something comes again.
DELIVERIES = 4


def test_killed_at_random_moments(begun: Ticks, undisturbed: Undisturbed) -> None:
    """After each kill no row is there twice; after each delivery a tick heals the lake."""
    lake, killer, chance = begun.lake, Killer(begun, SEED), random.Random(SEED)
    repeats: list[str] = []
    lake.deliver(undisturbed.rest[0::DELIVERIES], undisturbed.landed)
    assert killer.watch("--full").code == 0
    moments = killer.moments(KILLS)
    for part in range(1, DELIVERIES):
        lake.deliver(undisturbed.rest[part::DELIVERIES], undisturbed.landed)
        for moment in moments[part - 1 :: DELIVERIES - 1]:
            repeats += repeat(lake, undisturbed, chance, len(repeats))
            # One that came too late hit nothing: another one, a little earlier.
            while not killer.kill(moment):
                moment *= 0.9
            assert_consistent(lake)
        done = begun.run()
        assert done.code == 0, (killer.told, done.output)
        assert not differences(lake.tables(), compute(lake.landing)), killer.told
    assert_heals(begun, undisturbed, repeats)
    print(killer.told)
    assert len(killer.phases) == KILLS
    assert {"2 dbt starting", "4 feeding", "5 models"} <= set(killer.phases), killer.told


def repeat(lake: Lake, undisturbed: Undisturbed, chance: random.Random, number: int) -> list[str]:
    """Four files come again under other names, as an at-least-once delivery has them."""
    # Without a version in its rows, a file of jaffle_shop is newer only by its name.
    files = [path for path in undisturbed.files if "jaffle_shop" not in path]
    made: list[str] = []
    for path in chance.sample([path for path in files if (lake.landing / path).exists()], 4):
        copy = path.replace(".parquet", f"-{number + len(made)}.parquet")
        (lake.landing / copy).write_bytes((lake.landing / path).read_bytes())
        made.append(copy)
    return made
