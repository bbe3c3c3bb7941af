"""The whole build with no more rights than deploy/ hands out: a PostgreSQL role made by role.sql,
and keys that may do what policy-*.json says.

PostgreSQL and SeaweedFS are real ones, set up by the files that production is set up by. The same
tests run with AWS' policies, which moto's server judges: it checks each request's signature and
weighs it against the policy language.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lotus_lake.connection import extension_file
from tests.deployment import DEPLOY, ROOT
from tests.system import services
from tests.system.conftest import SEED
from tests.system.lake import Lake
from tests.system.small_project import Shop, history

IDENTITIES = ("lake", "airbyte", "reader", "backup", "pr")
BUCKETS = ("landing", "lakehouse", "artifacts", "backup")
PASSWORD = "only-for-the-pods"


# -- S3 --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    """An S3 server that knows who may do what.

    Args:
        endpoint: Its URL.
        keys: Key id and secret of each identity.
    """

    endpoint: str
    keys: dict[str, tuple[str, str]]

    def client(self, identity: str) -> Any:
        """A boto3 client of an identity."""
        return _client("s3", self.endpoint, self.keys[identity])

    def environment(self, identity: str) -> dict[str, str]:
        """The AWS SDK's environment variables of an identity."""
        key, secret = self.keys[identity]
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def duckdb_secret(self, identity: str) -> str:
        """The statement with which a connection of an identity reads it."""
        key, secret = self.keys[identity]
        return (
            f"create secret (type s3, key_id '{key}', secret '{secret}', region 'us-east-1',"
            f" endpoint '{self.endpoint.removeprefix('http://')}', url_style 'path', use_ssl false)"
        )

    def objects(self, bucket: str) -> set[str]:
        """Every key of a bucket that the pods can list."""
        pages = self.client("lake").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def refuses(self, action: Callable[..., Any], **arguments: str) -> bool:
        """Whether a call is refused for want of rights, and for nothing else."""
        try:
            action(**arguments)
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
            return True
        return False


def _client(service: str, endpoint: str, key: tuple[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


@contextmanager
def policies(folder: Path) -> Iterator[Store]:
    """Identities with policy-*.json attached, judged by moto."""
    port = services.free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    # Nothing is judged before identities are there.
    settings = {"INITIAL_NO_AUTH_ACTION_COUNT": "1000000"}
    with services.running(command, folder, settings, port):
        anybody = ("A" * 20, "anything")
        for bucket in BUCKETS:
            _client("s3", endpoint, anybody).create_bucket(Bucket=bucket)
        iam, keys = _client("iam", endpoint, anybody), {}
        for name in IDENTITIES:
            iam.create_user(UserName=name)
            policy = json.loads((DEPLOY / f"s3/policy-{name}.json").read_text())
            for statement in policy["Statement"]:
                if "s3:DeleteObject" in statement["Action"]:
                    # Of a request that deletes many, moto asks for the right to the bucket; AWS
                    # asks for each key's.
                    statement["Resource"] += [one.split("/")[0] for one in statement["Resource"]]
            iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
            key = iam.create_access_key(UserName=name)["AccessKey"]
            keys[name] = (key["AccessKeyId"], key["SecretAccessKey"])
        request = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()
        yield Store(endpoint, keys)


@contextmanager
def seaweedfs() -> Iterator[Store]:
    """A SeaweedFS, set up by seaweedfs.sh as the cluster's is."""
    keys = {name: (f"{name.upper():X<20}", f"secret-of-{name}") for name in IDENTITIES}
    with services.seaweedfs() as (endpoint, master):
        settings = {"WEED_MASTER": master}
        for name, (key, secret) in keys.items():
            settings |= {f"{name.upper()}_KEY": key, f"{name.upper()}_SECRET": secret}
        path = f"{Path(services.program('weed')).parent}:{os.environ['PATH']}"
        for _ in range(2):  # it may be run again
            subprocess.run(
                ["sh", str(DEPLOY / "s3/seaweedfs.sh")],
                env={**os.environ, **settings, "PATH": path},
                check=True,
                timeout=120,
            )
        store = Store(endpoint, keys)
        _wait_until_rights_are_known(store)
        yield store


def _wait_until_rights_are_known(store: Store) -> None:
    """The gateway hears of identities through the filer."""
    for attempt in range(120):
        try:
            store.client("airbyte").put_object(Bucket="landing", Key="probe", Body=b"?")
            store.client("airbyte").delete_object(Bucket="landing", Key="probe")
            return
        except ClientError:
            if attempt == 119:
                raise
            time.sleep(0.25)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("policies", marks=pytest.mark.slow),
        pytest.param("seaweedfs", marks=pytest.mark.nightly),
    ],
)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Buckets and identities; what has landed was written by Airbyte's."""
    folder = tmp_path_factory.mktemp("store")
    with policies(folder) if request.param == "policies" else seaweedfs() as server:
        airbyte = server.client("airbyte")
        for path, text in history(SEED).items():
            airbyte.put_object(Bucket="landing", Key=f"raw/{path}", Body=text.encode())
        yield server


