"""The data catalog: the page of ``dbt docs generate``, with its data, mended and framed."""

from __future__ import annotations

from pathlib import Path

from lotus_lake.escaping import script_json
from lotus_lake.site.frame import CATALOG, framed, in_head, mended, snippet

_FAULTS = {
    # Descriptions are Markdown whose HTML would be live, and so are names in what a search finds.
    "sanitize:!1": "sanitize:!0",
    "n.highlight=function(t){": (
        "n.highlight=function(t){"
        't=String(t||"").replace(/[&<>]/g,(one=>"&#"+one.charCodeAt(0)+";"));'
    ),
    # Angular makes functions of text, which the page's policy forbids, unless it is told.
    'ng-app="dbt"': 'ng-app="dbt" ng-csp="no-unsafe-eval"',
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


def write(target: Path, out: Path) -> None:
    """Write the catalog.

    Args:
        target: dbt's target folder: ``index.html``, ``manifest.json`` and ``catalog.json``.
        out: The folder of this part of the site.

    Raises:
        LakeError: The page is another than this was written for.
    """
    text = mended((target / "index.html").read_text(encoding="utf-8"), _FAULTS, "dbt docs")
    for name in ("manifest", "catalog"):
        data = script_json((target / f"{name}.json").read_text(encoding="utf-8"))
        text = mended(text, {f'"{name.upper()}.JSON INLINE DATA"': data}, "dbt docs")
    text = framed(in_head(text, snippet("catalog.html")), CATALOG, "../")
    out.mkdir(parents=True)
    (out / "index.html").write_text(text, encoding="utf-8")
