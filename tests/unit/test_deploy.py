"""deploy/: valid for Kubernetes, and what a small change to it would break unseen."""

from __future__ import annotations

import json
import re
from itertools import chain

import kubernetes_validate
import pytest
import yaml

from tests.deployment import (
    DEPLOY,
    ENVIRONMENTS,
    ROOT,
    Document,
    container_of,
    context,
    environment,
    example_secrets,
    job_of,
    of_kind,
    one,
    overlay,
    pod_of,
    render,
    stages,
)

# The oldest Kubernetes that all of it is for: podFailurePolicy, timeZone and the rest are stable.
KUBERNETES = "1.31"

# What other operators define, of which Kubernetes publishes no schema.
CUSTOM = re.compile(r"[\w.]+\.(cnpg\.io|coreos\.com|toolkit\.fluxcd\.io|contrib\.fluxcd\.io)/\w+")


@pytest.fixture(params=ENVIRONMENTS)
def documents(request: pytest.FixtureRequest) -> tuple[Document, ...]:
    """Everything of an environment."""
    return overlay(request.param)


@pytest.fixture
def crons(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Tick and maintenance."""
    return of_kind(documents, "CronJob")


def workloads(documents: tuple[Document, ...]) -> list[Document]:
    """Everything that runs pods of ours."""
    return [one for one in documents if one["kind"] in ("CronJob", "Job", "Deployment")]


@pytest.mark.parametrize(
    "folder", [*(f"overlays/{name}" for name in ENVIRONMENTS), "flux", "airbyte/flux", "postgrest"]
)
def test_every_document_is_valid(folder: str) -> None:
    """By Kubernetes' published schemas, unknown fields refused."""
    for document in render(folder):
        if not CUSTOM.fullmatch(document["apiVersion"]):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


# -- pods ------------------------------------------------------------------------------------------


def test_pods_have_no_rights_that_they_do_not_need(documents: tuple[Document, ...]) -> None:
    for document in workloads(documents):
        pod, container = pod_of(document), container_of(document)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
    # Nobody may talk to Kubernetes' API.
    assert not [document["kind"] for document in documents if "Role" in document["kind"]]
    for namespace in of_kind(documents, "Namespace").values():
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_postgrest_reads_the_marts_as_bi() -> None:
    """An example that no overlay has: with no more rights than the pods that they have."""
    documents = render("postgrest")
    test_pods_have_no_rights_that_they_do_not_need(documents)
    container = container_of(one(documents, "Deployment", "postgrest"))
    secrets = {"postgrest": {"username": "postgrest", "password": "secret"}}
    values = environment(container, documents, secrets)
    assert (values["PGRST_DB_SCHEMAS"], values["PGRST_DB_ANON_ROLE"]) == ("marts", "bi")
    assert values["PGSSLMODE"] == "verify-full" and "secret" not in values["PGRST_DB_URI"]
    assert re.fullmatch(r"postgrest/postgrest:v\d+\.\d+\.\d+", container["image"])


def test_what_runs_is_pinned(documents: tuple[Document, ...]) -> None:
    """The manifests' images by version or digest; what the image is made of by digest and hash."""
    images = [container_of(document)["image"] for document in workloads(documents)]
    images.append(one(documents, "Cluster", "catalog")["spec"]["imageName"])
    for image in images:
        assert re.search(r":\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$", image), image
    (base,) = re.findall(r"^ARG PYTHON=(.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert re.search(r"@sha256:[0-9a-f]{64}$", base)
    for instruction, step in chain(*stages()):
        assert instruction != "ADD"
        assert instruction != "FROM" or step.startswith("${PYTHON}")
        assert not re.search(r"\b(curl|wget|apt-get|git)\b", step), step
        assert " install " not in step or "--require-hashes -" in step


def test_the_image_has_what_a_run_needs_only() -> None:
    """That it has all of it is shown by what runs in tests/system/test_deploy.py."""
    allowed = {"tests": ("generic", "integrity"), "deploy": ("postgres", "s3")}
    for file in context():
        top, *rest = file.parts
        assert not file.name.startswith(".") and "secret" not in file.name, file
        assert top not in ("sample", "benchmarks", "target"), file
        assert top not in allowed or rest[0] in allowed[top], file


def test_runs_do_not_overlap_and_have_time_and_memory(
    documents: tuple[Document, ...], crons: dict[str, Document]
) -> None:
    units = {"MB": 1e6, "GB": 1e9, "Mi": 2**20, "Gi": 2**30}
    default = re.search(
        r"LAKE_MEMORY_LIMIT', ''\) or '(\d+\w\w)'", (ROOT / "profiles.yml").read_text()
    )
    assert default
    assert set(crons) == {"tick", "maintenance"}
    for document in crons.values():
        assert document["spec"]["concurrencyPolicy"] == "Forbid"
        container = container_of(document)
        values = environment(container, documents, example_secrets())
        # A build is told to end, and has time to, before Kubernetes kills it.
        grace = int(values["LAKE_GRACE_SECONDS"])
        assert 0 < grace <= pod_of(document)["terminationGracePeriodSeconds"] - 20
        # Beside DuckDB there is Python.
        duckdb = values.get("LAKE_MEMORY_LIMIT", default[1])
        limit = container["resources"]["limits"]["memory"]
        assert int(limit[:-2]) * units[limit[-2:]] > 1.5 * int(duckdb[:-2]) * units[duckdb[-2:]]


def test_maintenance_is_tried_again(crons: dict[str, Document]) -> None:
    """While the lock is held (30) or something is away (40); the next tick is a tick's retry."""
    for name, final in (("tick", {10, 20, 30, 40, 64}), ("maintenance", {10, 20, 64})):
        job = job_of(crons[name])
        assert (job["backoffLimit"] > 0) is (name == "maintenance")
        *_, codes = job["podFailurePolicy"]["rules"]
        assert set(codes["onExitCodes"]["values"]) == final


# -- secrets ---------------------------------------------------------------------------------------


def test_no_secret_is_in_git(documents: tuple[Document, ...]) -> None:
    for name, values in example_secrets().items():
        secret = {text for key, text in values.items() if key not in ("username", "url")}
        assert secret == {"REPLACE"}, f"secrets.example.yaml, {name}"
    assert not of_kind(documents, "Secret")
    for path in filter(lambda path: path.is_file(), DEPLOY.rglob("*")):
        text = path.read_text()
        assert "AGE-SECRET-KEY-" not in text and "BEGIN PRIVATE KEY" not in text, path
        if path.name.endswith(".sops.yaml") and path.name != ".sops.yaml":
            for document in yaml.safe_load_all(text):
                assert "sops" in document, f"{path} is not encrypted"
    rule = yaml.safe_load((DEPLOY / ".sops.yaml").read_text())["creation_rules"][0]
    assert re.search(rule["path_regex"], "deploy/overlays/production/secrets.sops.yaml")
    assert re.search(rule["encrypted_regex"], "stringData")


# -- catalog, network, alerts ----------------------------------------------------------------------


def test_the_pods_reach_the_catalog_and_little_else(documents: tuple[Document, ...]) -> None:
    tick = one(documents, "CronJob", "tick")
    values = environment(container_of(tick), documents, example_secrets())
    initdb = one(documents, "Cluster", "catalog")["spec"]["bootstrap"]["initdb"]
    assert (values["PGHOST"], values["PGDATABASE"]) == ("catalog-rw", initdb["database"])
    assert values["PGSSLMODE"] == "verify-full"
    assert values["PGUSER"] != initdb["owner"]
    policies = of_kind(documents, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    # To the catalog, to S3, and for the webhook to the world, but to nothing inside.
    *_, webhook = policies["lake"]["spec"]["egress"]
    assert "10.0.0.0/8" in webhook["to"][0]["ipBlock"]["except"]


def test_the_catalog_is_backed_up_and_never_pruned(documents: tuple[Document, ...]) -> None:
    catalog = one(documents, "Cluster", "catalog")
    (plugin,) = catalog["spec"]["plugins"]
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] in of_kind(documents, "ObjectStore")
    backup = one(documents, "ScheduledBackup", "catalog-nightly")["spec"]
    assert backup["cluster"]["name"] == "catalog"
    assert backup["pluginConfiguration"]["name"] == plugin["name"]
    assert len(backup["schedule"].split()) == 6  # seconds first, unlike a CronJob's
    for document in (catalog, *of_kind(documents, "Namespace").values()):
        notes = document["metadata"]["annotations"]
        assert notes["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_alerts_watch_every_cron_job() -> None:
    production = overlay("production")
    (group,) = one(production, "PrometheusRule", "lotus-lake")["spec"]["groups"]
    watched = re.findall(r'cronjob="([^"]+)"', " ".join(rule["expr"] for rule in group["rules"]))
    assert set(watched) == set(of_kind(production, "CronJob"))


# -- rights ----------------------------------------------------------------------------------------


def test_seaweedfs_gives_the_rights_of_the_policies() -> None:
    """What the policies allow is tried out in tests/system/test_least_privilege.py."""
    words = {
        "s3:ListBucket": "List",
        "s3:ListBucketMultipartUploads": "Write",
        "s3:GetObject": "Read",
        "s3:PutObject": "Write",
        "s3:DeleteObject": "Write",
        "s3:AbortMultipartUpload": "Write",
        "s3:ListMultipartUploadParts": "Write",
    }
    policies = set()
    for path in DEPLOY.glob("s3/policy-*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            for resource in statement["Resource"]:
                place = resource.removeprefix("arn:aws:s3:::")
                bucket = re.sub(r"^(\w+)/\*$", r"\1", place)
                who = path.stem.removeprefix("policy-")
                policies |= {(who, bucket, words[action]) for action in statement["Action"]}
    script = (DEPLOY / "s3/seaweedfs.sh").read_text().replace("$SUFFIX", "")
    grants = re.findall(r'^ +grant (\w+) .* "?([\w/*]+)"? ([A-Z]\S+)$', script, re.M)
    granted = {(who, bucket, one) for who, bucket, actions in grants for one in actions.split(",")}
    assert granted == policies
