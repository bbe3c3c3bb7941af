"""What the cluster would run, run here: the image's files, the CronJobs' commands and environment,
against a real PostgreSQL and S3.

There is no container engine in these tests. The Dockerfile's steps are followed without one; what
stays unproven is the base image, the kubelet and the network.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sample import Delivery
from tests.deployment import (
    ROOT,
    container_of,
    context,
    environment,
    example_secrets,
    image_environment,
    of_kind,
    one,
    overlay,
    stages,
)
from tests.system import services
from tests.system.lake import Lake

pytestmark = pytest.mark.nightly


@dataclass(frozen=True)
class Image:
    """The image in a folder: what it has as /opt/venv and /app, read-only, and a pod's /tmp."""

    root: Path

    @property
    def app(self) -> Path:
        """Its working directory."""
        return self.root / "app"

    def here(self, text: str) -> str:
        """A setting with the image's paths as they are here."""
        places = {"/opt/venv": "venv", "/app": "app", "/tmp": "tmp"}
        return re.sub(
            r"(?<![^:])(/opt/venv|/app|/tmp)(?=[/:]|$)",
            lambda found: str(self.root / places[found[1]]),
            text,
        )

    def env(self) -> dict[str, str]:
        """Its environment variables; of what it starts from, PATH and the locale."""
        base = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        own = {
            name: self.here(value.replace("$PATH", base["PATH"]))
            for name, value in image_environment().items()
        }
        return base | own

    def empty_tmp(self) -> None:
        """What a new pod finds."""
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        (self.root / "tmp").mkdir()

    def listing(self) -> set[tuple[str, int]]:
        """Every file and folder with its time of change. Modes alone would not stop root, but what
        is written, even for a moment, changes its folder's time."""
        return {(str(path), path.lstat().st_mtime_ns) for path in [self.app, *self.app.rglob("*")]}


