"""Sphinx for the guides of the site. It reads the project's Markdown where it is."""

from docutils import nodes
from docutils.parsers.rst import Directive
from mmdr import Diagram

project = html_title = "lotus-lake"
root_doc = "docs/menu"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**",
    "examples/*/README.md",
]
# Folders that have no guides and many files.
exclude_patterns = [".*", "target", "logs"]

extensions = ["myst_parser", "lotus_lake.site.tables"]
# Links to headings, as forges make them.
myst_heading_anchors = 6
# Plain Markdown only: what a forge shows as text is text here too.
myst_disable_syntax = ["myst_block_break", "myst_line_comment", "myst_role", "myst_target"]
# SQL with Jinja in it, and shell with its output, are no faults.
suppress_warnings = ["misc.highlighting_failure"]

myst_fence_as_directive = ["mermaid", "tables"]

templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["pictures.css"]
html_theme = "furo"
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/parts.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_additional_pages = {"index": "front.html"}
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
# It would fetch pages, which a browser refuses where the site is opened from a folder.
html_show_search_summary = False


class Mermaid(Directive):
    """Draws a picture when the site is built, so that no browser needs a network or a script."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The picture as SVG."""
        return [nodes.raw("", Diagram("\n".join(self.content)).svg(), format="html")]


def setup(app):
    """Called by Sphinx."""
    app.add_directive("mermaid", Mermaid)