# -- PostgreSQL ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Catalog:
    """A database in which role.sql has been run."""

    host: str
    database: str

    def environment(self, user: str) -> dict[str, str]:
        """libpq's environment variables of a role."""
        return {
            "PGHOST": self.host,
            "PGPORT": "5432",
            "PGUSER": user,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": self.database,
        }

    def libpq(self, user: str) -> str:
        """The same as a connection string."""
        return f"host={self.host} port=5432 dbname={self.database} user={user} password={PASSWORD}"

    def psql(self, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run psql as a role."""
        return subprocess.run(
            [services.postgres_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments],
            env={**os.environ, **self.environment(user)},
            capture_output=True,
            text=True,
            check=False,
        )

    def refuses(self, user: str, sql: str) -> bool:
        """Whether a statement is refused for want of rights, and for nothing else."""
        done = self.psql(user, "-c", sql)
        if done.returncode == 0:
            return False
        assert "permission denied" in done.stderr or "must be" in done.stderr, done.stderr
        return True


@pytest.fixture(scope="module")
def catalog(postgres: services.Postgres, store: Store) -> Catalog:
    """A database of a server that other databases are on, set up by role.sql, run twice."""
    name = f"least_{time.monotonic_ns()}"
    made = Catalog(postgres.host, name)
    for arguments in (
        ("-d", "postgres", "-c", f"create database {name}"),
        ("-f", str(DEPLOY / "postgres/role.sql"), "-f", str(DEPLOY / "postgres/role.sql")),
        ("-c", f"alter role lotus_lake password '{PASSWORD}'"),
        ("-c", f"alter role lotus_lake_pr password '{PASSWORD}'"),
        ("-c", "drop role if exists analyst"),
        ("-c", f"create role analyst login password '{PASSWORD}' in role lotus_lake_reader"),
        ("-c", "create table public.of_the_owner (secret text)"),
    ):
        done = made.psql("postgres", *arguments)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, small_project: Path, store: Store, catalog: Catalog
) -> Shop:
    """The lake of the pods, not built yet."""
    return shop_of(tmp_path_factory.mktemp("pods"), small_project, store, catalog)


def shop_of(
    home: Path,
    project: Path,
    store: Store,
    catalog: Catalog,
    key: str = "lake",
    role: str = "lotus_lake",
) -> Shop:
    """The lake, for who has a key and a role."""
    lake = Lake(
        home,
        parsed=project.with_name("small-parsed"),
        environment={
            **store.environment(key),
            **catalog.environment(role),
            "DBT_TARGET": "prod",
            "LAKE_LANDING_URL": "s3://landing/raw",
            "LAKE_DATA_URL": "s3://lakehouse/data/",
            "LAKE_CATALOG": "postgres:",
        },
        catalog=f"postgres:{catalog.libpq(role)}",
        connect=[store.duckdb_secret(key)],
    )
    shop = Shop(lake, project)
    shop.add_meta()
    for path, text in history(SEED).items():  # to compare with; what is fed comes from S3
        shop.land(path, text)
    return shop


def scheduler(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a pod runs."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/scheduler.py"), *arguments],
        env={**lake.environment, "LAKE_ARTIFACTS_URL": "s3://artifacts/lotus-lake"},
        capture_output=True,
        text=True,
        check=False,
    )


# -- what the pods can do --------------------------------------------------------------------------


def test_the_whole_build(shop: Shop, store: Store) -> None:
    """A tick makes everything from an empty database and an empty bucket, every test included, and
    publishes what says so, without a secret; the next one has nothing to do. Then every table is
    made again."""
    tick = scheduler(shop.lake)
    assert tick.returncode == 0, tick.stdout[-4000:] + tick.stderr[-4000:]
    assert "scheduler: WARNING" not in tick.stdout, tick.stdout
    shop.assert_whole()
    pods = store.client("lake")
    published = {
        key: pods.get_object(Bucket="artifacts", Key=key)["Body"].read()
        for key in store.objects("artifacts")
    }
    assert b"fct_statuses" in published["lotus-lake/manifest.json"]
    assert "lotus-lake/site/index.html" in published
    snapshot = shop.lake.snapshot()
    idle = scheduler(shop.lake)
    assert idle.returncode == 0 and "Nothing new" in idle.stdout, idle.stdout + idle.stderr
    assert shop.lake.snapshot() == snapshot
    for secret in (PASSWORD, store.keys["lake"][1]):
        assert secret not in tick.stdout + tick.stderr + idle.stdout + idle.stderr
        assert not [key for key, content in published.items() if secret.encode() in content]
    build = shop.lake.build_quickly("--full-refresh")
    assert build.ok, build
    shop.assert_whole()


def test_maintenance(shop: Shop, store: Store) -> None:
    """It deletes files of the lake: the last of the rights that pods need."""
    files = store.objects("lakehouse")
    settings = "{snapshot_days: 0, cleanup_delay_days: 0}"
    done = scheduler(shop.lake, "--maintain", "--vars", settings)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert files - store.objects("lakehouse"), "nothing was deleted, so the right to was not tried"
    shop.assert_whole()


def test_a_pull_request(
    shop: Shop, store: Store, catalog: Catalog, tmp_path: Path, small_project: Path
) -> None:
    """With the key and the role for pull requests a branch is made, built and dropped, and nothing
    of the lake can be written."""
    mine = shop_of(tmp_path, small_project, store, catalog, "pr", "lotus_lake_pr")
    files = store.objects("lakehouse")
    made = mine.lake.command("branch", "create", "trial")
    assert made.code == 0, made
    branch = Shop(mine.lake.branch("trial"), mine.project)
    built = branch.lake.build_quickly("--select", "int_orders+", "--full-refresh")
    assert built.ok, built
    branch.assert_whole()
    refused = mine.lake.build_quickly("--select", "fct_statuses", "--full-refresh")
    assert refused.code != 0
    assert "permission denied" in refused.output
    new = store.objects("lakehouse") - files
    assert new
    assert all(path.startswith("branches/trial/") for path in new)
    assert mine.lake.command("branch", "drop", "trial").code == 0
    assert store.objects("lakehouse") == files

    key = store.client("pr")
    (first, *_) = key.list_objects_v2(Bucket="lakehouse", Prefix="data/")["Contents"]
    for bucket, path in (
        *(("lakehouse", "data/new"), ("lakehouse", first["Key"]), ("lakehouse", "branches")),
        *(("landing", "raw/new"), ("artifacts", "lotus-lake/manifest.json")),
    ):
        assert store.refuses(key.put_object, Bucket=bucket, Key=path, Body="1"), path
        assert store.refuses(key.delete_object, Bucket=bucket, Key=path), path
    assert not store.refuses(key.get_object, Bucket="artifacts", Key="lotus-lake/manifest.json")
    assert store.objects("lakehouse") == files
    shop.assert_whole()


# -- and what they cannot --------------------------------------------------------------------------


def test_pods_cannot_change_what_landed(store: Store) -> None:
    pods = store.client("lake")
    (first, *_) = pods.list_objects_v2(Bucket="landing")["Contents"]
    assert store.refuses(pods.put_object, Bucket="landing", Key="raw/new", Body="1")
    assert store.refuses(pods.put_object, Bucket="landing", Key=first["Key"], Body="1")
    assert store.refuses(pods.delete_object, Bucket="landing", Key=first["Key"])
    many = pods.delete_objects(Bucket="landing", Delete={"Objects": [{"Key": first["Key"]}]})
    assert [error["Code"] for error in many["Errors"]] == ["AccessDenied"]
    assert first["Key"] in store.objects("landing")
    assert store.refuses(pods.delete_bucket, Bucket="landing")
    assert store.refuses(pods.list_objects_v2, Bucket="backup")
    assert store.refuses(pods.put_object, Bucket="backup", Key="base", Body="1")
    assert not store.refuses(pods.put_object, Bucket="artifacts", Key="manifest.json", Body="{}")


def test_pods_own_nothing_but_their_tables(catalog: Catalog) -> None:
    for sql in (
        "create database another",
        "create role another",
        "create schema another",
        "alter role lotus_lake superuser",
        "drop database postgres",
        "drop schema public",
        "select * from public.of_the_owner",
        "drop table public.of_the_owner",
        "select rolpassword from pg_authid",
        "copy (select 1) to program 'true'",
    ):
        assert catalog.refuses("lotus_lake", sql), sql


def test_analysts_read_and_no_more(shop: Shop, catalog: Catalog, store: Store) -> None:
    """A role in lotus_lake_reader with the reader's key queries the lake; neither PostgreSQL nor S3
    lets it change anything."""
    with duckdb.connect() as connection:
        for name in ("postgres_scanner", "ducklake", "httpfs"):
            connection.execute(f"load '{extension_file(name)}'")
        connection.execute(store.duckdb_secret("reader"))
        connection.execute(
            f"attach 'ducklake:postgres:{catalog.libpq('analyst')}' as lakehouse (read_only)"
        )
        sql = "select count(*), sum(orders) from lakehouse.main.fct_customers"
        assert connection.execute(sql).fetchall() == shop.lake.query(sql)
    for sql in (
        "delete from public.ducklake_snapshot",
        "update public.ducklake_metadata set value = 's3://elsewhere/'",
        "create table public.mine (a int)",
        "drop table public.ducklake_table",
    ):
        assert catalog.refuses("analyst", sql), sql
    reader = store.client("reader")
    (first, *_) = reader.list_objects_v2(Bucket="lakehouse")["Contents"]
    assert not store.refuses(reader.get_object, Bucket="lakehouse", Key=first["Key"])
    assert store.refuses(reader.put_object, Bucket="lakehouse", Key="data/new", Body="1")
    assert store.refuses(reader.delete_object, Bucket="lakehouse", Key=first["Key"])
    assert store.refuses(reader.list_objects_v2, Bucket="landing")


def test_airbyte_sees_nothing_of_the_lake(store: Store) -> None:
    airbyte = store.client("airbyte")
    assert store.refuses(airbyte.list_objects_v2, Bucket="lakehouse")
    assert store.refuses(airbyte.put_object, Bucket="lakehouse", Key="data/new", Body="1")
    assert store.refuses(airbyte.get_object, Bucket="lakehouse", Key="incident.json")