def steps(stage: list[tuple[str, str]]) -> Iterator[list[str]]:
    """The words of each of a stage's RUN steps, in order."""
    for instruction, run in stage:
        if instruction == "RUN":
            yield from map(shlex.split, run.split("&&"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """What the Dockerfile's own steps make: a virtual environment from requirements.lock alone, the
    files that .dockerignore lets through, and the project parsed."""
    build, final = stages()
    made = Image(tmp_path_factory.mktemp("image"))
    made.empty_tmp()
    here = {"python": [sys.executable], "pip": [sys.executable, "-m", "pip"]}
    for program, *words in steps(build):
        # Without pip's cache every test run would download it all.
        words = [made.here(word) for word in words if word != "--no-cache-dir"]
        subprocess.run([*here[program], *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    for path in context():
        target = made.app / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    env = made.env()
    del env["DBT_PARTIAL_PARSE_FILE_PATH"]  # it is set after these steps
    for program, *words in steps(final):
        if program != "rm":  # what each pod's /tmp hides
            # `>` of the step redirects.
            command = shlex.join([program, *map(made.here, words)]).replace(" '>' ", " > ")
            subprocess.run(command, check=True, cwd=made.app, env=env, shell=True)
    paths = [made.app, *made.app.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield made
    for path in paths:
        path.chmod(0o755)  # so that it can be removed
    shutil.rmtree(made.root)


class Cluster:
    """Production as deploy/overlays/production has it, with services of this machine."""

    def __init__(self, image: Image, postgres: services.Postgres, s3: services.S3) -> None:
        self.image = image
        self.manifests = overlay("production")
        self.crons = of_kind(self.manifests, "CronJob")
        self.catalog = postgres.database("pods")
        self.places = {
            **{name: self.catalog[name] for name in ("PGHOST", "PGPORT", "PGDATABASE")},
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
        }
        self.secrets = example_secrets() | {
            "lake-s3": {
                name: s3.environment[name]
                for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            },
            "lake-catalog": {
                "username": self.catalog["PGUSER"],
                "password": self.catalog["PGPASSWORD"],
            },
        }
        # The optional Secret is left out, as where no webhook is wanted.
        del self.secrets["lake-alerts"]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the pod of a CronJob: command, arguments and environment as rendered."""
        container = container_of(self.crons[name])
        rendered = environment(container, self.manifests, self.secrets)
        assert self.places.keys() <= rendered.keys()
        self.image.empty_tmp()
        return subprocess.run(
            [*container["command"], *container["args"]],
            env={**self.image.env(), **rendered, **self.places},
            cwd=self.image.app,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )


@pytest.fixture(scope="module")
def s3() -> Iterator[services.S3]:
    """An S3 server whose buckets nobody else fills."""
    with services.s3() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(
    image: Image, postgres: services.Postgres, s3: services.S3, sample: Delivery
) -> Cluster:
    """Landing is full, the lake is empty."""
    for bucket in ("landing", "lakehouse", "artifacts"):
        s3.client.create_bucket(Bucket=bucket)
    s3.upload("landing", sample.out, "raw/")
    return Cluster(image, postgres, s3)


def test_the_rendered_jobs_run(
    cluster: Cluster, image: Image, s3: services.S3, tmp_path: Path
) -> None:
    """A tick feeds and builds everything, a second finds nothing new, maintenance keeps every row;
    and none of them writes anywhere but to /tmp."""
    catalog = f"postgres:{services.libpq(cluster.catalog)}"
    lake = Lake(tmp_path, catalog=catalog, connect=[s3.duckdb_secret])
    before = image.listing()
    landed = sorted(s3.keys("landing"))

    tick = cluster.run("tick")
    # 10: the sample has files that belong into quarantine, and the build says so.
    assert tick.returncode == 10, tick.stdout[-4000:] + tick.stderr[-4000:]
    for line in tick.stdout.splitlines():
        json.loads(line)  # as --log-format json says
    assert "Unable to do partial parsing" not in tick.stdout, "the image's parsed project is no use"
    facts = "select order_id, net_sales from fct_sales order by all"
    sales = lake.query(facts)
    assert len(sales) > 100
    assert any(key.startswith("lotus-lake/") for key in s3.keys("artifacts"))

    snapshot = lake.snapshot()
    idle = cluster.run("tick")
    assert idle.returncode == 0, idle.stdout[-4000:] + idle.stderr[-4000:]
    assert lake.snapshot() == snapshot

    maintenance = cluster.run("maintenance")
    assert maintenance.returncode == 0, maintenance.stdout[-4000:] + maintenance.stderr[-4000:]
    assert lake.query(facts) == sales

    assert sorted(s3.keys("landing")) == landed
    assert image.listing() == before, "something was written beside the program"
    for run in (tick, idle, maintenance):
        for secret in (services.PG_PASSWORD, services.S3_SECRET):
            assert secret not in run.stdout + run.stderr


def test_the_rendered_site_serves_what_ticks_published(cluster: Cluster, tmp_path: Path) -> None:
    """The Deployment's command, arguments and environment: every part of the site, and from the
    address of a folder a way to its page; nothing can be written."""
    container = container_of(one(cluster.manifests, "Deployment", "site"))
    secrets = cluster.secrets | {"site-s3": cluster.secrets["lake-s3"]}
    rendered = environment(container, cluster.manifests, secrets)
    rendered["RCLONE_CONFIG_SITE_ENDPOINT"] = cluster.places["AWS_ENDPOINT_URL_S3"]
    port = services.free_port()
    here = {
        "$(SITE)": rendered["SITE"],
        "/etc/site": str(ROOT / "deploy/site"),
        ":8080": f"127.0.0.1:{port}",
    }
    command = [services.program("rclone"), *container["args"]]
    for there, path in here.items():
        command = [word.replace(there, path) for word in command]
    with services.running(command, tmp_path, rendered, port):
        root = f"http://127.0.0.1:{port}"
        for page, words in (
            ("/", "index.html"),
            ("/index.html", "Something needs a look"),
            ("/status/index.html", "Is everything fresh?"),
            ("/catalog/index.html", "fct_sales"),
            ("/lineage/index.html", '<div id="root">'),
        ):
            with urllib.request.urlopen(root + page) as answer:
                assert answer.headers.get_content_type() == "text/html", page
                assert words in answer.read().decode(), page
        put = urllib.request.Request(f"{root}/index.html", data=b"x", method="PUT")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(put)
