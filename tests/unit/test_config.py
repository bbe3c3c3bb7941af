"""Where the lake lies: defaults, and what is refused before anything is opened."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from pathlib import Path

import duckdb
import jinja2
import pytest
import yaml

from lotus_lake.config import LakeConfig, LakeError, is_s3, local_path
from lotus_lake.connection import (
    connect,
    make_spill_folder,
    prepare_catalog,
    s3_secret_sql,
)

PROFILES = (Path(__file__).parents[2] / "profiles.yml").read_text()


def test_the_defaults_of_both_targets() -> None:
    local = LakeConfig.from_env({})
    assert local == LakeConfig(".lake/landing/raw", "sqlite:.lake/catalog.sqlite", ".lake/data/")
    prod = LakeConfig.from_env({"DBT_TARGET": "prod"})
    assert prod == LakeConfig("s3://landing/raw", "postgres:", "s3://lakehouse/data/", "prod")
    assert (local.uses_s3, prod.uses_s3) == (False, True)


def test_empty_variables_are_unset_ones() -> None:
    names = set(re.findall(r"env_var\('(\w+)'", PROFILES))
    assert {"DBT_TARGET", "LAKE_MEMORY_LIMIT"} <= names
    empty = dict.fromkeys(names | {"LAKE_LANDING_URL", "LAKE_CATALOG", "LAKE_DATA_URL"}, "")
    assert LakeConfig.from_env(empty) == LakeConfig.from_env({})
    unset, without = (
        jinja2.Template(PROFILES).render(env_var=values.get) for values in ({}, empty)
    )
    assert yaml.safe_load(without) == yaml.safe_load(unset)


@pytest.mark.parametrize("limit", ["2GB", "1.5 GiB", "500mb", "5G"])
def test_memory_limits_that_duckdb_takes(limit: str) -> None:
    LakeConfig.from_env({"LAKE_MEMORY_LIMIT": limit})
    duckdb.connect(config={"memory_limit": limit}).close()


@pytest.mark.parametrize("place", ["/dev/null/x", f"/tmp/{'long' * 100}"])
def test_a_folder_to_spill_to_that_cannot_be_made(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_TEMP_DIR", place)
    with pytest.raises(LakeError, match=r"LAKE_TEMP_DIR is .* which cannot be made: (File|Not)"):
        make_spill_folder()


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"DBT_TARGET": "dev"}, "DBT_TARGET is 'dev'"),
        ({"LAKE_CATALOG": "lake.duckdb"}, "LAKE_CATALOG"),
        ({"LAKE_CATALOG": "sqlite:"}, "LAKE_CATALOG"),
        *(
            ({"LAKE_MEMORY_LIMIT": limit}, f"LAKE_MEMORY_LIMIT is '{limit}'; it has to be a size")
            for limit in ("abc", "0", "5XB", "-5GB", "80%", "0GB", "10KB", "9999999TB")
        ),
    ],
)
def test_what_could_never_work_is_refused(variables: dict[str, str], part: str) -> None:
    with pytest.raises(LakeError, match=part):
        LakeConfig.from_env(variables)


@pytest.mark.parametrize(
    "url",
    [
        *("file:/lake/raw", "file://localhost/lake/raw", "FILE:///lake/raw", "file:///lake/%72aw"),
        *("file:///lake/raw?x", "C:/lake/raw", "s3://", "s3:///raw", "s3:b/raw", "S3://b/raw"),
        *("s3://b/x/../raw", "s3://b/./raw", "s3://b/raw%20x", "s3://b/raw?region=x"),
        *("gs://bucket/raw", "https://host/data"),
    ],
)
def test_a_place_has_one_spelling(url: str) -> None:
    """Of another one it could not be seen that it lies inside the landing zone."""
    for variable in ("LAKE_LANDING_URL", "LAKE_DATA_URL"):
        with pytest.raises(LakeError, match=f"{variable} is '"):
            LakeConfig.from_env({variable: url})


@pytest.mark.parametrize(
    "url",
    [
        *("s3://b", "s3://my-bucket.x/a b/c:d/..e/.f", "lake dir/it's 100%", "../lake", "lake/a:b"),
        *("/lake/?", "1:2"),
    ],
)
def test_places_with_odd_names(url: str) -> None:
    """Slashes at the end do not matter."""
    config = LakeConfig.from_env({"LAKE_LANDING_URL": f"{url}//"})
    assert config.landing_url == url
    assert is_s3(url) or local_path(f"file://{url}") == local_path(url) == Path(url)


@pytest.mark.parametrize(
    "catalog",
    [
        "postgres:host=nowhere password=s3cr3t",
        "postgres:host=nowhere PASSWORD\t=\n's3cr3t x'",
        "postgres:host='nowhere'password=s3cr3t",
        "postgres:sslpassword=s3cr3t",
        "postgres:postgresql://lake:s3cr3t@host/db",
        "postgres://lake:s3cr3t@host,other:5432/db",
        "postgres://:s3cr3t@/db",
        "postgres://host/db?user=lake&password=s3cr3t",
        "postgres://host/db?user=lake&pass%77ord=s3cr3t",
        "postgresql://lake:s3cr3t@host/db",
        "mysql:host=nowhere password=s3cr3t",
    ],
)
def test_a_password_in_the_catalog_is_refused(catalog: str) -> None:
    with pytest.raises(LakeError, match=r"LAKE_CATALOG holds a password.*PGPASSWORD") as refused:
        LakeConfig.from_env({"LAKE_CATALOG": catalog})
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "catalog",
    [
        "postgres:host=nowhere user=lake passfile=/run/pgpass",
        "postgres://lake@[::1]:5432/passwords?sslmode=verify-full&sslrootcert=/a%20b",
        "postgres:service=lake",
        "sqlite:/home/me:you@work/passwords.sqlite",
    ],
)
def test_catalogs_without_a_password(catalog: str) -> None:
    assert LakeConfig.from_env({"LAKE_CATALOG": catalog}).catalog == catalog


@pytest.mark.parametrize(
    ("landing", "data", "refused"),
    [
        ("s3://a/raw", "s3://a/raw/data", True),
        ("s3://a/raw/x", "s3://a/raw", True),
        ("s3://a/raw", "s3://a/raw-data", False),
        ("s3://a/raw", "s3://b/raw", False),
        ("lake/raw", "lake/raw/data", True),
        ("lake/raw", "./lake/../lake/raw/", True),
        ("/lake/raw", "file:///lake/raw/data", True),
        ("lake/raw", "lake/data", False),
        ("lake/raw", "s3://lake/raw", False),
    ],
)
def test_data_inside_the_landing_zone_is_refused(landing: str, data: str, refused: bool) -> None:
    variables = {"LAKE_LANDING_URL": landing, "LAKE_DATA_URL": data}
    if refused:
        with pytest.raises(LakeError, match="lie inside each other"):
            LakeConfig.from_env(variables)
    else:
        assert LakeConfig.from_env(variables).landing_url == landing


@pytest.mark.parametrize("place", ["circle", "file", "file/below", "long" * 100])
def test_data_that_can_be_nowhere_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").touch()
    catalog = f"sqlite:{tmp_path}/catalog.sqlite"
    variables = {"LAKE_DATA_URL": f"{tmp_path}/{place}", "LAKE_CATALOG": catalog}
    with pytest.raises(LakeError, match=r"LAKE_DATA_URL is .* cannot be made"):
        prepare_catalog(LakeConfig.from_env(variables))


def test_the_s3_secret_has_no_key_in_it() -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_S3": "http://localhost:9000/",
    }
    sql = s3_secret_sql(environment)
    assert "AKIA" not in sql and "s3cr3t" not in sql
    assert "endpoint 'localhost:9000', use_ssl False" in sql
    assert "region 'eu-central-1'" in sql
    assert "use_ssl True" in s3_secret_sql({"AWS_ENDPOINT_URL": "https://minio.example"})
    assert "endpoint" not in s3_secret_sql({})


def test_without_a_lake_it_is_said(tmp_path: Path) -> None:
    config = LakeConfig(str(tmp_path), f"sqlite:{tmp_path}/none.sqlite", f"{tmp_path}/data/")
    with pytest.raises(LakeError, match="dbt build"):
        connect(config)
    assert os.listdir(tmp_path) == []


def test_a_catalog_that_another_run_is_writing_can_be_written(tmp_path: Path) -> None:
    config = LakeConfig("landing", f"sqlite:{tmp_path}/c.sqlite", f"{tmp_path}/data/")
    prepare_catalog(config)
    with contextlib.closing(sqlite3.connect(tmp_path / "c.sqlite")) as writer:
        writer.execute("begin immediate")
        started = time.monotonic()
        prepare_catalog(config)
    assert time.monotonic() - started < 5, "it waited for the other run"
