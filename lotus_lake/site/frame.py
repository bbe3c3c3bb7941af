"""What all pages of the site have in common: a bar with links between its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lotus_lake.config import LakeError
from lotus_lake.pages import guarded, inline_scripts

SNIPPETS = Path(__file__).parent / "snippets"


@dataclass(frozen=True)
class Part:
    """A part of the site.

    Args:
        name: What the bar calls it.
        page: Its first page, below the root of the site.
        about: What a reader finds there.
    """

    name: str
    page: str
    about: str


GUIDES = Part("Guides", "index.html", "how to ask the lake, change it and run it")
STATUS = Part(
    "Status",
    "status/index.html",
    "what is fed and what waits, what ran, how long it took, and whether the tests passed",
)
CATALOG = Part(
    "Catalog", "catalog/index.html", "every table: its columns, its tests, its SQL, what it reads"
)
LINEAGE = Part(
    "Lineage",
    "lineage/index.html",
    "every column: which columns it is made of, down to the file that landed",
)
PARTS = (GUIDES, STATUS, CATALOG, LINEAGE)


def framed(page: str, part: Part, up: str, scripts: Iterable[str] | None = None) -> str:
    """A page with the bar on top, in which only its own scripts run.

    Args:
        page: The page's HTML.
        part: The part of the site that it belongs to.
        up: The way to the root of the site, such as ``../``; relative, so that the site works
            from any folder.
        scripts: The inline scripts that may run; all that stand in the page by default.

    Raises:
        LakeError: The page has no head or no body to put it into.
    """
    links = "".join(
        f'<a href="{up}{other.page}"{" aria-current=true" if other == part else ""}>'
        f"{escape(other.name)}</a>"
        for other in PARTS
    )
    bar = f'<nav class="site-bar" aria-label="Parts of the site">{links}</nav>'
    for tag, added in (("</head>", snippet("frame.css.html")), ("<body", bar)):
        # The last one: scripts within the head may hold pages of their own as text.
        place = page.rfind(tag)
        if place < 0:
            raise LakeError(f"The page of part {part.name} has no {tag}: it cannot get its links.")
        if tag == "<body":
            place = page.index(">", place) + 1
        page = page[:place] + added + page[place:]
    return guarded(page, inline_scripts(page) if scripts is None else scripts)


def mended(page: str, replacements: Mapping[str, str], where: str) -> str:
    """A page with its known faults mended.

    Args:
        page: The page.
        replacements: What stands for what; each has to be there.
        where: Whose page it is, for the message.

    Raises:
        LakeError: A fault is not there any more, as after an upgrade.
    """
    for fault, mend in replacements.items():
        if fault not in page:
            raise LakeError(
                f"The page of {where} has no '{fault}' any more: it was upgraded. Look whether the "
                "fault is gone, and take it off the list in lotus_lake/site."
            )
        page = page.replace(fault, mend)
    return page


def in_head(page: str, added: str) -> str:
    """A page with something more at the end of its head."""
    place = page.rfind("</head>")
    return page[:place] + added + page[place:]


def snippet(name: str) -> str:
    """A piece of HTML that goes into pages, without its line breaks."""
    return re.sub(r"\n\s*", "\n", (SNIPPETS / name).read_text(encoding="utf-8"))
