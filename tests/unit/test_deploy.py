"""deploy/: valid for Kubernetes, safe, and in step with itself and with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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

# What other operators define, and the fields without which it would not do its work.
CUSTOM = {
    ("postgresql.cnpg.io/v1", "Cluster"): [
        "instances",
        "imageName",
        "storage.size",
        "bootstrap.initdb.database",
        "bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs",
        "managed.roles",
        "plugins",
    ],
    ("postgresql.cnpg.io/v1", "ScheduledBackup"): ["schedule", "cluster.name", "method"],
    ("barmancloud.cnpg.io/v1", "ObjectStore"): [
        "configuration.destinationPath",
        "configuration.endpointURL",
        "configuration.s3Credentials.accessKeyId.name",
        "retentionPolicy",
    ],
    ("monitoring.coreos.com/v1", "PrometheusRule"): ["groups"],
    ("monitoring.coreos.com/v1", "PodMonitor"): ["selector.matchLabels", "podMetricsEndpoints"],
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): ["interval", "url", "ref.branch"],
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): [
        "interval",
        "path",
        "prune",
        "sourceRef.name",
        "decryption.secretRef.name",
    ],
    ("infra.contrib.fluxcd.io/v1alpha2", "Terraform"): [
        "interval",
        "path",
        "approvePlan",
        "sourceRef.kind",
        "sourceRef.name",
        "vars",
        "varsFrom",
    ],
}

# Variables that the code reads and no pod needs to have set, with the reason.
UNSET = {
    "AWS_ENDPOINT_URL": "an older name; AWS_ENDPOINT_URL_S3 is set",
    "AWS_DEFAULT_REGION": "an older name; AWS_REGION is set",
    "AWS_CA_BUNDLE": "the endpoint is inside the cluster, over http",
    "AWS_MAX_ATTEMPTS": "has a default",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "only set, by the code itself",
    "AWS_SESSION_TOKEN": "the keys are lasting ones",
    "DBT_USE_COLORS": "only set, by the code itself",
    "LAKE_BRANCH": "production is no branch",
    "LAKE_BRANCH_BY": "production is no branch",
    "LAKE_MEMORY_LIMIT": "profiles.yml has production's, which the image is parsed with",
    "LAKE_START_NEW": "a person sets it, once",
    "LAKE_TICK_ID": "the scheduler sets it for dbt",
    "LAKE_CODE_DIGEST": "the scheduler sets it for dbt",
}


@pytest.fixture(params=ENVIRONMENTS)
def documents(request: pytest.FixtureRequest) -> tuple[Document, ...]:
    """Everything of an environment."""
    return overlay(request.param)


@pytest.fixture
def jobs(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Everything that runs pods of ours, but for the site, which production alone has."""
    return of_kind(documents, "CronJob") | of_kind(documents, "Job")


SITE = one(overlay("production"), "Deployment", "site")


@pytest.fixture
def crons(documents: tuple[Document, ...]) -> dict[str, Document]:
    """Tick and maintenance."""
    return of_kind(documents, "CronJob")


def at(document: Document, path: str) -> Any:
    """A field by its path below spec, or None."""
    value: Any = document["spec"]
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


# -- validity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", [*(f"overlays/{name}" for name in ENVIRONMENTS), "flux", "airbyte/flux"]
)
def test_every_document_is_valid(folder: str) -> None:
    """Kubernetes' own by its published schemas, unknown fields refused; the others by the fields
    that matter."""
    checked = 0
    for document in render(folder):
        kind = (document["apiVersion"], document["kind"])
        if kind in CUSTOM:
            missing = [path for path in CUSTOM[kind] if at(document, path) in (None, "", [], {})]
            assert not missing, f"{kind[1]} {document['metadata']['name']}"
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        checked += 1
    assert checked


