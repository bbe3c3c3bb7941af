"""Workflows: valid, safe, and nothing in them that cannot be run by hand."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.ci import comment

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.glob(".*/workflows/*.yml"))

every_workflow = pytest.mark.parametrize(
    "path", WORKFLOWS, ids=[str(path.relative_to(ROOT)) for path in WORKFLOWS]
)


def read(path: Path) -> dict[str, Any]:
    """A workflow; its values as they are written, so that `on` is no boolean."""
    loaded: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return loaded


def runs(path: Path) -> list[str]:
    """The shell lines of a workflow."""
    return [
        line.strip()
        for job in read(path)["jobs"].values()
        for step in job["steps"]
        for line in step.get("run", "").replace("\\\n", "").splitlines()
    ]


# -- workflows -------------------------------------------------------------------------------------


def test_both_forges_have_the_same_workflows() -> None:
    github, forgejo = (
        {
            path.name: [line for line in runs(path) if re.match(r"make |\.venv/", line)]
            for path in WORKFLOWS
            if path.parts[-3] == forge
        }
        for forge in (".github", ".forgejo")
    )
    assert github == forgejo != {}


def test_workflows_are_valid() -> None:
    """By the schema that editors use. Forgejo has none of its own; its language is a part of it."""
    schema = ("--builtin-schema", "vendor.github-workflows")
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, *map(str, WORKFLOWS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@every_workflow
def test_workflows_are_safe(path: Path) -> None:
    """Actions are pinned, tokens read, forks see no secret, and nothing that a stranger writes
    reaches the shell: a title or a branch's name can be a command; a number cannot."""
    text, workflow = path.read_text(), read(path)
    for action in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", action), action
    assert workflow["permissions"]["contents"] == "read"
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) <= 120
        assert "contents" not in job.get("permissions", {}) or path.name == "docs.yml"
        if "pull_request" in workflow["on"] and "secrets." in json.dumps(job):
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    for line in runs(path):
        for expression in re.findall(r"\$\{\{ *(.*?) *}}", line):
            assert expression == "github.event.pull_request.number", line


# -- the comment -----------------------------------------------------------------------------------


class Forge:
    """Plays the comments of one pull request, as both forges answer: in linked pages."""

    def __init__(self) -> None:
        self.comments = {number: f"> quoted {number}" for number in (1, 2, 3)}

    def urlopen(self, request: urllib.request.Request, timeout: float) -> Any:
        """In the place of urllib's."""
        assert request.headers["Authorization"] == "token secret"
        root, _, place = request.full_url.partition("/repos/lotus/lake/issues")
        assert root == "https://forge.example.com/api"
        content: Any = {"html_url": request.method}
        link = ""
        if request.method == "GET":
            content = [{"id": key, "body": body} for key, body in self.comments.items()]
            content = content[2:] if "page=2" in place.split("&") else content[:2]
            link = f'<{request.full_url}&page=2>; rel="next"' if len(content) == 2 else ""
        else:
            assert place == ("/5/comments" if request.method == "POST" else "/comments/17")
            self.comments[17] = json.loads(request.data)["body"]  # type: ignore[arg-type]
        answer = io.BytesIO(json.dumps(content).encode())
        answer.headers = {"Link": link}  # type: ignore[attr-defined]
        return answer


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Forge:
    """A pull request that people have talked about, and the environment of a job for it."""
    forge = Forge()
    monkeypatch.setattr(urllib.request, "urlopen", forge.urlopen)
    monkeypatch.setattr(sys, "argv", ["comment.py", str(tmp_path / "report.md")])
    for name, value in {
        "GITHUB_API_URL": "https://forge.example.com/api",
        "GITHUB_REPOSITORY": "lotus/lake",
        "PULL_REQUEST": "5",
        "TOKEN": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    return forge


def test_a_report_is_one_comment_that_is_updated(forge: Forge, tmp_path: Path) -> None:
    """Cut at a line where it is longer than a comment may be."""
    report = tmp_path / "report.md"
    for text in ("# One row more\n", "# Two rows more\n"):
        report.write_text(text)
        assert comment.main() == 0
        assert list(forge.comments) == [1, 2, 3, 17]
        assert forge.comments[17].endswith(f"\n{text}")
    report.write_text("a line of the report\n" * 10_000)
    assert comment.main() == 0
    _, *lines, _, last = forge.comments[17].splitlines()
    assert set(lines) == {"a line of the report"} and "artefact" in last
    assert len(forge.comments[17]) < 65_536


def test_the_comment_needs_nothing_but_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "scripts/ci/comment.py")], env={}, check=False
    )
    assert done.returncode == 64
