"""Sphinx for the guides of the site; lotus_lake/site/guides.py gives it the pages."""

project = "lotus-lake"
html_title = "lotus-lake"

extensions = ["myst_parser"]
# Links to headings, as forges make them.
myst_heading_anchors = 6
# Plain Markdown only: what a forge shows as text is text here too.
myst_disable_syntax = ["myst_block_break", "myst_line_comment", "myst_role", "myst_target"]
# SQL with Jinja in it, and shell with what it prints, are no faults.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_theme_options = {
    "top_of_page_buttons": [],
    # The theme's own are 10 and 11 pixels.
    "light_css_variables": {
        "font-size--small--2": "87.5%",
        "font-size--small--4": "75%",
        "toc-font-size": "87.5%",
    },
}
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
# It would fetch pages, which a browser refuses where the site is opened from a folder.
html_show_search_summary = False
