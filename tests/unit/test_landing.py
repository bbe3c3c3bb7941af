"""Listing: every file in its order, whatever its name, and only the days that matter."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import boto3
import duckdb
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.config import LakeError
from lotus_lake.connection import CONNECT_CONFIG, extension_file, s3_secret_sql
from lotus_lake.landing import (
    LocalLanding,
    S3Landing,
    day_of,
    natural_key,
    open_landing,
    order_of,
)
from lotus_lake.probe import Probe, Prober
from lotus_lake.schema import literal
from tests.system.services import S3

from .conftest import parquet

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
ODD = [
    "a b.parquet",
    "a+b.parquet",
    "a'b.parquet",
    'a"b.parquet',
    "a*b.parquet",
    "a[b]c.parquet",
    "a%20b.parquet",
    "100%.parquet",
    "a#b.parquet",
    "a&b=c;d,e@f:g.parquet",
    "a{b,c}.parquet",
    "é–部.parquet",
    "part_0.parquet-1",
    "~x.parquet",
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


# -- order -------------------------------------------------------------------------------------


def test_days_come_before_names_and_numbers_are_compared_by_value() -> None:
    paths = [f"s/t/{path}" for path in IN_ORDER]
    shuffled = [paths[at * 3 % len(paths)] for at in range(len(paths))]
    assert sorted(shuffled, key=order_of) == paths


@pytest.mark.parametrize(
    ("path", "day"),
    [
        ("s/t/year=2025/month=01/day=15/part.parquet", date(2025, 1, 15)),
        ("s/t/year=2025/month=1/day=5/part.parquet", date(2025, 1, 5)),
        ("s/t/year=2025/month=02/day=30/part.parquet", None),
        ("s/t/part.parquet", None),
        ("s/t/year=2025/month=01/part.parquet", None),
    ],
)
def test_a_day_is_read_from_its_folder(path: str, day: date | None) -> None:
    assert day_of(path) == day


def test_keys_of_any_two_names_compare() -> None:
    odd = ["", "1", "a", "1a", "a1", "²", "1²", "٣", "a-1", "01", "1.0"]
    assert sorted(odd, key=natural_key)


# -- a local folder ----------------------------------------------------------------------------


def test_files_are_listed_in_order_without_hidden_ones(
    tmp_path: Path, landing: LocalLanding
) -> None:
    for path in reversed(IN_ORDER):
        put(tmp_path, f"s/t/{path}")
    hidden = ("_SUCCESS", ".part.crc", "_temporary/0/part.parquet", "year=2025/.tmp/part.parquet")
    for path in hidden:
        put(tmp_path, f"s/t/{path}")
    put(tmp_path, "s/tt/part.parquet")
    assert names(landing.files("s/t/")) == IN_ORDER
    assert landing.files("s/none/") == []
    assert landing.streams() == [("s", "t"), ("s", "tt")]


def test_a_version_is_a_path_with_size_and_time(tmp_path: Path, landing: LocalLanding) -> None:
    file = put(tmp_path, "s/t/part.parquet")
    (before,) = landing.files("s/t/")
    assert landing.files("s/t/") == [before]
    assert before.size == len(FILE)
    assert datetime.now(UTC) - before.last_modified < timedelta(minutes=1)
    os.utime(file, ns=(0, before.last_modified.microsecond))
    (after,) = landing.files("s/t/")
    assert (after.path, after.etag != before.etag) == (before.path, True)


@pytest.mark.parametrize("name", [*ODD, "a?b.parquet", "a\\b.parquet", "a\nb.parquet", "[!a].gz"])
def test_duckdb_reads_exactly_the_file_of_a_name(
    tmp_path: Path, landing: LocalLanding, name: str
) -> None:
    put(tmp_path, f"s/t/{name}")
    for decoy in ("aXb.parquet", "abc.parquet", "a\\Xb.parquet"):
        put(tmp_path, f"s/t/{decoy}", parquet(pa.table({"a": [1, 2, 3]})))
    (file,) = (file for file in landing.files("s/t/") if file.path == f"s/t/{name}")
    rows = duckdb.sql(
        f"select count(*), min(filename) from read_parquet({literal(landing.uri(file.path))})"
    ).fetchone()
    assert rows == (2, landing.root + file.path)
    with landing.filesystem.open_input_file(landing.arrow_path(file.path)) as data:
        assert pq.ParquetFile(data).metadata.num_rows == 2


def test_a_window_leaves_out_older_days_that_did_not_change(
    tmp_path: Path, landing: LocalLanding
) -> None:
    for path in IN_ORDER:
        put(tmp_path, f"s/t/{path}")
    since = date(2025, 1, 10)
    for day in ("year=2024/month=12/day=31", "year=2025/month=01/day=09"):
        os.utime(tmp_path / "s/t" / day, (0, 0))
    now = datetime.now(UTC)
    assert names(landing.files("s/t/", since, now - timedelta(1))) == [IN_ORDER[0], *IN_ORDER[3:]]
    assert names(landing.files("s/t/", since)) == [IN_ORDER[0], *IN_ORDER[3:]]
    put(tmp_path, "s/t/year=2025/month=01/day=09/late.parquet")
    assert "year=2025/month=01/day=09/late.parquet" in names(
        landing.files("s/t/", since, now - timedelta(1))
    )


def test_files_are_looked_at_again(tmp_path: Path, landing: LocalLanding) -> None:
    for name in ODD:
        put(tmp_path, f"s/t/{name}")
    files = landing.files("s/t/")
    assert landing.again(file.path for file in files) == files
    (tmp_path / "s/t" / ODD[0]).unlink()
    assert f"s/t/{ODD[0]}" not in [f.path for f in landing.again(file.path for file in files)]


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


def test_links_out_of_the_landing_zone_are_not_followed(tmp_path: Path) -> None:
    """They are listed as they are, so that they go into quarantine; what leads inside is fine."""
    outside = put(tmp_path, "outside/deep/secret.csv").parent.parent
    good = put(tmp_path, "raw/s/t/good.parquet")
    there, zone = good.parent, tmp_path / "zone"
    zone.symlink_to(tmp_path / "raw")
    for name, to in {
        "file": outside / "deep/secret.csv",
        "folder": outside,
        "etc": Path("/etc"),
        "relative": Path("../../../outside/deep/secret.csv"),
        "nowhere": tmp_path / "none",
        "itself": there / "itself",
        "above": there.parent,
        "here": Path("."),
        "device": Path("/dev/zero"),
        "inside": good,
    }.items():
        (there / name).symlink_to(to)
    (tmp_path / "raw/s/more/part").mkdir(parents=True)
    put(tmp_path, "raw/s/more/part/also.parquet")
    (there / "more").symlink_to(tmp_path / "raw/s/more")
    (tmp_path / "raw/s/more/back").symlink_to(tmp_path / "raw/s/t")
    os.mkfifo(there / "pipe")
    (tmp_path / "raw/s/gone").symlink_to(outside)
    landing = open_landing(str(zone))
    assert landing.streams() == [("s", "more"), ("s", "t")]
    readable = {"good.parquet", "inside", "more/part/also.parquet"}
    bad = {"file", "folder", "etc", "relative", "nowhere", "itself", "above", "here", "device"}
    files = landing.files("s/t/")
    assert {*names(files)} == {*readable, *bad, "more/back"}
    assert sorted(landing.versions("s/t/")) == sorted((file.path, file.etag) for file in files)
    assert landing.again(file.path for file in files) == files
    assert names(landing.files("s/gone/"), "s/") == ["gone"]
    for file in files:
        if file.path.removeprefix("s/t/") in readable:
            assert Path(landing.arrow_path(file.path)).read_bytes() == FILE
        else:
            with pytest.raises(OSError, match="a link that leads nowhere"):
                landing.arrow_path(file.path)


def test_a_folder_that_is_not_there_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="LAKE_LANDING_URL"):
        open_landing(str(tmp_path / "none"))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, landing: LocalLanding) -> None:
    put(tmp_path, "s/t/part.parquet")
    with (
        patch("os.scandir", side_effect=PermissionError(13, "Permission denied")),
        pytest.raises(LakeError, match=r"cannot be read at .*s/t.*Permission denied"),
    ):
        landing.files("s/t/")


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}"])
def test_forms_of_a_local_url(tmp_path: Path, form: str) -> None:
    put(tmp_path, "s/t/part.parquet")
    landing = open_landing(form.format(tmp_path))
    assert names(landing.files("s/t/")) == ["part.parquet"]


# -- S3 ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(s3_server: S3) -> Iterator[str]:
    """A landing zone in a bucket, and the environment to reach it."""
    client = s3_server.client
    client.create_bucket(Bucket="landing")
    for path in [*IN_ORDER, "_SUCCESS", "year=2025/month=01/day=10/.part.crc"]:
        client.put_object(Bucket="landing", Key=f"raw/s/t/{path}", Body=FILE)
    for name in ODD:
        client.put_object(Bucket="landing", Key=f"raw/s/odd/{name}", Body=FILE)
    with environment(s3_server.environment):
        yield "s3://landing/raw"


def environment(values: dict[str, str]) -> Any:
    """The environment with these values, and no AWS session that remembers others."""
    boto3.DEFAULT_SESSION = None
    return patch.dict(os.environ, values)


def test_s3_files_are_listed_in_order_without_hidden_ones(bucket: str) -> None:
    landing = S3Landing(bucket)
    assert names(landing.files("s/t/")) == IN_ORDER
    assert landing.files("s/none/") == []
    assert landing.streams() == [("s", "odd"), ("s", "t")]


def test_s3_leaves_out_older_days(bucket: str) -> None:
    with patch("obstore.list", wraps=obstore.list) as asked:
        found = names(S3Landing(bucket).files("s/t/", date(2025, 1, 10), datetime.now(UTC)))
    assert found == IN_ORDER[3:]
    assert asked.call_args.kwargs["offset"] == "raw/s/t/year=2025/month=01/day=09~"


def test_s3_files_are_looked_at_again(bucket: str) -> None:
    landing = S3Landing(bucket)
    files = landing.files("s/t/")
    wanted = [files[1], files[2], files[4]]
    assert landing.again([*(file.path for file in wanted), "s/t/gone"]) == wanted
    assert landing.again([]) == []


def test_s3_versions_are_those_of_the_files(bucket: str) -> None:
    landing = S3Landing(bucket)
    for since in (None, date(2025, 1, 10)):
        files = landing.files("s/t/", since)
        assert sorted(landing.versions("s/t/", since)) == sorted((f.path, f.etag) for f in files)


def test_s3_keys_that_obstore_cannot_tell_are_listed(bucket: str, s3_server: S3) -> None:
    """boto3 lists from there on: nothing is missed, nothing comes twice."""
    names_there = ["a.parquet", "b\nb.parquet", "c.parquet", "empty.parquet"]
    for name in names_there:
        content = b"" if name.startswith("empty") else FILE
        s3_server.client.put_object(Bucket="landing", Key=f"odd/s/t/{name}", Body=content)
    landing = S3Landing("s3://landing/odd")
    files = landing.files("s/t/")
    assert names(files) == names_there
    assert sorted(landing.versions("s/t/")) == sorted((file.path, file.etag) for file in files)
    assert landing.again(file.path for file in files) == files


class _Answer(BaseHTTPRequestHandler):
    """A store that has keys which the tests' server refuses: empty segments, markers of folders."""

    KEYS: ClassVar = [
        "raw/s/t/",
        "raw/s/t/a/",
        "raw/s/t/a/x.csv",
        "raw/s/t//y.csv",
        "raw/s/t/z.csv",
    ]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        after = query.get("start-after", [""])[0]
        keys = [key for key in self.KEYS if key > after and key.startswith(query["prefix"][0])]
        body = "<ListBucketResult><IsTruncated>false</IsTruncated>" + "".join(
            f"<Contents><Key>{key}</Key><LastModified>2025-01-15T00:00:00.000Z</LastModified>"
            f"<ETag>e</ETag><Size>{0 if key.endswith('/') else 9}</Size></Contents>"
            for key in sorted(keys)
        )
        content = f"{body}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("double", [True, False])
