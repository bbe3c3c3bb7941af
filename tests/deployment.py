"""What is in deploy/, read the way that Docker and Kubernetes read it."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
ENVIRONMENTS = ("production", "staging")

Document = dict[str, Any]


# -- manifests -------------------------------------------------------------------------------------


@functools.cache
def render(folder: str) -> tuple[Document, ...]:
    """Every document of a kustomization below deploy/, as kubectl would apply it."""
    beside = Path(sys.executable).parent / "kubectl"
    kubectl = str(beside) if beside.exists() else shutil.which("kubectl")
    assert kubectl, "kubectl is missing: run make setup"
    rendered = subprocess.run(
        [kubectl, "kustomize", str(DEPLOY / folder)], capture_output=True, text=True, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    return tuple(yaml.safe_load_all(rendered.stdout))


def overlay(name: str) -> tuple[Document, ...]:
    """Every document of an environment."""
    return render(f"overlays/{name}")


def of_kind(documents: tuple[Document, ...], kind: str) -> dict[str, Document]:
    """The documents of a kind, by name."""
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def one(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """One document, which has to be there."""
    return of_kind(documents, kind)[name]


def job_of(document: Document) -> Document:
    """The job's spec of a CronJob or Job; a Deployment's own, which has a pod in the same place."""
    spec: Document = document["spec"]
    return spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec


def pod_of(document: Document) -> Document:
    """The pod's spec of a CronJob, Job or Deployment."""
    return job_of(document)["template"]["spec"]  # type: ignore[no-any-return]


def container_of(document: Document) -> Document:
    """The only container of a CronJob, Job or Deployment."""
    (container,) = pod_of(document)["containers"]
    return container  # type: ignore[no-any-return]


def example_secrets() -> dict[str, dict[str, str]]:
    """The Secrets of deploy/overlays/production/secrets.example.yaml, by name."""
    text = (DEPLOY / "overlays/production/secrets.example.yaml").read_text()
    return {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load_all(text)}


def environment(
    container: Document,
    documents: tuple[Document, ...],
    secrets: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    """A container's environment variables, as the kubelet would set them.

    Raises:
        KeyError: It refers to a ConfigMap, a Secret or a key that is not there.
    """
    maps = {name: one["data"] for name, one in of_kind(documents, "ConfigMap").items()}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found.update(maps[source["configMapRef"]["name"]])
        else:
            found |= secrets[source["secretRef"]["name"]]
    for variable in container.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
            continue
        ((kind, reference),) = variable["valueFrom"].items()
        values = (maps if kind == "configMapKeyRef" else secrets).get(reference["name"], {})
        if reference["key"] in values or not reference.get("optional"):
            found[variable["name"]] = values[reference["key"]]
    return found


# -- image -----------------------------------------------------------------------------------------


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of deploy/Dockerfile, with their arguments; the last stage is
    the image."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            found.append([])
        if found:
            found[-1].append((instruction, arguments))
    return found


def image_environment() -> dict[str, str]:
    """The image's environment variables; build arguments have their defaults."""
    final = stages()[-1]
    arguments = dict(text.split("=", 1) for name, text in final if name == "ARG")
    words = (word for name, text in final if name == "ENV" for word in shlex.split(text))
    return {
        name: re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], value)
        for name, value in (word.split("=", 1) for word in words)
    }


def context() -> Iterator[Path]:
    """The files that .dockerignore lets through, relative to the project: it leaves out everything,
    then lets in paths, of which it leaves out some names again."""
    text = (ROOT / ".dockerignore").read_text()
    assert re.search(r"^\*$", text, re.MULTILINE)
    left_out = re.findall(r"^\*\*/(.+)$", text, re.MULTILINE)
    for path in [ROOT / name for name in re.findall("^!(.+)$", text, re.MULTILINE)]:
        assert path.exists(), f".dockerignore lets {path.name} through, which is not there"
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not set(left_out) & set(file.parts):
                yield file.relative_to(ROOT)
