"""A stranger's first hour: docs/engine.md as it is written, in an empty folder with an empty home.

With ``-s`` it prints the figures that the guide has.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.system.dbt_process import PROJECT

BLOCK = re.compile(r"```(sh|sql)\n(.*?)```", re.DOTALL)


class Stranger:
    """A person with two files and the guide, who has what pip would install."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "shop"
        self.home.mkdir()
        self.project.mkdir()
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        options = ["--no-build-isolation", "--wheel-dir", folder / "dist", PROJECT]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        subprocess.run([*wheel, *options], check=True, env=environment)
        (wheel_file,) = (folder / "dist").iterdir()
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        # The other packages are those of this environment, so that nothing is downloaded.
        shared, here = sysconfig.get_path("purelib"), ".venv/lib/python*/site-packages"
        self.install = (
            f"pip install --quiet --no-index --no-deps {wheel_file}\n"
            f"echo {shared} > $(echo {here})/shared.pth\n"
            "printf '#!%s\\nfrom dbt.cli.main import cli\\ncli()\\n' $(command -v python)"
            " > .venv/bin/dbt && chmod +x .venv/bin/dbt\n"
        )

    def type(self, lines: str) -> str:
        """Run lines in a shell; what they printed."""
        lines = lines.replace("pip install lotus-lake\n", self.install)
        if "-m venv" not in lines:
            lines = f". .venv/bin/activate\n{lines}"
        done = subprocess.run(
            ["bash", "-euc", lines],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, name: str, *rows: tuple[object, ...]) -> None:
        """A CSV of orders as somebody's shop exports it."""
        with (self.home / name).open("w", newline="") as file:
            csv.writer(file).writerows(
                [("Order ID", "CustomerName", "Ordered At", "Net Amount"), *rows]
            )


@pytest.mark.nightly
def test_the_guide(tmp_path: Path) -> None:
    """Its commands do what it says; a build without new files writes nothing."""
    started = time.monotonic()
    stranger = Stranger(tmp_path)
    orders = [(number, "Ann, B.", f"2026-01-{number % 28 + 1:02}", "9.50") for number in range(90)]
    stranger.write("orders.csv", *orders)
    stranger.write("more_orders.csv", (0, "Zoë", "2026-02-01", "1.00"), (90, "Al", "2026-02-01", 2))
    guide = (PROJECT / "docs/engine.md").read_text()
    kinds = [(kind, text) for kind, text in BLOCK.findall(guide.split("## In a project")[0])]
    assert [kind for kind, _ in kinds] == ["sh", "sql", "sh"]
    (_, first), (_, fact), (_, then) = kinds

    printed = stranger.type(first)
    assert "fed shop.orders: 1 file" in printed and "Ann, B." in printed
    where = stranger.type('python -c "import lotus_lake; print(lotus_lake.__file__)"')
    assert where.startswith(str(stranger.project / ".venv"))

    path = re.search(r"^-- (\S+)\n", fact)
    assert path
    (stranger.project / path[1]).write_text(fact)
    then, _, undone = then.partition("lake undo")
    printed = stranger.type(then)
    builds = re.findall(r"\d+ tables?: .*", printed)
    assert builds == ["2 tables: 1 written, 1 unchanged.", *builds[1:]]
    assert "0 written, 2 unchanged." in builds[1]
    assert "2 written" in builds[2]
    assert "2026-02-01" in printed and "Landing, ledger, files and staging agree." in printed
    stranger.type(f"lake undo{undone}")
    assert "2026-02-01" not in stranger.type('lake sql "from fct_orders_by_day"')

    lines = [line for line in (first + then + undone).splitlines() if line.strip()]
    unwritten = {".venv", ".lake", "engine", "dbt_packages", "target", "logs"}
    files = (file.relative_to(stranger.project) for file in stranger.project.rglob("*.*"))
    written = [file for file in files if file.suffix and unwritten.isdisjoint(file.parts)]
    minutes = (time.monotonic() - started) / 60
    print(f"\n{minutes:.1f} minutes, {len(lines)} commands, {len(written)} files of the project")
