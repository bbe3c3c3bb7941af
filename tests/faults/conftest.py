"""What the fault tests share: servers of their own, and a lake that nothing ever disturbed."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from sample import generate
from tests.faults.world import Undisturbed, ticks_of
from tests.oracle import compute
from tests.system import services
from tests.system.conftest import (  # noqa: F401
    SEED,
    new_lake,
    once,
    parsed,
    postgres,
    s3,
    shared,
)
from tests.system.lake import Lake, differences
from tests.system.scheduling import Ticks


@pytest.fixture(scope="session")
def undisturbed(shared: Path, parsed: Path) -> Undisturbed:  # noqa: F811
    """A week of a small shop in two ticks that nothing disturbs; checked by the oracle."""
    made = shared / "undisturbed.pickle"
    with once(shared, "undisturbed") as mine:
        if mine:
            landed = shared / "faults-landing"
            generate(landed, orders=60, days=7, seed=SEED, start=date(2025, 1, 2))
            files = sorted(
                str(path.relative_to(landed)) for path in landed.rglob("*") if path.is_file()
            )
            rest = [path for path in files if path.partition("day=")[2][:2] in ("06", "07", "08")]
            begun = ticks_of(Lake(shared / "faults-begun", parsed=parsed))
            begun.lake.deliver((path for path in files if path not in rest), landed)
            whole = ticks_of(Lake(shared / "faults-whole", parsed=parsed))
            for ticks in (begun, whole):
                if ticks is whole:
                    whole.copy_of(begun)
                    whole.lake.deliver(rest, landed)
                    del whole.environment["DBT_RESOURCE_TYPES"]  # with dbt's tests, this once
                done = ticks.run()
                assert done.code == 0, done.output
            tables = whole.lake.everything("main")
            assert not differences(whole.lake.tables(), compute(landed))
            made.write_bytes(
                pickle.dumps(Undisturbed(landed, begun.lake.home, files, rest, tables))
            )
    assert made.exists(), "the undisturbed lake could not be built: see the first failure"
    return pickle.loads(made.read_bytes())  # type: ignore[no-any-return]


@pytest.fixture
def begun(undisturbed: Undisturbed, new_lake: Callable[..., Lake]) -> Ticks:  # noqa: F811
    """A lake of one's own that has fed the first days; the rest has not landed yet."""
    ticks = ticks_of(new_lake("begun"))
    ticks.copy_of(Ticks(Lake(undisturbed.begun)))
    return ticks


@pytest.fixture
def landing_s3(s3: services.S3, undisturbed: Undisturbed, request: pytest.FixtureRequest) -> str:  # noqa: F811
    """A bucket of one's own, with everything landed below ``raw/``; its name."""
    name = f"faults-{zlib.crc32(request.node.nodeid.encode())}"
    s3.client.create_bucket(Bucket=name)
    s3.upload(name, undisturbed.landed, "raw/")
    return name
