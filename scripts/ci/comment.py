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
    """Post the report that the first argument names."""
    needed = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "PULL_REQUEST", "TOKEN")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        print(f"comment: not set: {', '.join(missing)}. Set it in the step.", file=sys.stderr)
        return 64
    if len(sys.argv) != 2:
        print("comment: usage: comment.py target/pr/report.md", file=sys.stderr)
        return 64
    report = Path(sys.argv[1])
    if not report.exists():
        said = f"there is no {report}: the step before it failed. Fix what that one says."
    else:
        try:
            print(f"comment: {post(report.read_text())}")
            return 0
        except urllib.error.HTTPError as error:
            hint = (
                "Let the job's token write comments (permissions: pull-requests: write)."
                if error.code in (401, 403, 404)
                else "Run the job again."
            )
            said = f"the forge answered {error.code} to {error.url}. {hint}"
        except OSError as error:
            said = f"the forge cannot be reached: {error}. Run the job again."
    print(f"comment: {said}", file=sys.stderr)
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
