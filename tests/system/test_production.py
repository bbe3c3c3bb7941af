"""Landing and data in S3, the catalog in PostgreSQL, everything from the environment alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sample import Delivery
from tests.system import services
from tests.system.conftest import SEED, Reference
from tests.system.lake import Lake, differences
from tests.system.small_project import Shop


@pytest.mark.slow
def test_the_production_target(
    tmp_path: Path,
    parsed: Path,
    s3: services.S3,
    postgres: services.Postgres,
    sample: Delivery,
    reference: Reference,
) -> None:
    """In two deliveries on real servers, the lake equals the embedded one, and no secret is
    written anywhere: not in target, logs or output, nor in the catalog."""
    libpq = postgres.database("production")
    lake = Lake(
        tmp_path / "production",
        parsed=parsed,
        environment={
            **s3.environment,
            **libpq,
            "DBT_TARGET": "prod",
            "LAKE_LANDING_URL": "s3://landing/raw",
            "LAKE_DATA_URL": "s3://lakehouse/data/",
            "LAKE_CATALOG": "postgres:",
        },
        catalog=f"postgres:{services.libpq(libpq)}",
        connect=[s3.duckdb_secret],
    )
    # These two are the target's defaults.
    for name in ("LAKE_LANDING_URL", "LAKE_DATA_URL", "LAKE_CATALOG"):
        del lake.environment[name]
    for bucket in ("landing", "lakehouse"):
        s3.client.create_bucket(Bucket=bucket)
    late = [file for file in sample.files if "day=15" in file.path]
    staged = tmp_path / "first"
    first = Lake(staged)
    first.deliver((file.path for file in sample.files if file not in late), sample.out)
    s3.upload("landing", first.landing, "raw/")
    build = lake.build_quickly("--full-refresh")
    assert build.ok, build
    s3.upload("landing", sample.out, "raw/")  # what is there already is the same version again
    build = lake.build()
    assert build.ok, build
    snapshot = lake.snapshot()
    build = lake.build()
    assert build.ok, build
    assert lake.snapshot() == snapshot

    assert not lake.wrong_counts()
    assert sorted(lake.loaded()) == sorted(reference.loaded)
    assert not differences(lake.tables(), reference.tables)
    assert not differences(lake.everything("main"), reference.everything)
    assert not lake.data.exists()
    assert not list(lake.landing.iterdir())
    _assert_no_secret(lake, postgres)
    landed = {f"raw/{file.path}" for file in sample.files}
    assert set(s3.keys("landing")) == landed


@pytest.mark.slow
def test_over_tls(new_shop: Callable[..., Shop]) -> None:
    """With a certificate of one's own authority everything is reached when AWS_CA_BUNDLE names it;
    without it, one line says that the certificate is not trusted, and nothing is written."""
    with services.rclone_s3(tls=True) as s3:
        shop = new_shop(
            environment={
                **s3.environment,
                "LAKE_LANDING_URL": "s3://landing/raw",
                "LAKE_DATA_URL": "s3://lakehouse/data/",
            },
            connect=[s3.duckdb_secret],
        )
        shop.deliver_days(1, 2, SEED)
        for bucket in ("landing", "lakehouse"):
            s3.client.create_bucket(Bucket=bucket)
        s3.upload("landing", shop.lake.landing, "raw/")
        del shop.lake.environment["AWS_CA_BUNDLE"]
        refused = shop.lake.build_quickly()
        assert refused.code != 0
        assert "AWS_CA_BUNDLE" in refused.output, refused
        assert not s3.keys("lakehouse")
        shop.lake.environment |= s3.environment
        built = shop.lake.build_quickly()
        assert built.ok, built
        assert s3.keys("lakehouse")
        shop.assert_whole()


def _assert_no_secret(lake: Lake, postgres: services.Postgres) -> None:
    written = {str(path): path.read_bytes() for path in lake.home.rglob("*") if path.is_file()}
    assert any(name.endswith("dbt.log") for name in written)
    assert any(name.endswith("manifest.json") for name in written)
    written["catalog"] = subprocess.run(
        [
            services.postgres_program("pg_dump"),
            "--inserts",
            "-h",
            postgres.host,
            "-U",
            "postgres",
            "production",
        ],
        check=True,
        capture_output=True,
    ).stdout
    assert b"ducklake_snapshot" in written["catalog"]
    for name, content in written.items():
        for secret in (services.PG_PASSWORD, services.S3_SECRET, "s3cr3t"):
            assert secret.encode() not in content, f"{name} holds a secret"
