"""Listing: every file in its order, whatever its name, and only the days that matter."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import obstore
import pyarrow as pa
import pytest

from lotus_lake.config import LakeError
from lotus_lake.connection import s3_sql
from lotus_lake.landing import LocalLanding, S3Landing, open_landing
from tests.system.services import S3

from .conftest import DAY, FOLDER, ODD_NAMES, SmallLake, parquet

FILE = parquet(pa.table({"a": [1, 2]}))
IN_ORDER = [
    "outside.parquet",
    "year=2024/month=12/day=31/part_1.parquet",
    "year=2025/month=01/day=09/part_0.parquet",
    "year=2025/month=01/day=10/part_0.parquet",
    "year=2025/month=01/day=10/part_0.parquet-1",
    "year=2025/month=01/day=10/part_1.parquet",
    "year=2025/month=01/day=10/part_9.parquet",
    "year=2025/month=01/day=10/part_10.parquet",
    "year=2025/month=02/day=01/hour=2/part_0.parquet",
    "year=2025/month=02/day=01/hour=10/part_0.parquet",
]


def put(root: Path, path: str, content: bytes = FILE) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.fixture
def landing(tmp_path: Path) -> LocalLanding:
    return LocalLanding(str(tmp_path))


def names(files: list[Any], folder: str = "s/t/") -> list[str]:
    return [file.path.removeprefix(folder) for file in files]


# -- a local folder ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}"])
def test_files_are_listed_in_order_without_hidden_ones(tmp_path: Path, form: str) -> None:
    landing = open_landing(form.format(tmp_path))
    for path in reversed(IN_ORDER):
        put(tmp_path, f"s/t/{path}")
    hidden = ("_SUCCESS", ".part.crc", "_temporary/0/part.parquet", "year=2025/.tmp/part.parquet")
    for path in hidden:
        put(tmp_path, f"s/t/{path}")
    put(tmp_path, "s/tt/part.parquet")
    assert names(landing.files("s/t/")) == IN_ORDER
    assert landing.files("s/none/") == []
    assert landing.streams() == [("s", "t"), ("s", "tt")]


def test_files_that_vanish_while_they_are_listed_are_left_out(
    tmp_path: Path, landing: LocalLanding
) -> None:
    put(tmp_path, "s/t/a/part.parquet")
    gone = put(tmp_path, "s/t/b/part.parquet")
    real = os.lstat

    def vanishing(path: Any, *args: Any, **options: Any) -> Any:
        gone.unlink(missing_ok=True)
        return real(path, *args, **options)

    with patch("os.lstat", vanishing):
        assert names(landing.files("s/t/")) == ["a/part.parquet"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, landing: LocalLanding) -> None:
    put(tmp_path, "s/t/part.parquet")
    with (
        patch("os.scandir", side_effect=PermissionError(13, "Permission denied")),
        pytest.raises(LakeError, match=r"cannot be read at .*s/t.*Permission denied"),
    ):
        landing.files("s/t/")


# -- S3 ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(s3_server: S3) -> Iterator[str]:
    """A landing zone in a bucket, and the environment to reach it."""
    client = s3_server.client
    client.create_bucket(Bucket="landing")
    for path in [*IN_ORDER, "_SUCCESS", "year=2025/month=01/day=10/.part.crc"]:
        client.put_object(Bucket="landing", Key=f"raw/s/t/{path}", Body=FILE)
    with environment(s3_server.environment):
        yield "s3://landing/raw"


def environment(values: dict[str, str]) -> Any:
    """The environment with these values, and no AWS session that remembers others."""
    boto3.DEFAULT_SESSION = None
    return patch.dict(os.environ, values)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("s3://landing/raw", "s/t/"),
        ("s3://landing/raw/", "s/t/"),
        ("s3://landing", "raw/s/t/"),
        ("s3://landing/", "raw/s/t/"),
    ],
)
def test_s3_files_are_listed_in_order_without_hidden_ones(
    bucket: str, url: str, folder: str
) -> None:
    landing = S3Landing(url)
    files = landing.files(folder)
    assert names(files, folder) == IN_ORDER
    assert landing.uri(files[1].path) == f"s3://landing/raw/s/t/{IN_ORDER[1]}"
    assert landing.files("s/none/") == []
    assert S3Landing("s3://landing/raw").streams() == [("s", "t")]
    wanted = [files[1], files[2], files[4]]
    assert landing.again([*(file.path for file in wanted), f"{folder}gone"]) == wanted
    assert landing.again([]) == []


def test_s3_leaves_out_older_days(bucket: str) -> None:
    with patch("obstore.list", wraps=obstore.list) as asked:
        found = names(S3Landing(bucket).files("s/t/", date(2025, 1, 10)))
    assert found == IN_ORDER[3:]
    assert asked.call_args.kwargs["offset"] == "raw/s/t/year=2025/month=01/day=09~"


def test_s3_keys_that_obstore_cannot_tell_are_listed(bucket: str, s3_server: S3) -> None:
    """boto3 lists from there on: nothing is missed, nothing comes twice."""
    names_there = ["a.parquet", "b\nb.parquet", "c.parquet", "empty.parquet"]
    for name in names_there:
        content = b"" if name.startswith("empty") else FILE
        s3_server.client.put_object(Bucket="landing", Key=f"odd/s/t/{name}", Body=content)
    landing = S3Landing("s3://landing/odd")
    files = landing.files("s/t/")
    assert names(files) == names_there
    assert landing.again(file.path for file in files) == files


def test_s3_markers_of_folders_are_no_files(bucket: str, s3_server: S3) -> None:
    """The tests' server refuses such keys; an empty file makes boto3 list."""
    s3_server.client.put_object(Bucket="landing", Key="marked/s/t/empty.csv", Body=b"")
    found = [
        {"Key": f"marked/s/t/{name}", "ETag": "e", "Size": 0, "LastModified": datetime.now(UTC)}
        for name in ("", "/y.csv", "a/", "a/x.csv", "z.csv")
    ]
    with patch("boto3.client") as client:
        client().get_paginator().paginate.return_value = [{"Contents": found}]
        assert names(S3Landing("s3://landing/marked").files("s/t/")) == [
            *("/y.csv", "a/x.csv", "z.csv")
        ]


