"""Publishing what dbt says about itself: manifest, run results and documentation."""

from __future__ import annotations

from pathlib import Path

from lotus_lake.config import LakeError
from lotus_lake.scheduler.store import open_store

MANIFEST, RUN_RESULTS, INDEX = "manifest.json", "run_results.json", "index.html"


def publish(url: str, files: dict[str, bytes]) -> str | None:
    """Write files to ``LAKE_ARTIFACTS_URL``; return what went wrong in one line, or None.

    Args:
        url: A local folder or ``s3://bucket/prefix``.
        files: Contents by name; a reader never sees a part of one.
    """
    try:
        store = open_store(url)
        for name, content in files.items():
            store.write(name, content)
    except LakeError as error:
        return str(error)
    return None


def is_there(url: str, name: str) -> bool:
    """Whether a file was published before; unknown counts as no."""
    try:
        return open_store(url).has(name)
    except LakeError:
        return False


def read(target: Path, name: str) -> bytes | None:
    """A file of dbt's target folder, or None."""
    try:
        return (target / name).read_bytes()
    except OSError:
        return None
