"""HTML pages that need nothing else: their style, sortable tables, and charts as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).parent


def environment(
    folder: Path, *, html: bool, filters: Mapping[str, Callable[..., Any]] | None = None
) -> jinja2.Environment:
    """Jinja for the templates of a folder; a page begins with ``{% extends "base.html" %}``.

    Args:
        folder: Where the templates lie.
        html: Whether to escape what goes into them.
        filters: More filters.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters.update(filters or {})
    return made
