"""The engine's settings: the ``vars:`` of a project's dbt_project.yml that are the engine's own.

Builds hand over dbt's values (macro ``start_run``); ``lake`` reads the file by itself. The
feeder's, ``feed_*``, are checked with each stream's declaration (``lotus_lake/streams.py``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from lotus_lake.config import LakeError

# What upkeep keeps where the project does not say (docs/maintenance.md).
DEFAULTS = {
    "history_days": 400,
    "snapshot_days": 30,
    "cleanup_delay_days": 7,
    "maintain_max_files": 1000,
    "branch_hold_days": 14,
}

# The least and the greatest value; whole numbers, where these are whole.
_NUMBERS: dict[str, tuple[float, float]] = {
    "watch_score": (0.001, 1000.0),
    "watch_weeks": (1, 520),
    "watch_least_weeks": (1, 520),
    "watch_days": (1, 3650),
    "watch_settle_days": (0, 3650),
    "watch_report_days": (0, 3650),
    "history_days": (1, 36500),
    "snapshot_days": (0, 36500),
    "cleanup_delay_days": (0, 36500),
    "maintain_max_files": (1, 10**9),
    "branch_hold_days": (0, 36500),
}

# The folders of a dbt project, by its settings.
_FOLDERS = {
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "analysis-paths": ["analyses"],
    "test-paths": ["tests"],
}


def project_folder() -> Path:
    """The dbt project's folder: ``DBT_PROJECT_DIR``, or the working directory."""
    return Path(os.environ.get("DBT_PROJECT_DIR") or ".")


def target_folder() -> Path:
    """Where dbt writes its artefacts."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty if there is none.

    Raises:
        LakeError: It is no YAML.
    """
    # Commands that read no project start faster without it.
    import yaml

    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise LakeError(f"{path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def folders(project: Path) -> dict[str, list[str]]:
    """The folders of a dbt project by the settings that name them, relative to it."""
    settings = read_yaml(project / "dbt_project.yml")
    return {setting: settings.get(setting) or usual for setting, usual in _FOLDERS.items()}


def of_project(variables: str | None = None) -> dict[str, int]:
    """The settings of upkeep: those of ``--vars`` (YAML), of the project, or the defaults.

    Raises:
        LakeError: A setting is out of its bounds, or the file cannot be read.
    """
    import yaml

    path = project_folder() / "dbt_project.yml"
    try:
        declared = read_yaml(path).get("vars") or {}
        given = {**declared, **(declared.get("lotus_lake") or {})}
        given |= yaml.safe_load(variables or "{}") or {}
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise LakeError(f"The vars of {path}, or --vars, cannot be read: {error}") from error
    settings = {name: given.get(name, default) for name, default in DEFAULTS.items()}
    check(settings)
    return settings


def check(values: Mapping[str, Any]) -> None:
    """Refuse a value that is out of its setting's bounds; settings of others are passed over.

    Raises:
        LakeError: The message names the setting and says what it has to be.
    """
    for name, value in values.items():
        if name in _NUMBERS and (must := wrong_number(value, _NUMBERS[name])):
            _refuse(name, values, must)
    if values.get("watch_least_weeks", 0) > values.get("watch_weeks", 0):
        _refuse("watch_least_weeks", values, f"a whole number from 1 to {values['watch_weeks']}")
    for name in ("rebuild_on_code_change", "run_all_tests"):
        if not isinstance(values.get(name, True), bool):
            _refuse(name, values, "true or false")
    if values.get("watch_as_of") and not _is_day(str(values["watch_as_of"])):
        _refuse("watch_as_of", values, "a date, YYYY-MM-DD, or null")


def wrong_number(value: Any, bounds: tuple[float, float]) -> str | None:
    """What a value that is not within the bounds has to be; whole where the first of them is."""
    least, most = bounds
    whole = isinstance(least, int)
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and least <= value <= most:
        return None
    return f"a {'whole ' if whole else ''}number from {least:g} to {most}"


def _is_day(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and date.fromisoformat(text))
    except ValueError:
        return False


def _refuse(name: str, values: Mapping[str, Any], must: str) -> NoReturn:
    value = "null" if values[name] is None else values[name]
    raise LakeError(f"Variable {name} is '{value}'; it has to be {must}.")


def is_current(manifest: Path) -> bool:
    """Whether dbt has parsed the models' folders since they were last changed."""
    if not manifest.exists():
        return False
    project = project_folder()
    models = [project / folder for folder in folders(project)["model-paths"]]
    paths = [project / "dbt_project.yml", *models]
    paths += [path for folder in models for path in folder.rglob("*")]
    parsed = manifest.stat().st_mtime
    return all(path.stat().st_mtime <= parsed for path in paths if path.exists())
