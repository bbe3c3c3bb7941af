"""Publishing what dbt says about itself: manifest and run results; and the site."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lotus_lake.config import LakeError
from lotus_lake.scheduler.store import open_store

MANIFEST, RUN_RESULTS, RUNS, SITE = "manifest.json", "run_results.json", "runs/", "site/"
INDEX = f"{SITE}index.html"


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


def prune(url: str, before: str) -> str | None:
    """Delete what was published of single runs long ago; what went wrong in one line, or None.

    Args:
        url: A local folder or ``s3://bucket/prefix``.
        before: The id of the first tick to keep; ids begin with the time.
    """
    try:
        open_store(url).delete_below(RUNS, before)
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


def files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    """Every file of a folder, by the name under which it is to be published."""
    return {
        f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def site_version(project: Path, code: str) -> str:
    """What tells one site from another: the project's code, and its guides.

    Args:
        project: The project's folder.
        code: The digest of its code.
    """
    digest = hashlib.sha256(code.encode())
    for page in sorted([*project.glob("*.md"), *project.glob("docs/**/*")]):
        if page.is_file():
            digest.update(page.read_bytes())
    return digest.hexdigest()
