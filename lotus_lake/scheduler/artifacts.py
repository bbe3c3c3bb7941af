"""Publishing what dbt says about itself: manifest, run results and the site.

``published.json`` stands beside them and names the build that they are of, so that whoever comes
next sees what is missing.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.scheduler.build import Dbt
from lotus_lake.scheduler.pending import LastBuild
from lotus_lake.scheduler.store import Store
from lotus_lake.settings import project_folder, target_folder

MANIFEST, RUN_RESULTS, MARKER = "manifest.json", "run_results.json", "published.json"


def publish_build(url: str, config: LakeConfig, last: LastBuild, dbt: Dbt) -> None:
    """Publish what the last build left at a URL, unless it is there already; ``dbt`` makes what
    this machine lacks.

    Raises:
        LakeError: The site cannot be made, or the place cannot be read or written.
    """
    store, target = Store(url), target_folder()
    marker = json.dumps({"tick_id": last.tick_id, "code": last.code}).encode()
    published = store.read(MARKER) or b""
    if published == marker:
        return
    if (target / RUN_RESULTS).exists():  # before `dbt docs generate` writes its own
        store.write(RUN_RESULTS, (target / RUN_RESULTS).read_bytes())
    with tempfile.TemporaryDirectory(prefix="lotus-lake-site-") as folder:
        site = Path(folder, "site")
        from lotus_lake.site.build import build, write_data

        if last.code.encode() in published and (target / MANIFEST).exists():
            write_data(config, project_folder(), target, site)
        else:
            if dbt.run("docs", "generate").errors:
                raise LakeError("The site could not be made; the lines above say why.")
            build(project_folder(), target, site)
        for path in sorted(site.rglob("*")):
            if path.is_file():
                store.write(f"site/{path.relative_to(site).as_posix()}", path.read_bytes())
    store.write(MANIFEST, (target / MANIFEST).read_bytes())
    # The last one: it says that the others are there.
    store.write(MARKER, marker)