def test_s3_markers_of_folders_are_no_files(
    double: bool, s3_server: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [key for key in _Answer.KEYS if double or "//" not in key]
    monkeypatch.setattr(_Answer, "KEYS", keys)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    values = {
        **s3_server.environment,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
    }
    with environment(values):
        files = S3Landing("s3://any/raw").files("s/t/")
    boto3.DEFAULT_SESSION = None
    server.shutdown()
    server.server_close()
    assert sorted(names(files)) == sorted(["a/x.csv", "z.csv", *(["/y.csv"] if double else [])])


def test_importing_costs_no_heavy_library() -> None:
    code = "import sys, lotus_lake.landing, lotus_lake.listing as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pyarrow", "duckdb", "boto3", "obstore"}.isdisjoint(done.stdout.split())


@pytest.fixture(scope="module")
def s3_reader(bucket: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config=dict(CONNECT_CONFIG)) as connection:
        for name in ("httpfs", "aws"):
            connection.execute(f"load '{extension_file(name)}'")
        connection.execute(s3_secret_sql(dict(os.environ)))
        yield connection


def test_duckdb_reads_exactly_the_key_of_a_name(
    bucket: str, s3_reader: duckdb.DuckDBPyConnection
) -> None:
    landing = S3Landing(bucket)
    files = landing.files("s/odd/")
    assert sorted(names(files, "s/odd/")) == sorted(ODD)
    for file in files:
        assert s3_reader.execute(
            "select count(*), min(filename) from"
            f" read_parquet({literal(landing.uri(file.path))}, hive_partitioning = false)"
        ).fetchone() == (2, landing.root + file.path)
        with landing.filesystem.open_input_file(landing.arrow_path(file.path)) as data:
            assert pq.ParquetFile(data).metadata.num_rows == 2