def test_the_validation_would_notice() -> None:
    tick = json.loads(json.dumps(one(overlay("production"), "CronJob", "tick")))
    tick["spec"]["jobTemplate"]["spec"]["backOffLimit"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(tick, KUBERNETES, strict=True)


def test_both_environments_have_a_namespace_of_their_own() -> None:
    names = set()
    for name in ENVIRONMENTS:
        namespaces = {
            document["metadata"]["namespace"]
            for document in overlay(name)
            if document["kind"] != "Namespace"
        }
        assert namespaces == set(of_kind(overlay(name), "Namespace"))
        names |= namespaces
    assert len(names) == len(ENVIRONMENTS)


# -- pods ------------------------------------------------------------------------------------------


def test_pods_have_no_rights_that_they_do_not_need(jobs: dict[str, Document]) -> None:
    assert set(jobs) == {"tick", "maintenance", "s3-setup"}
    for document in [*jobs.values(), SITE]:
        pod, container = pod_of(document), container_of(document)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        writable = {mount["name"] for mount in container["volumeMounts"] if "readOnly" not in mount}
        empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
        assert writable == empty


def test_nobody_may_talk_to_the_kubernetes_api(documents: tuple[Document, ...]) -> None:
    kinds = {document["kind"] for document in documents}
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & kinds
    assert one(documents, "ServiceAccount", "lotus-lake")["automountServiceAccountToken"] is False
    labels = next(iter(of_kind(documents, "Namespace").values()))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_pinned(documents: tuple[Document, ...], jobs: dict[str, Document]) -> None:
    images = [container_of(document)["image"] for document in [*jobs.values(), SITE]]
    images.append(one(documents, "Cluster", "catalog")["spec"]["imageName"])
    for image in images:
        assert re.search(r":\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$", image), image


def test_one_run_at_a_time_and_none_for_ever(crons: dict[str, Document]) -> None:
    assert set(crons) == {"tick", "maintenance"}
    for document in crons.values():
        spec, job = document["spec"], job_of(document)
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["timeZone"] == "Etc/UTC"
        assert spec["startingDeadlineSeconds"] > 10  # the controller looks every 10 s
        assert 0 < job["activeDeadlineSeconds"] <= 7200
        assert spec["successfulJobsHistoryLimit"] and spec["failedJobsHistoryLimit"]
        assert pod_of(document)["restartPolicy"] == "Never"  # podFailurePolicy asks for it


@pytest.mark.parametrize(
    ("name", "final", "retries"),
    [("tick", {10, 20, 30, 40, 64}, False), ("maintenance", {10, 20, 64}, True)],
)
def test_exit_codes(crons: dict[str, Document], name: str, final: set[int], retries: bool) -> None:
    """The next tick is a tick's retry; maintenance is tried again while the lock is held (30) or
    something is away (40). A drained node is nobody's failure."""
    job = job_of(crons[name])
    assert (job["backoffLimit"] > 0) is retries
    evicted, codes = job["podFailurePolicy"]["rules"]
    assert evicted["action"] == "Ignore"
    assert evicted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert codes["action"] == "FailJob"
    assert codes["onExitCodes"]["containerName"] == container_of(crons[name])["name"]
    assert codes["onExitCodes"]["operator"] == "In"
    assert set(codes["onExitCodes"]["values"]) == final


def test_maintenance_starts_when_no_tick_does(crons: dict[str, Document]) -> None:
    minute = crons["maintenance"]["spec"]["schedule"].split()[0]
    assert int(minute) % 5, "every fifth minute is a tick's"


def test_a_build_has_time_to_end(
    documents: tuple[Document, ...], crons: dict[str, Document]
) -> None:
    for document in crons.values():
        container = container_of(document)
        grace = int(environment(container, documents, example_secrets())["LAKE_GRACE_SECONDS"])
        assert 0 < grace <= pod_of(document)["terminationGracePeriodSeconds"] - 20


def test_memory_leaves_room_beside_duckdb(
    documents: tuple[Document, ...], crons: dict[str, Document]
) -> None:
    units = {"MB": 1e6, "GB": 1e9, "Mi": 2**20, "Gi": 2**30}
    default = re.search(
        r"LAKE_MEMORY_LIMIT', ''\) or '(\d+\w\w)'", (ROOT / "profiles.yml").read_text()
    )
    assert default
    for document in crons.values():
        container = container_of(document)
        values = environment(container, documents, example_secrets())
        duckdb = values.get("LAKE_MEMORY_LIMIT", default[1])
        limit = container["resources"]["limits"]["memory"]
        assert int(limit[:-2]) * units[limit[-2:]] > 1.5 * int(duckdb[:-2]) * units[duckdb[-2:]]


# -- settings and secrets --------------------------------------------------------------------------


def test_every_variable_that_the_code_reads_is_set(
    documents: tuple[Document, ...], crons: dict[str, Document]
) -> None:
    files = [
        path
        for pattern in ("lotus_lake/**/*.py", "scripts/*.py", "macros/**/*.sql", "profiles.yml")
        for path in ROOT.glob(pattern)
    ]
    read = {
        name
        for path in files
        for name in re.findall(r"['\"]((?:LAKE|DBT|AWS)_[A-Z0-9_]+)['\"]", path.read_text())
    }
    assert set(UNSET) <= read
    for document in crons.values():
        container = container_of(document)
        given = set(environment(container, documents, example_secrets())) | set(stages()[-1].env)
        assert sorted(read - given - set(UNSET)) == []
        assert {"PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE"} <= given


def test_secrets_are_where_the_manifests_look(
    documents: tuple[Document, ...], jobs: dict[str, Document]
) -> None:
    for document in jobs.values():
        environment(container_of(document), documents, example_secrets())  # KeyError otherwise
    environment(container_of(SITE), overlay("production"), example_secrets())
    store = one(documents, "ObjectStore", "catalog-backup")["spec"]["configuration"]
    for reference in store["s3Credentials"].values():
        assert reference["key"] in example_secrets()[reference["name"]]
    for role in one(documents, "Cluster", "catalog")["spec"]["managed"]["roles"]:
        assert example_secrets()[role["passwordSecret"]["name"]]["username"] == role["name"]


def test_no_secret_is_in_git(documents: tuple[Document, ...]) -> None:
    for name, values in example_secrets().items():
        secret = {text for key, text in values.items() if key != "username"}
        assert secret == {"REPLACE"}, f"secrets.example.yaml, {name}"
    assert not of_kind(documents, "Secret")
    for path in DEPLOY.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_text()
        assert "AGE-SECRET-KEY-" not in text and "BEGIN PRIVATE KEY" not in text, path
        if path.name.endswith(".sops.yaml") and path.name != ".sops.yaml":
            for document in yaml.safe_load_all(text):
                assert "sops" in document, f"{path} is not encrypted"
    rule = yaml.safe_load((DEPLOY / ".sops.yaml").read_text())["creation_rules"][0]
    assert re.search(rule["path_regex"], "deploy/overlays/production/secrets.sops.yaml")
    assert re.search(rule["encrypted_regex"], "stringData")


def test_the_pods_find_the_catalog(documents: tuple[Document, ...]) -> None:
    tick = container_of(one(documents, "CronJob", "tick"))
    values = environment(tick, documents, example_secrets())
    cluster = one(documents, "Cluster", "catalog")
    initdb = cluster["spec"]["bootstrap"]["initdb"]
    assert values["PGHOST"] == f"{cluster['metadata']['name']}-rw"
    assert values["PGDATABASE"] == initdb["database"]
    assert values["PGUSER"] != initdb["owner"]
    # The whole certificate is checked, so the operator's authority has to be mounted.
    assert values["PGSSLMODE"] == "verify-full"
    mounts = {mount["mountPath"] for mount in tick["volumeMounts"]}
    assert str(Path(values["PGSSLROOTCERT"]).parent) in mounts
    (reference,) = initdb["postInitApplicationSQLRefs"]["configMapRefs"]
    roles = one(documents, "ConfigMap", reference["name"])["data"][reference["key"]]
    assert roles == (DEPLOY / "postgres/role.sql").read_text()
    assert f"create role {values['PGUSER']} login" in roles


def test_backups_are_scheduled_and_kept(documents: tuple[Document, ...]) -> None:
    (plugin,) = one(documents, "Cluster", "catalog")["spec"]["plugins"]
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] in of_kind(documents, "ObjectStore")
    backup = one(documents, "ScheduledBackup", "catalog-nightly")["spec"]
    assert backup["cluster"]["name"] in of_kind(documents, "Cluster")
    assert backup["pluginConfiguration"]["name"] == plugin["name"]
    assert len(backup["schedule"].split()) == 6  # seconds first, unlike a CronJob's


