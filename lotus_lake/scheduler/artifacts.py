"""Publishing what dbt says about itself: manifest, run results and the site.

``published.json`` stands beside them and names the build that they are of, so that whoever comes
next sees what is missing.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.scheduler.build import Dbt, target_folder
from lotus_lake.scheduler.pending import LastBuild
from lotus_lake.scheduler.store import Store

MANIFEST, RUN_RESULTS, MARKER = "manifest.json", "run_results.json", "published.json"


def publish_build(url: str, project: Path, config: LakeConfig, last: LastBuild, dbt: Dbt) -> None:
    """Publish what the last build left, unless it is there already.

    Args:
        url: A folder or ``s3://bucket/prefix``.
        project: The project's folder.
        config: Where the lake lies.
        last: The last build.
        dbt: Makes dbt's artifacts where this machine has none.

    Raises:
        LakeError: The site cannot be made, or the place cannot be read or written.
    """
    store, target = Store(url), target_folder()
    marker = {"tick_id": last.tick_id, "code": last.code}
    published = _marker(store)
    if published == marker:
        return
    files = {}
    if content := read(target, RUN_RESULTS):  # before `dbt docs generate` writes its own
        files[RUN_RESULTS] = content
    with tempfile.TemporaryDirectory(prefix="lotus-lake-site-") as folder:
        site = Path(folder, "site")
        if published.get("code") == last.code and (target / MANIFEST).exists():
            from lotus_lake.site.build import write_data

            write_data(config, project, target, site)
        else:
            from lotus_lake.site.build import build

            result = dbt.run("docs", "generate")
            if result.errors or result.interrupted:
                raise LakeError("The site could not be made; the lines above say why.")
            build(project, target, site)
        files |= {
            f"site/{path.relative_to(site).as_posix()}": path.read_bytes()
            for path in sorted(site.rglob("*"))
            if path.is_file()
        }
    if content := read(target, MANIFEST):
        files[MANIFEST] = content
    # The marker is the last one: it says that the others are there.
    _write(store, files | {MARKER: json.dumps(marker).encode()})


def read(target: Path, name: str) -> bytes | None:
    """A file of dbt's target folder, or None."""
    try:
        return (target / name).read_bytes()
    except OSError:
        return None


def _marker(store: Store) -> dict[str, str]:
    try:
        found = json.loads(store.read(MARKER) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(store: Store, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        store.write(name, content)
