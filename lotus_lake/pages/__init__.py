"""HTML pages that need nothing else: their style, sortable tables, and charts as SVG."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2

from lotus_lake.escaping import printable_lines

FOLDER = Path(__file__).parent

# The rights of every page. Charts, Sphinx, dbt docs and dbt-colibri style elements in place.
_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'"
)
# Headers of a server. Each page allows its own inline scripts by hash, which is stricter; only a
# header can say who may frame it.
SERVED = {
    "Content-Security-Policy": (
        f"{_POLICY}; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_CHARSET = re.compile(r"<meta charset=[^>]*>", re.IGNORECASE)


def guarded(page: str) -> str:
    """A page in which only the inline scripts that it has now run, and no handler in an attribute.

    The policy comes right after the page's charset.
    """
    hashes = sorted(
        {b64encode(sha256(one.encode()).digest()).decode() for one in _INLINE.findall(page)}
    )
    allowed = " ".join(["'self'", *(f"'sha256-{one}'" for one in hashes)])
    policy = f"{_POLICY}; script-src {allowed}"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return _CHARSET.sub(lambda charset: charset[0] + meta, page, count=1)


def environment(
    folder: Path, *, html: bool, filters: Mapping[str, Callable[..., Any]] | None = None
) -> jinja2.Environment:
    """Jinja for the templates of a folder; a page begins with ``{% extends "base.html" %}``.

    With ``html``, values are escaped.
    """

    def finalize(value: Any) -> Any:
        # Markup was made here; the rest may be data.
        return printable_lines(value) if type(value) is str else value

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=finalize if html else None,
    )
    made.filters.update(filters or {})
    return made