def test_importing_costs_no_heavy_library() -> None:
    code = "import sys, lotus_lake.landing, lotus_lake.listing as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pyarrow", "duckdb", "boto3", "obstore"}.isdisjoint(done.stdout.split())


def test_odd_names_and_formats_on_s3(
    bucket: str, s3_server: S3, open_again: Callable[[], SmallLake]
) -> None:
    """Also when the store has a checksum of the whole, and only a part of it is read."""
    lake = replace(open_again(), landing=S3Landing("s3://landing/odd names"))
    for statement in s3_sql():
        lake.query(statement)
    # DuckDB takes what follows a question mark in a URL for options; the server refuses others.
    odd = [name for name in ODD_NAMES if not {*"?\\\n"} & {*name}]
    whole = parquet([{"id": number, "name": "x" * 50} for number in range(5000)])
    contents = {
        **{name: parquet([{"id": -1 - number}]) for number, name in enumerate(odd)},
        "whole.parquet": whole,
        "packed.csv.gz": gzip.compress(b"id,name\n1,x\n", mtime=0),
        "lines.jsonl": b'{"id": 1}\n',
        "cut.parquet": whole[:-20],
    }
    for name, content in contents.items():
        s3_server.client.put_object(
            Bucket="landing",
            Key=f"odd names/{FOLDER}/{DAY}/{name}",
            Body=content,
            ChecksumAlgorithm="CRC32",
        )
    ((quarantined, reason),) = lake.feed().quarantined
    assert quarantined.endswith("/cut.parquet") and "cut off" in reason
    assert (
        dict(lake.rows("_source_file, id")).items()
        >= {f"{FOLDER}/{DAY}/{name}": -1 - number for number, name in enumerate(odd)}.items()
    )
    assert lake.rows("count(*)") == [(len(odd) + 5000 + 2,)]
    assert lake.feed().files == 0


@pytest.mark.parametrize(
    ("values", "url", "said"),
    [
        ({}, "s3://none/raw", "s3://none/raw cannot be listed.*NoSuchBucket"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "s3://landing/raw", r"AWS_\* keys"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "s3://landing/raw", r"AWS_\* keys"),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "s3://landing/raw",
            "AWS_ENDPOINT_URL_S3",
        ),
    ],
)
def test_what_is_wrong_with_a_store_is_named(
    bucket: str, values: dict[str, str], url: str, said: str
) -> None:
    with (
        environment(values),
        patch("time.sleep"),
        pytest.raises(LakeError, match=said) as refused,
    ):
        S3Landing(url).streams()
    boto3.DEFAULT_SESSION = None
    assert "secret" not in str(refused.value)
