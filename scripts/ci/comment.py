"""Post a report as one comment on a pull request, and update that comment from then on.

Usage: python3 scripts/ci/comment.py target/pr/report.md

GitHub and Forgejo answer to the same paths, so this serves both. From the environment:
GITHUB_API_URL and GITHUB_REPOSITORY (both forges set them), PULL_REQUEST (its number) and TOKEN
(may write comments). Only Python's own library is needed.

Exit codes: 0 posted, 1 not posted, 64 the environment is wrong.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

# Says which comment is ours; not seen where Markdown is rendered.
MARK = "<!-- lotus-lake: report -->"
# GitHub takes 65536 characters.
LIMIT = 60_000


def main() -> int:
    needed = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "PULL_REQUEST", "TOKEN")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing or len(sys.argv) != 2:
        problem = f"not set: {', '.join(missing)}" if missing else "usage: comment.py REPORT"
        print(f"comment: {problem}", file=sys.stderr)
        return 64
    try:
        print(f"comment: {post(Path(sys.argv[1]).read_text())}")
        return 0
    except urllib.error.HTTPError as error:
        hint = "Let the job's token write comments (permissions: pull-requests: write)."
        print(f"comment: the forge answered {error.code} to {error.url}. {hint}", file=sys.stderr)
    except OSError as error:
        # The report is missing if the step before failed.
        print(f"comment: {error}. Fix what that says, or run the job again.", file=sys.stderr)
    return 1


def post(report: str) -> str:
    """Create the comment, or update it if there is one already; the comment's address."""
    issues = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    thread = f"{issues}/{os.environ['PULL_REQUEST']}/comments"
    ours = find(thread)
    body = {"body": f"{MARK}\n{shortened(report)}"}
    if ours is None:
        comment, _ = call("POST", thread, body)
    else:
        comment, _ = call("PATCH", f"{issues}/comments/{ours}", body)
    return str(comment["html_url"])


def find(thread: str) -> int | None:
    """The id of our comment in a thread."""
    page: str | None = f"{thread}?per_page=100"
    while page:
        comments, links = call("GET", page)
        for comment in comments:
            if comment["body"].startswith(MARK):
                return int(comment["id"])
        # GitHub answers in pages; Forgejo gives all comments at once.
        following = re.search(r'<([^>]+)>; rel="next"', links)
        page = following[1] if following else None
    return None


def shortened(report: str) -> str:
    """The report, cut at the end of a line if it is too long for a comment."""
    if len(report) <= LIMIT:
        return report
    kept = report[:LIMIT].rpartition("\n")[0]
    return f"{kept}\n\n*Too long for a comment: the whole report is this run's artefact.*\n"


def call(method: str, url: str, body: dict[str, str] | None = None) -> tuple[Any, str]:
    """Ask the forge; its answer, and the header that leads to the next page."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/json",
            "Authorization": f"token {os.environ['TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer), answer.headers.get("Link") or ""


if __name__ == "__main__":
    sys.exit(main())
