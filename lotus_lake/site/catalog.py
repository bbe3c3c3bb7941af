"""The data catalog: the page that ``dbt docs generate --static`` writes, mended and framed."""

from __future__ import annotations

from pathlib import Path

from lotus_lake.site.frame import CATALOG, framed, in_head, mended, snippet

_FAULTS = {
    # A browser asks for what stands in the braces before the braces are filled in.
    'xlink:href="{{ getIcon(': 'ng-attr-href="{{ getIcon(',
    '<link rel="shortcut icon" href="${require(\'./assets/favicons/favicon.ico\')}"/>': (
        '<link rel="icon" href="data:,"/>'
    ),
    '<link rel="canonical" href="/overview/"/>': "",
    # Nobody could zoom in on a phone.
    "width=device-width,minimum-scale=1,maximum-scale=1,initial-scale=1": (
        "width=device-width,initial-scale=1"
    ),
    # Greys and a green that are too pale to read.
    "#8b969e": "#59636a",
    "color:#0bb}": "color:#007672}",
    "<title>dbt Docs</title>": "<title>Data catalog of lotus-lake</title>",
}


def write(page: Path, out: Path) -> None:
    """Write the catalog.

    Args:
        page: ``static_index.html`` as dbt wrote it.
        out: The folder of this part of the site.

    Raises:
        LakeError: The page is another than this was written for.
    """
    text = mended(page.read_text(encoding="utf-8"), _FAULTS, "dbt docs")
    text = framed(in_head(text, snippet("catalog.html")), CATALOG, "../")
    out.mkdir(parents=True)
    (out / "index.html").write_text(text, encoding="utf-8")
