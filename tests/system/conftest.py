"""The lakes, the sample and the servers that the system tests share."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sample import Delivery, generate
from tests.oracle import Table, compute
from tests.system import services
from tests.system.lake import Lake
from tests.system.serving import MARTS, Serving
from tests.system.small_project import BEGUN, Shop, make_project

# Another sample with every run is one variable away; the seed stands in each failure's report.
SEED = int(os.environ.get("LAKE_TEST_SEED", "7"))


def pytest_report_header() -> str:
    """Say which sample the tests use."""
    return f"lotus-lake: LAKE_TEST_SEED={SEED}"


@dataclass(frozen=True)
class Reference:
    """What an undisturbed lake makes of the whole sample at once, and what the oracle does.

    Args:
        everything: Every table of schema main, in the lake that was built at once.
        tables: The contract's tables of that lake.
        expected: The contract's tables as the oracle computes them from the files.
        loaded: The files that were fed.
        quarantined: The files that were not.
    """

    everything: dict[str, Table]
    tables: dict[str, Table]
    expected: dict[str, Table]
    loaded: list[str]
    quarantined: dict[str, str]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def once(folder: Path, name: str) -> Iterator[bool]:
    """Hold the lock of a shared thing; true for the worker that has to make it."""
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / f"{name}.done"
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def sample(shared: Path) -> Delivery:
    """A small shop's whole history, with every awkward delivery and bad file of the generator."""
    made = shared / "sample.pickle"
    with once(shared, "sample") as mine:
        if mine:
            delivery = generate(
                shared / "sample",
                orders=300,
                days=20,
                seed=SEED,
                # America's clocks go forward on the 9th.
                start=date(2025, 3, 2),
                bad_files=True,
            )
            made.write_bytes(pickle.dumps(delivery))
    return pickle.loads(made.read_bytes())  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def parsed(shared: Path) -> Path:
    """Where lakes keep parsed projects for each other."""
    folder = shared / "parsed"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def new_lake(tmp_path: Path, parsed: Path) -> Callable[..., Lake]:
    """Makes lakes of the embedded kind, each in a folder of its own."""

    def make(name: str = "lake", **options: Any) -> Lake:
        return Lake(tmp_path / name, parsed=parsed, **options)

    return make


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    """An embedded lake with an empty landing zone, not built yet."""
    return new_lake()


@pytest.fixture(scope="session")
def reference(shared: Path, parsed: Path, sample: Delivery) -> Reference:
    """The whole sample, built at once with --full-refresh; tests included, all of which pass."""
    made = shared / "reference.pickle"
    with once(shared, "reference") as mine:
        if mine:
            lake = Lake(shared / "reference", parsed=parsed)
            lake.deliver((file.path for file in sample.files), sample.out)
            build = lake.build("--full-refresh")
            assert build.ok, build
            loaded = lake.loaded()
            found = Reference(
                everything=lake.everything("main"),
                tables=lake.tables(),
                expected=compute(sample.out, files=loaded),
                loaded=loaded,
                quarantined=lake.quarantined(),
            )
            made.write_bytes(pickle.dumps(found))
    assert made.exists(), "the reference lake could not be built: see the first failure"
    return pickle.loads(made.read_bytes())  # type: ignore[no-any-return]


@pytest.fixture
def reference_copy(reference: Reference, shared: Path, new_lake: Callable[..., Lake]) -> Lake:
    """A lake of one's own that has fed the whole sample already."""
    lake: Lake = new_lake("reference_copy")
    lake.copy_of(Lake(shared / "reference"))
    return lake


@pytest.fixture(scope="session")
def small_project(shared: Path) -> Path:
    """The small project, and beside it a folder for what it is parsed to. Not to be changed."""
    folder = shared / "small-project"
    with once(shared, "small-project") as mine:
        if mine:
            make_project(folder)
            (shared / "small-parsed").mkdir()
    return folder


@pytest.fixture
def new_shop(
    request: pytest.FixtureRequest, tmp_path: Path, small_project: Path
) -> Callable[..., Shop]:
    """Makes lakes of the small project, with a kind of catalog, not built yet."""

    def make(kind: str = "sqlite", name: str = "shop", **options: Any) -> Shop:
        if kind == "postgres":
            lake: Lake = request.getfixturevalue("postgres_lake")(name)
        else:
            lake = Lake(tmp_path / name, **options)
        lake.parsed = small_project.with_name("small-parsed")
        return Shop(lake, small_project)

    return make


@pytest.fixture(scope="session")
def built_shops(shared: Path, small_project: Path) -> dict[str, Shop]:
    """Lakes of the small project that have been built, with tests. To be copied, not changed."""
    parsed = small_project.with_name("small-parsed")
    few, begun = (
        Shop(Lake(shared / f"shop-{name}", parsed=parsed), small_project)
        for name in ("few", "begun")
    )
    with once(shared, "built-shops") as mine:
        if mine:
            few.deliver(1, "1,7,placed", "2,7,placed", "3,8,shipped")
            few.deliver(1, "7,Ann,A.", "8,Bo,B.", stream="customers")
            begun.deliver_days(1, BEGUN // 2, SEED)
            for shop in (few, begun):
                built = shop.build()
                assert built.ok, built
            begun.deliver_days(BEGUN // 2 + 1, BEGUN, SEED)
            built = begun.build()
            assert built.ok, built
            begun.assert_whole()
    return {"few": few, "begun": begun}


@pytest.fixture
def shop(built_shops: dict[str, Shop], new_shop: Callable[..., Shop]) -> Shop:
    """A lake of the small project with three orders of two customers, built."""
    made = new_shop()
    made.lake.copy_of(built_shops["few"].lake)
    return made


@pytest.fixture
def begun(built_shops: dict[str, Shop], new_shop: Callable[..., Shop]) -> Shop:
    """The same with the first days of the history, fed in two builds."""
    made = new_shop(name="begun")
    made.lake.copy_of(built_shops["begun"].lake)
    return made


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.Postgres]:
    """A PostgreSQL server."""
    with services.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[services.S3]:
    """An S3 server."""
    with services.s3() as server:
        yield server


@pytest.fixture
def postgres_lake(tmp_path: Path, parsed: Path, postgres: services.Postgres) -> Callable[..., Lake]:
    """Makes lakes with local files and a catalog in PostgreSQL."""

    def make(name: str = "postgres_lake") -> Lake:
        environment = postgres.database(f"{tmp_path.name}_{name}")
        return Lake(
            tmp_path / name,
            parsed=parsed,
            environment={**environment, "LAKE_CATALOG": "postgres:"},
            catalog=f"postgres:{services.libpq(environment)}",
        )

    return make


@pytest.fixture
def serving(postgres: services.Postgres, tmp_path: Path) -> Serving:
    """An empty one."""
    return Serving(postgres, f"serving_{tmp_path.name}")


@pytest.fixture
def marts(shop: Shop, serving: Serving) -> Shop:
    """A lake of the small project, two tables of which are published there."""
    shop.write("models/marts.yml", MARTS)
    shop.lake.environment["LAKE_SERVING_URL"] = serving.url
    assert shop.build().ok
    return shop