def test_files_in_s3_are_scanned(bucket: str, s3_server: S3) -> None:
    """Also when the store has a checksum of the whole, and only a part of it is read."""
    whole = parquet(pa.table({"id": [*range(5000)], "name": ["x" * 50] * 5000}))
    files = {
        "a.parquet": whole,
        "b.csv.gz": gzip.compress(b"id,n\n1,x\n", mtime=0),
        "c.jsonl": b'{"id": 1}\n',
        "cut.parquet": whole[:-20],
    }
    for name, content in files.items():
        s3_server.client.put_object(
            Bucket="landing", Key=f"looks/s/t/{name}", Body=content, ChecksumAlgorithm="CRC32"
        )
    landing = S3Landing("s3://landing/looks")
    found = dict(Prober(landing).probe(landing.files("s/t/")))
    looks = {file.path.rsplit("/", 1)[-1]: look for file, look in found.items()}
    rows = {name: look.rows for name, look in looks.items() if isinstance(look, Probe)}
    assert rows == {"a.parquet": 5000, "b.csv.gz": 1, "c.jsonl": 1}
    assert "cut off" in str(looks["cut.parquet"])


@pytest.mark.parametrize("url", ["s3://landing", "s3://landing/", "s3://landing/raw/"])
def test_forms_of_an_s3_url(bucket: str, url: str) -> None:
    landing = S3Landing(url)
    folder = "s/t/" if "raw" in url else "raw/s/t/"
    assert names(landing.files(folder), folder) == IN_ORDER
    path = folder + IN_ORDER[1]
    assert landing.uri(path) == f"s3://landing/raw/s/t/{IN_ORDER[1]}"


def test_a_missing_bucket_is_named(bucket: str) -> None:
    with pytest.raises(LakeError, match=r"s3://none/raw cannot be listed.*NoSuchBucket"):
        S3Landing("s3://none/raw").streams()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("AWS_ACCESS_KEY_ID", "wrong"), ("AWS_SECRET_ACCESS_KEY", "wrong-secret")],
)
def test_wrong_keys_are_refused_and_not_told(bucket: str, variable: str, value: str) -> None:
    with environment({variable: value}), pytest.raises(LakeError) as refused:
        S3Landing(bucket).streams()
    boto3.DEFAULT_SESSION = None
    assert "AWS_* keys" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_store_that_is_away_is_named(bucket: str) -> None:
    away = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    with (
        environment(away),
        patch("time.sleep"),
        pytest.raises(LakeError, match="AWS_ENDPOINT_URL_S3"),
    ):
        S3Landing(bucket).files("s/t/")
