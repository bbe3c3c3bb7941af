"""What is in deploy/, read the way that Docker and Kubernetes read it."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile.

    Args:
        image: What it starts from, build arguments filled in.
        steps: Its instructions and their arguments, in order.
    """

    image: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """The arguments of every such instruction."""
        return [text for name, text in self.steps if name == instruction]

    @property
    def env(self) -> dict[str, str]:
        """Its environment variables; build arguments have their defaults."""
        arguments = dict(text.split("=", 1) for text in self.all("ARG"))
        words = (word for text in self.all("ENV") for word in shlex.split(text))
        return {
            name: re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], value)
            for name, value in (word.split("=", 1) for word in words)
        }


def stages() -> list[Stage]:
    """The stages of deploy/Dockerfile; the last one is the image."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        instruction, rest = line.split(maxsplit=1)
        if instruction == "ARG" and not found:
            name, value = rest.split("=", 1)
            arguments[name] = value
        elif instruction == "FROM":
            image = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest.split()[0])
            found.append(Stage(image))
        else:
            found[-1].steps.append((instruction, rest))
    return found


def context() -> Iterator[Path]:
    """The files that .dockerignore lets through, relative to the project.

    It is a list of what is allowed: `*`, then `!path` for each, then patterns that leave out again.
    """
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    allowed = [ROOT / line[1:] for line in lines if line.startswith("!")]
    left_out = [line.removeprefix("**/") for line in lines[1:] if not line.startswith("!")]
    for path in allowed:
        assert path.exists(), f".dockerignore lets {path.name} through, which is not there"
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not set(left_out) & set(file.parts):
                yield file.relative_to(ROOT)
