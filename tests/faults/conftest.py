"""What the fault tests share: the servers, the small project, and its lake in production."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system import services
from tests.system.conftest import (  # noqa: F401
    SEED,
    begun,
    built_shops,
    marts,
    new_shop,
    parsed,
    postgres,
    postgres_lake,
    s3,
    serving,
    shared,
    shop,
    small_project,
)
from tests.system.small_project import BEGUN, Shop


@pytest.fixture
def restarted(postgres: services.Postgres) -> Iterator[services.Postgres]:  # noqa: F811
    """The server, which runs again at the end in any case."""
    yield postgres
    postgres.start()


@pytest.fixture
def bucket(s3: services.S3, request: pytest.FixtureRequest) -> str:  # noqa: F811
    """A bucket of one's own; its name."""
    name = f"faults-{zlib.crc32(request.node.nodeid.encode())}"
    s3.client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def production(
    tmp_path: Path,
    postgres: services.Postgres,  # noqa: F811
    s3: services.S3,  # noqa: F811
    bucket: str,
    new_shop: Callable[..., Shop],  # noqa: F811
) -> Shop:
    """A lake with the catalog in PostgreSQL and everything else in one bucket; the first days have
    landed, and are not fed yet. What lands in its own folder has to be uploaded."""
    libpq = postgres.database(tmp_path.name)
    made = new_shop(
        name="production",
        environment={
            **s3.environment,
            **libpq,
            "DBT_TARGET": "prod",
            "LAKE_LANDING_URL": f"s3://{bucket}/raw",
            "LAKE_DATA_URL": f"s3://{bucket}/lake/data/",
            "LAKE_CATALOG": "postgres:",
        },
        catalog=f"postgres:{services.libpq(libpq)}",
        connect=[s3.duckdb_secret],
    )
    made.deliver_days(1, BEGUN, SEED)
    s3.upload(bucket, made.lake.landing, "raw/")
    return made
