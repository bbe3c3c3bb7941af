"""Builds the whole site out of the project, dbt's artifacts and the lake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import mkdtemp

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.site import catalog, guides, layers, lineage

_ARTIFACTS = ("manifest.json", "catalog.json", "index.html")


def build(project: Path, target: Path, out: Path) -> None:
    """Build the site, and only then put it in the place of the one before.

    Args:
        project: The folder of the project.
        target: dbt's target folder, after ``dbt docs generate``.
        out: The folder of the site.

    Raises:
        LakeError: An artifact is missing, or a page has a fault.
        Unreachable: The lake cannot be read, or was not built yet.
    """
    missing = [name for name in _ARTIFACTS if not (target / name).exists()]
    if missing:
        raise LakeError(
            f"{target} has no {', '.join(missing)}: run `dbt docs generate` first, "
            "or `make docs`, which does both."
        )
    lake = LakeConfig.from_env()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        manifest, tables = (json.loads((target / name).read_bytes()) for name in _ARTIFACTS[:2])
        guides.write(project, fresh, layers.pages(manifest))
        catalog.write(target, fresh / "catalog")
        lineage.write(manifest, tables, fresh / "lineage")
        # Draws charts, which takes a second to import.
        from lotus_lake.site import status

        status.write(lake, target / "manifest.json", fresh)
        fresh.chmod(0o755)
        _swap(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, out: Path) -> None:
    """Put a folder in the place of another in two moves."""
    old = fresh.with_name(f"{fresh.name}-old")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
