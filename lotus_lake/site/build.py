"""Builds the site: guides by Sphinx, dbt's catalog, lineage by dbt-colibri, the lake's pages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import printable_lines, script_json
from lotus_lake.pages import guarded
from lotus_lake.site import lineage

# The first page of a project without guides.
_FRONT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=status/index.html">
<title>Lake</title>
<a href="status/index.html">Status</a>
</html>
"""
_ARTIFACTS = ("manifest.json", "catalog.json", "index.html")


def build(project: Path, target: Path, out: Path) -> None:
    """Build the site from dbt's target folder, then replace the previous one.

    Raises:
        LakeError: An artifact is missing, or a guide has a fault.
        Unreachable: The lake cannot be read, or was not built yet.
    """
    missing = [name for name in _ARTIFACTS if not (target / name).exists()]
    if missing:
        raise LakeError(
            f"{target} has no {', '.join(missing)}: run `dbt docs generate` first, "
            "or `lake docs`, which does both."
        )
    lake = LakeConfig.from_env()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        static, data = fresh / "static", fresh / "data"
        static.mkdir()
        # Sphinx is a process of its own and needs a third of the time.
        with ThreadPoolExecutor() as pool:
            guides = pool.submit(write_guides, project, target, static)
            _write_catalog(target, static / "catalog")
            lineage.write(target, static / "lineage")
            write_data(lake, project, target, data)
            guides.result()
        for page in static.rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            page.write_text(guarded(text), encoding="utf-8")
        shutil.copytree(data, static, dirs_exist_ok=True)
        _swap(static, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_data(lake: LakeConfig, project: Path, target: Path, out: Path) -> None:
    """The pages that change with the data: the status, and the project's pages of metrics.

    Raises:
        LakeError: A page asks for a metric that does not exist.
        Unreachable: The lake cannot be read, or was not built yet.
    """
    # They draw charts, which takes a second to import.
    from lotus_lake.site import reports, status

    shown = status.write(lake, target / "manifest.json", out)
    reports.write(lake, project, target / "semantic_manifest.json", out, shown)


def write_guides(project: Path, target: Path, out: Path) -> None:
    """The Markdown of the project as pages, at the places of the files; settings: docs/conf.py.

    A project without these settings has no guides; its first page leads to the status.
    """
    if not (project / "docs/conf.py").exists():
        (out / "index.html").write_text(_FRONT, encoding="utf-8")
        return
    doctrees = out / ".doctrees"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "--no-color"]
    command += ["-c", str(project / "docs"), "-d", str(doctrees), "-D", f"lake_target={target}"]
    command += [str(project), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(printable_lines(done.stderr.strip()), file=sys.stderr)
        raise LakeError("The guides have faults, which the lines above name.")
    shutil.rmtree(doctrees)
    for rest in (".buildinfo", "objects.inv"):
        (out / rest).unlink(missing_ok=True)


def _write_catalog(target: Path, out: Path) -> None:
    """dbt's page with its data inside, so that it also opens from a disk.

    ``dbt docs generate --static`` does so too, but a column called ``</script>…`` ends its script.
    """
    text = (target / "index.html").read_text(encoding="utf-8")
    for name in ("manifest", "catalog"):
        place = f'"{name.upper()}.JSON INLINE DATA"'
        if place not in text:
            raise LakeError(f"The page of dbt docs has no place for {name}.json: was dbt upgraded?")
        text = text.replace(
            place, script_json((target / f"{name}.json").read_text(encoding="utf-8"))
        )
    out.mkdir()
    (out / "index.html").write_text(text, encoding="utf-8")


def _swap(fresh: Path, out: Path) -> None:
    """Put a folder in the place of another in two moves."""
    old = fresh.with_name(f"{fresh.name}-old")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
