"""Workflows: valid, safe, and nothing in them that cannot be run by hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

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
            path.name: [line for line in runs(path) if line.startswith("make ")]
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
        assert int(job["timeout-minutes"]) <= 60
        assert "contents" not in job.get("permissions", {}) or path.name == "docs.yml"
        if "pull_request" in workflow["on"] and "secrets." in json.dumps(job):
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    for line in runs(path):
        for expression in re.findall(r"\$\{\{ *(.*?) *}}", line):
            assert expression == "github.event.pull_request.number", line


# -- the comment -----------------------------------------------------------------------------------


class Forge(ThreadingHTTPServer):
    """Plays the comments of one pull request, as both forges answer: the second page is linked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments = {number: f"> quoted {number}" for number in (1, 2, 3)}
        self.refuses = False

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def post(self, report: Path, **environment: str) -> tuple[int, str]:
        """Run the script as a workflow does, with any Python and nothing installed: its exit code,
        and what it said."""
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(ROOT / "scripts/ci/comment.py"), str(report)],
            env={
                "PATH": os.environ["PATH"],
                "GITHUB_API_URL": self.url,
                "GITHUB_REPOSITORY": "lotus/lake",
                "PULL_REQUEST": "5",
                "TOKEN": "secret",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        comments = [{"id": key, "body": body} for key, body in self.server.comments.items()]
        if "page=2" in self.path.split("&"):
            self.answer(comments[2:])
        else:
            self.answer(comments[:2], f'<{self.server.url}{self.path}&page=2>; rel="next"')

    def do_POST(self) -> None:
        assert self.path == "/repos/lotus/lake/issues/5/comments"
        self.write(17, "the new comment")

    def do_PATCH(self) -> None:
        assert self.path == "/repos/lotus/lake/issues/comments/17"
        self.write(17, "the old comment")

    def write(self, number: int, url: str) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.refuses:
            self.server.comments[number] = sent["body"]
        self.answer({"html_url": url})

    def answer(self, content: Any, link: str = "") -> None:
        assert self.headers["Authorization"] == "token secret"
        self.send_response(403 if self.server.refuses else 200)
        self.send_header("Link", link)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge with a pull request that people have talked about."""
    with Forge() as forge:
        threading.Thread(target=forge.serve_forever, daemon=True).start()
        yield forge
        forge.shutdown()


def test_a_report_is_one_comment_that_is_updated(forge: Forge, tmp_path: Path) -> None:
    """Cut at a line where it is longer than a comment may be."""
    report = tmp_path / "report.md"
    report.write_text("# One row more\n")
    assert forge.post(report) == (0, "comment: the new comment\n")
    report.write_text("# Two rows more\n")
    assert forge.post(report) == (0, "comment: the old comment\n")
    assert list(forge.comments) == [1, 2, 3, 17]
    assert forge.comments[17].endswith("\n# Two rows more\n")
    report.write_text("a line of the report\n" * 10_000)
    assert forge.post(report)[0] == 0
    _, *lines, _, last = forge.comments[17].splitlines()
    assert set(lines) == {"a line of the report"} and "artefact" in last
    assert len(forge.comments[17]) < 65_536


def test_what_is_missing_is_said(forge: Forge, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    code, said = forge.post(report)
    assert (code, "step before" in said) == (1, True)
    report.write_text("# One row more\n")
    code, said = forge.post(report, TOKEN="")
    assert (code, "TOKEN" in said) == (64, True)
    code, said = forge.post(report, GITHUB_API_URL="http://127.0.0.1:1")
    assert (code, "cannot be reached" in said) == (1, True)
    forge.refuses = True
    code, said = forge.post(report)
    assert (code, "pull-requests: write" in said) == (1, True)
