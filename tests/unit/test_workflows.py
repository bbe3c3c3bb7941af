"""Workflows and hooks: valid, safe, and nothing in them that cannot be run by hand."""

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
MAKEFILE = (ROOT / "Makefile").read_text()
COMMENT = ROOT / "scripts/ci/comment.py"

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
    names = {path.name for path in WORKFLOWS}
    assert names == {"audit.yml", "branch-drop.yml", "ci.yml", "docs.yml", "pull-request.yml"}
    for name in names:
        github, forgejo = (ROOT / forge / "workflows" / name for forge in (".github", ".forgejo"))
        assert [line for line in runs(github) if line.startswith("make ")] == [
            line for line in runs(forgejo) if line.startswith("make ")
        ]


def test_workflows_are_valid() -> None:
    """By the schema that editors use. Forgejo has none of its own; its language is a part of it."""
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.github-workflows"),
            *map(str, WORKFLOWS),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@every_workflow
def test_every_step_can_be_run_by_hand(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
    for line in runs(path):
        command, argument = line.split()[:2]
        if command == "make":
            assert argument in targets, f"{line}: the Makefile has no such target"
        elif command == "python3":
            assert (ROOT / argument).exists(), f"{line}: there is no such script"
        else:
            assert command in ("mkdir", "cp", "cd", "git") or line.startswith('"$'), line


@every_workflow
def test_actions_are_pinned(path: Path) -> None:
    actions = re.findall(r"uses: (.*)", path.read_text())
    assert actions
    for action in actions:
        assert re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", action), action


@every_workflow
def test_jobs_may_do_little_and_end(path: Path) -> None:
    workflow = read(path)
    assert "write-all" not in path.read_text()
    assert workflow["permissions"]["contents"] == "read"
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) <= 60


@every_workflow
def test_forks_never_see_secrets(path: Path) -> None:
    workflow = read(path)
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        if "pull_request" in workflow["on"] and "secrets." in json.dumps(job):
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


@every_workflow
def test_nothing_that_a_stranger_writes_reaches_the_shell(path: Path) -> None:
    """A title or a branch's name can be a command; a number cannot."""
    for line in runs(path):
        for expression in re.findall(r"\$\{\{ *(.*?) *}}", line):
            assert expression == "github.event.pull_request.number", line


def test_what_workflows_need_is_documented() -> None:
    page = (ROOT / "docs/ci.md").read_text()
    used = {
        name
        for path in WORKFLOWS
        for name in re.findall(r"\b(?:vars|secrets)\.(\w+)", path.read_text())
    }
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in page] == []


# -- code owners -----------------------------------------------------------------------------------


def rules(path: str) -> list[tuple[str, list[str]]]:
    """Patterns and owners."""
    lines = [line.split() for line in (ROOT / path).read_text().splitlines()]
    return [(line[0], line[1:]) for line in lines if line and not line[0].startswith("#")]


def test_both_forges_have_the_same_code_owners() -> None:
    """GitHub reads paths, Forgejo regular expressions."""
    github, forgejo = rules(".github/CODEOWNERS"), rules(".forgejo/CODEOWNERS")
    assert [owners for _, owners in github] == [owners for _, owners in forgejo]
    for (path, _), (pattern, _) in zip(github[1:], forgejo[1:], strict=True):
        files = [path.strip("/")]
        if (ROOT / files[0]).is_dir():
            files = [str(file.relative_to(ROOT)) for file in (ROOT / files[0]).rglob("*.*")]
        assert files, path
        assert all((ROOT / file).exists() for file in files), path
        # Forgejo matches the whole name.
        assert all(re.fullmatch(pattern, file) for file in files), pattern


# -- the comment -----------------------------------------------------------------------------------


class Forge:
    """Plays the API of both forges: comments, in pages of two."""

    def __init__(self) -> None:
        self.comments = [{"id": number, "body": f"> quoted {number}"} for number in (1, 2, 3)]
        self.calls: list[str] = []
        self.refuse = False
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = int((re.search(r"[?&]page=(\d+)", self.path) or [0, 1])[1])
                link = {}
                if len(forge.comments) > 2 * page:
                    link["Link"] = f'<{forge.url}{self.thread()}?page={page + 1}>; rel="next"'
                self.answer(forge.comments[2 * page - 2 : 2 * page], link)

            def do_POST(self) -> None:
                forge.comments.append({"id": 17, "body": self.body()})
                self.answer(forge.comments[-1] | {"html_url": "the new comment"}, {})

            def do_PATCH(self) -> None:
                number = int(self.path.rpartition("/")[2])
                assert self.path == f"/repos/lotus/lake/issues/comments/{number}"
                (comment,) = [one for one in forge.comments if one["id"] == number]
                comment["body"] = self.body()
                self.answer(comment | {"html_url": "the old comment"}, {})

            def thread(self) -> str:
                path = self.path.partition("?")[0]
                assert path == "/repos/lotus/lake/issues/5/comments"
                return path

            def body(self) -> str:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                return str(json.loads(sent)["body"])

            def answer(self, content: Any, headers: dict[str, str]) -> None:
                forge.calls.append(self.command)
                assert self.headers["Authorization"] == "token secret"
                self.send_response(403 if forge.refuse else 200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def post(self, report: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script as a workflow does: with any Python, and nothing installed."""
        return subprocess.run(
            [sys.executable, "-I", "-S", str(COMMENT), str(report)],
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


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge with a pull request that people have talked about."""
    playing = Forge()
    threading.Thread(target=playing.server.serve_forever, daemon=True).start()
    yield playing
    playing.server.shutdown()
    playing.server.server_close()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """What `make pr` wrote."""
    path = tmp_path / "report.md"
    path.write_text("# One row more\n")
    return path


def test_a_report_is_one_comment_that_is_updated(forge: Forge, report: Path) -> None:
    first = forge.post(report)
    assert (first.returncode, first.stdout) == (0, "comment: the new comment\n"), first.stderr
    report.write_text("# Two rows more\n")
    second = forge.post(report)
    assert (second.returncode, second.stdout) == (0, "comment: the old comment\n"), second.stderr
    assert forge.calls == ["GET", "GET", "POST", "GET", "GET", "PATCH"]
    assert [comment["body"] for comment in forge.comments] == [
        "> quoted 1",
        "> quoted 2",
        "> quoted 3",
        "<!-- lotus-lake: report -->\n# Two rows more\n",
    ]


def test_a_long_report_is_cut_at_a_line(forge: Forge, report: Path) -> None:
    report.write_text("a line of the report\n" * 10_000)
    assert forge.post(report).returncode == 0
    lines = str(forge.comments[-1]["body"]).splitlines()
    assert set(lines[1:-2]) == {"a line of the report"}
    assert "artefact" in lines[-1]
    assert len(str(forge.comments[-1]["body"])) < 65_536


def test_what_is_missing_is_said(forge: Forge, report: Path) -> None:
    unset = forge.post(report, TOKEN="")
    assert (unset.returncode, "TOKEN" in unset.stderr) == (64, True)
    absent = forge.post(report.with_name("other.md"))
    assert (absent.returncode, "step before" in absent.stderr) == (1, True)
    forge.refuse = True
    refused = forge.post(report)
    assert (refused.returncode, "pull-requests: write" in refused.stderr) == (1, True)
    forge.server.shutdown()
    forge.server.server_close()
    gone = forge.post(report)
    assert (gone.returncode, "cannot be reached" in gone.stderr) == (1, True)
