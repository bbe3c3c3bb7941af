"""However files arrive, the lake ends as if it had been built from all of them at once."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from sample import Delivery
from tests.oracle import compute
from tests.system.conftest import SEED, Reference
from tests.system.lake import Crash, Lake, differences
from tests.system.small_project import DAYS, Shop

STATEMENT = "dbt.adapters.sql.connections:SQLConnectionManager.add_query"


def test_the_lake_is_what_the_contract_says(reference: Reference) -> None:
    """Built at once, every table is what an independent computation makes of the same files."""
    assert not differences(reference.tables, reference.expected)


def test_what_is_quarantined(reference: Reference) -> None:
    """Of the sample, exactly the generator's bad files are left out, each with its reason."""
    reasons = {path.rsplit("/", 1)[1]: why for path, why in reference.quarantined.items()}
    assert sorted(reasons) == [
        *("empty_0.parquet", "garbage_0.parquet", "lossy_0.parquet", "no_rows_0.parquet"),
        "truncated_0.parquet",
    ]
    assert "total_price" in reasons["lossy_0.parquet"]


@pytest.mark.parametrize(
    "example",
    [
        pytest.param("jumbled", marks=pytest.mark.slow),
        pytest.param("shuffled", marks=pytest.mark.nightly),
        pytest.param("history-last", marks=pytest.mark.nightly),
    ],
)
def test_any_split_order_repeat_and_crash(
    example: str, new_lake: Callable[..., Lake], sample: Delivery, reference: Reference
) -> None:
    """Any split of the files into runs, in any order, with repeats and crashes, ends the same.

    Files come in pieces; some come twice, under their own name or another; runs take a bounded
    share; every other run is killed on its way. The end equals a lake built at once in every table
    and column, and the oracle's tables of what the ledger says was fed. Staging has each loaded
    file version exactly once.
    """
    chance = random.Random(f"{SEED} {example}")
    lake = new_lake()
    pieces = _pieces(_order(example, [file.path for file in sample.files], chance), chance)
    variables = {"feed_max_files": chance.choice([14, 40])}
    if example == "history-last":  # where a run lists only recent days, and the last everything
        variables |= {"feed_list_free_files": 0, "feed_lookback_days": 1}
    crashes = 0
    for number, piece in enumerate(pieces):
        lake.deliver(piece, sample.out)
        _repeat_some(lake, chance)
        if number % 2 == 0:
            crash = Crash(STATEMENT, call=chance.randint(10, 100), after=chance.random() < 0.5)
            killed = lake.build_quickly(variables=variables, crash=crash)
            assert killed.code in (-9, 0), killed  # 0: it ended before
            crashes += killed.code == -9
        build = lake.build_quickly(variables=variables)
        assert build.ok, build
        assert not lake.wrong_counts()
    assert crashes
    del variables["feed_max_files"]
    lake.drain(variables | {"feed_sweep_hours": 0})

    assert not lake.wrong_counts()
    assert not differences(lake.tables(), compute(lake.landing, files=lake.loaded()))
    assert not differences(lake.everything("main"), reference.everything)
    fed = {path for path in lake.loaded() if "copy_of_" not in path}
    assert fed == set(reference.loaded)


def _order(example: str, paths: list[str], chance: random.Random) -> list[str]:
    """The files, which come in order of arrival, in another order."""
    if example == "shuffled":
        chance.shuffle(paths)
    elif example == "history-last":
        return paths[len(paths) // 2 :] + paths[: len(paths) // 2]
    elif example == "jumbled":
        places = {path: place + chance.gauss(0, 25) for place, path in enumerate(paths)}
        paths.sort(key=places.__getitem__)
    return paths


def _pieces(paths: list[str], chance: random.Random) -> list[list[str]]:
    cuts = sorted(chance.sample(range(1, len(paths)), 2))
    return [paths[start:end] for start, end in zip([0, *cuts], [*cuts, len(paths)], strict=True)]


def _repeat_some(lake: Lake, chance: random.Random) -> None:
    """Deliver some of what has landed again: the same file written anew, or under another name."""
    landed = sorted(
        path
        for path in lake.landing.rglob("*")
        # What makes a row of a CSV newest is its file's name, so copies there are another story.
        if path.is_file() and "copy_of_" not in path.name and "ads" not in path.parts
    )
    for path in chance.sample(landed, 3):
        content = path.read_bytes()
        if chance.random() < 0.5:
            arriving = path.parent / ".arriving"
            arriving.write_bytes(content)
            arriving.replace(path)
        else:
            (path.parent / f"copy_of_{path.name}").write_bytes(content)


@pytest.mark.nightly
def test_killed_again_and_again(lake: Lake, sample: Delivery, reference: Reference) -> None:
    """After kill -9 at any moment, the next run leaves what an undisturbed one would have left."""
    chance = random.Random(f"{SEED} kills")
    lake.deliver((file.path for file in sample.files), sample.out)
    variables = {"feed_max_files": 25}
    for number in range(6):
        running = lake.start(variables=variables)
        killed = running.kill(after=chance.uniform(1.5, 7))
        print(f"run {number} ended with {killed.code} after {killed.seconds:.1f} s")
        if lake.catalog_file.exists() and lake.has("meta.feeder_cursors"):
            assert not lake.wrong_counts()
    lake.drain()
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)


# The edges of the feeder's transaction: before the first row, between rows and ledger, with all
# written but not committed, and committed but not yet known to be.
EDGES = {
    "first rows": Crash("lotus_lake.feeder.rows:Writer._insert"),
    "between files": Crash("lotus_lake.feeder.rows:Writer._insert", after=True, call=2),
    "before the ledger": Crash("lotus_lake.feeder.ledger:Ledger.write_files"),
    "before the commit": Crash("lotus_lake.feeder.feeding:check_unchanged", after=True),
    "after the commit": Crash("lotus_lake.feeder.feeding:Feeder._commit", after=True, call=2),
}


def test_killed_inside_the_feed(new_shop: Callable[..., Shop]) -> None:
    """A feed that dies at any edge of its transaction has happened whole or not at all."""
    shop = new_shop()
    for day, (edge, crash) in enumerate(EDGES.items(), start=1):
        shop.deliver_days(day, day, SEED)
        died = shop.lake.build_quickly("--select", "lotus_lake.landing", crash=crash)
        assert died.code == -9, f"{edge}: {died}"
        assert not shop.lake.wrong_counts(), edge
    shop.lake.drain()
    shop.assert_whole()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_any_split_order_repeat_and_crash_of_the_small_project(
    kind: str, new_shop: Callable[..., Shop]
) -> None:
    """The same of the small project, with each catalog: files in any order, a few at a time, some
    twice, every other run killed."""
    chance = random.Random(f"{SEED} small {kind}")
    shop = new_shop(kind)
    days = chance.sample(range(1, DAYS + 1), DAYS)
    for day, another in zip(days[0::2], days[1::2], strict=True):
        for path in shop.deliver_days(day, day, SEED):
            shop.land(path, (shop.lake.landing / path).read_bytes())
        shop.deliver_days(another, another, SEED)
        crash = Crash(STATEMENT, call=chance.randint(10, 60), after=chance.random() < 0.5)
        killed = shop.lake.build_quickly(variables={"feed_max_files": 3}, crash=crash)
        assert killed.code in (-9, 0), killed  # 0: it ended before
        build = shop.lake.build_quickly(variables={"feed_max_files": 3})
        assert build.ok, build
        shop.assert_right()
    shop.lake.drain()
    shop.assert_whole()
