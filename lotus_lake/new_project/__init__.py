"""A dbt project on the engine: what ``lake init`` writes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template

from lotus_lake.config import LakeError
from lotus_lake.settings import read_yaml

_TEMPLATES = Path(__file__).parent
_PACKAGE = "engine"


def engine() -> Path:
    """The engine's dbt package: in the wheel, or beside this package in a checkout."""
    python = Path(__file__).parent.parent
    return next(path for path in (python / _PACKAGE, python.parent / _PACKAGE) if path.is_dir())


def init(project: Path) -> Iterator[tuple[str, bool]]:
    """Write what a folder lacks to be a dbt project on the engine; yield what was written, and
    what is left to a person, with whether it is the latter.

    The engine's dbt package is copied, so that macros and Python are always of one version: run it
    again after an upgrade. Nothing else that exists is changed.

    Raises:
        LakeError: A file of the project cannot be read.
    """
    target = project / _PACKAGE
    known = read_yaml(target / "dbt_project.yml").get("name")
    if target.exists() and known != "lotus_lake":
        raise LakeError(f"{target} is something else than the engine's package: move it away.")
    if engine().resolve() != target.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(engine(), target)
        yield f"{_PACKAGE}/: the engine's macros, tables and tests", False
    is_new = not (project / "dbt_project.yml").exists()
    name = re.sub(r"\W+", "_", project.resolve().name).strip("_").lower() or "lake"
    name = name if name[0].isalpha() else f"lake_{name}"
    files = ["packages.yml", "profiles.yml"]
    if is_new:
        files += ["dbt_project.yml", "macros/generate_schema_name.sql", ".gitignore"]
    else:
        name = str(read_yaml(project / "dbt_project.yml").get("profile") or name)
    for path in map(project.joinpath, files):
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATES / f"{path.name.lstrip('.')}.tmpl").read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(name=name), encoding="utf-8")
        yield path.relative_to(project).as_posix(), False
    for line in _left(project):
        yield line, True


def _left(project: Path) -> Iterator[str]:
    """The lines that an existing project's own files lack."""
    packages = read_yaml(project / "packages.yml").get("packages") or []
    if {"local": _PACKAGE} not in packages:
        yield f"To add to packages.yml, under packages:\n  - local: {_PACKAGE}"
    settings = read_yaml(project / "dbt_project.yml")
    if "lake_table" not in str(settings.get("models")):
        yield (
            "To add to dbt_project.yml, under models:, your project's name:\n"
            "    +materialized: lake_table"
        )
    profile = read_yaml(project / "profiles.yml").get(str(settings.get("profile")))
    if "lotus_lake.plugin" not in str(profile):
        yield (
            "To add to profiles.yml, to the DuckDB output (the rest is in docs/engine.md):\n"
            "      plugins: [{module: lotus_lake.plugin}]"
        )