# -- network ---------------------------------------------------------------------------------------


def test_the_network_is_closed_but_for_what_is_named(documents: tuple[Document, ...]) -> None:
    policies = of_kind(documents, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    tick = one(documents, "CronJob", "tick")
    values = environment(container_of(tick), documents, example_secrets())
    labels = job_of(tick)["template"]["metadata"]["labels"]
    lake = policies["lake"]["spec"]
    assert lake["podSelector"]["matchLabels"].items() <= labels.items()
    catalog, s3, webhook = lake["egress"]
    assert [port["port"] for port in catalog["ports"]] == [int(values["PGPORT"])]
    endpoint = re.fullmatch(
        r"https?://[\w-]+\.([\w-]+)\.svc\.cluster\.local:(\d+)", values["AWS_ENDPOINT_URL_S3"]
    )
    assert endpoint
    assert [port["port"] for port in s3["ports"]] == [int(endpoint[2])]
    (namespace,) = s3["to"]
    assert namespace["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": endpoint[1]
    }
    assert "10.0.0.0/8" in webhook["to"][0]["ipBlock"]["except"]
    # Whoever reaches the catalog may also be let in there.
    admitted = policies["catalog"]["spec"]["ingress"][0]["from"][0]
    assert admitted["podSelector"]["matchLabels"].items() <= labels.items()


# -- alerts ----------------------------------------------------------------------------------------


def test_alerts_speak_of_what_is_there(documents: tuple[Document, ...]) -> None:
    production = overlay("production")
    (group,) = one(production, "PrometheusRule", "lotus-lake")["spec"]["groups"]
    crons = of_kind(production, "CronJob")
    assert crons.keys() == {
        name for rule in group["rules"] for name in re.findall(r'cronjob="([^"]+)"', rule["expr"])
    }
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
        assert not anchor or anchor in anchors, rule["alert"]


# -- rights ----------------------------------------------------------------------------------------


def seaweedfs_rights() -> set[tuple[str, str, str]]:
    """(identity, bucket or part of one, action) of deploy/s3/seaweedfs.sh."""
    script = (DEPLOY / "s3/seaweedfs.sh").read_text().replace("$SUFFIX", "")
    grants = re.findall(r'^ +grant (\w+) .* "?([\w/*]+)"? ([A-Z]\S+)$', script, re.M)
    return {(who, bucket, one) for who, bucket, actions in grants for one in actions.split(",")}


def policy_rights() -> set[tuple[str, str, str]]:
    """The same of deploy/s3/policy-*.json, in SeaweedFS' words."""
    words = {
        "s3:ListBucket": "List",
        "s3:ListBucketMultipartUploads": "Write",
        "s3:GetObject": "Read",
        "s3:PutObject": "Write",
        "s3:DeleteObject": "Write",
        "s3:AbortMultipartUpload": "Write",
        "s3:ListMultipartUploadParts": "Write",
    }
    found = set()
    for path in DEPLOY.glob("s3/policy-*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            assert statement["Effect"] == "Allow"
            for resource in statement["Resource"]:
                place = resource.removeprefix("arn:aws:s3:::")
                bucket = re.sub(r"^(\w+)/\*$", r"\1", place)
                assert re.fullmatch(r"\w+(/\w+/\*)?", bucket), resource
                who = path.stem.removeprefix("policy-")
                found |= {(who, bucket, words[action]) for action in statement["Action"]}
    return found


def test_seaweedfs_gives_the_rights_of_the_policies() -> None:
    assert seaweedfs_rights() == policy_rights()


def test_nobody_but_airbyte_writes_landing() -> None:
    writers = {
        who for who, bucket, action in policy_rights() if (bucket, action) == ("landing", "Write")
    }
    assert writers == {"airbyte"}


# -- image -----------------------------------------------------------------------------------------


def test_the_image_runs_as_its_pod_expects() -> None:
    image = stages()[-1]
    pod = pod_of(one(overlay("production"), "CronJob", "tick"))
    context_of_pod = pod["securityContext"]
    assert image.all("USER")[-1] == (
        f"{context_of_pod['runAsUser']}:{context_of_pod['runAsGroup']}"
    )
    (entry,) = image.all("ENTRYPOINT")
    assert json.loads(entry) == pod["containers"][0]["command"]
    mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    written = ("HOME", "DBT_TARGET_PATH", "DBT_LOG_PATH", "LAKE_TEMP_DIR")
    assert {Path(image.env[name]).parts[1] for name in written} == {"tmp"}
    assert "/tmp" in mounted


def test_the_image_is_reproducible() -> None:
    for stage in stages():
        assert re.search(r"^[\w./-]+:\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}$", stage.image)
        assert not stage.all("ADD")
        for step in stage.all("RUN"):
            assert not re.search(r"\b(curl|wget|apt-get|git)\b", step), step
    build = stages()[0]
    (install,) = [step for step in build.all("RUN") if " install " in step]
    assert "--require-hashes" in install and "-r requirements.lock" in install


def test_the_image_has_what_a_run_needs_and_nothing_else() -> None:
    files = set(context())
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
    needed = [
        ROOT / folder
        for kind in ("model", "macro", "seed", "snapshot", "analysis")
        for folder in project[f"{kind}-paths"]
    ]
    needed += [
        ROOT / "tests/generic",
        ROOT / "tests/integrity",
        ROOT / "lotus_lake",
        ROOT / "scripts",
        ROOT / "docs",
        ROOT / "examples",
    ]
    wanted = {
        path.relative_to(ROOT)
        for folder in needed
        for path in folder.rglob("*")
        if path.suffix in (".py", ".sql", ".yml", ".md", ".html", ".csv", ".tmpl", ".css", ".rst")
        and "__pycache__" not in path.parts
    } | {Path("dbt_project.yml"), Path("profiles.yml"), Path("requirements.lock")}
    # What the guides link to.
    wanted |= {Path("CHANGELOG.md"), Path("CONTRIBUTING.md"), Path("LICENSE"), Path("README.md")}
    wanted |= {Path("deploy/postgres/role.sql")}
    wanted |= {Path(f"deploy/s3/policy-{who}.json") for who in ("lake", "pr", "site")}
    assert wanted <= files
    assert files - wanted == set()
    for stage in stages():
        for step in stage.all("COPY"):
            *sources, _ = [word for word in step.split() if not word.startswith("--")]
            if "--from" not in step:
                assert all((ROOT / source).exists() for source in sources), step


# -- Flux ------------------------------------------------------------------------------------------


def test_flux_applies_every_environment() -> None:
    """And Airbyte's configuration, for who names it: it needs another controller."""
    documents = render("flux")
    applied = of_kind(documents, "Kustomization")
    assert set(applied) == {f"lotus-lake-{name}" for name in ENVIRONMENTS}
    airbyte = yaml.safe_load((DEPLOY / "flux/airbyte.yaml").read_text())
    applied[airbyte["metadata"]["name"]] = airbyte
    (terraform,) = of_kind(render("airbyte/flux"), "Terraform").values()
    assert terraform["spec"]["sourceRef"]["name"] in of_kind(documents, "GitRepository")
    assert terraform["metadata"]["namespace"] == "flux-system"
    for document in applied.values():
        folder = ROOT / document["spec"]["path"]
        assert (folder / "kustomization.yaml").exists()
        assert document["spec"]["sourceRef"]["name"] in of_kind(documents, "GitRepository")
        assert document["spec"]["decryption"]["provider"] == "sops"
    for name in ENVIRONMENTS:
        for kind in ("Cluster", "Namespace"):
            for document in of_kind(overlay(name), kind).values():
                notes = document["metadata"]["annotations"]
                assert notes["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
