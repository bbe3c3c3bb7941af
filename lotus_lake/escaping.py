"""Escapes data for the places where it could act: terminals and logs, Markdown, scripts of pages.

HTML has Jinja's own escaping (``lotus_lake.pages``).
"""

from __future__ import annotations

_IN_SCRIPT = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
# What ends a code span or a cell, and what Slack reads within a code span all the same.
_IN_CODE = str.maketrans({char: f"\\x{ord(char):02x}" for char in "`|<>"})


def printable(text: str) -> str:
    """One line for a terminal, a log or a message: what does not print is shown as its escape.

    Terminals obey escape sequences, a line break begins a line of its own, and marks for
    right-to-left text change the order of what is read.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def plain(text: str) -> str:
    """A printable line for a console of rich, which takes brackets for markup."""
    # The scheduler needs no rich, and starts faster without it.
    from rich.markup import escape

    return escape(printable(text))


def markdown(text: str) -> str:
    """A code span, in which there are no links, images, HTML or mentions; also within a table."""
    shown = printable(text).translate(_IN_CODE)
    return f"`{shown}`" if shown else ""


def markdown_block(text: str) -> str:
    """Text of several lines as a block of code."""
    shown = printable_lines(text).replace("`", "\\x60")
    return f"```\n{shown}\n```"


def script_json(json_text: str) -> str:
    """JSON as it may stand in a page's ``<script>``: the same JSON, which cannot end the script."""
    return json_text.translate(_IN_SCRIPT)
