"""The guides: the Markdown of the project as the pages at the root of the site.

The pages are written for a forge, whose links go between files. A copy of them is made for Sphinx
in which links lead to pages: files of the project that a guide links to, such as an SQL script,
become pages too, so that no link leaves the site.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from html import escape
from io import StringIO
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from lotus_lake.config import LakeError
from lotus_lake.pages import inline_scripts
from lotus_lake.site.frame import GUIDES, PARTS, framed, in_head

# Pages beside docs/, by the names that they have on the site.
_BESIDE = {name: name.lower() for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
# Where docs/index.md shows the parts of the site, which a forge has none of.
_PARTS = "<!-- parts of the site -->"
# Where it links to the pages of the layers, which a forge has none of either.
_LAYERS = "<!-- layers -->"
_LINK_TO_LAYERS = "- [Layers](layers/index.md): what is in which, and who answers for it"

_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<path>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
# What a screen reader, or a reader without a mouse, would miss in the pages of the theme.
_FAULTS = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}
# The theme's own script, the only one that runs: Markdown may hold HTML.
_SCRIPT = 'document.body.dataset.theme = localStorage.getItem("theme") || "auto";'
# Without one a browser asks the server for its own.
_ICON = '<link rel="icon" href="data:,">'
_LEXERS = {".sql": "sql", ".py": "python", ".yml": "yaml", ".yaml": "yaml", ".json": "json"}


def write(project: Path, out: Path, layers: Mapping[Path, str]) -> None:
    """Write the guides.

    Args:
        project: The folder of the project, with ``docs`` in it.
        out: The root of the site; nothing else lies there yet.
        layers: The pages of the layers, Markdown by place.

    Raises:
        LakeError: A link leads nowhere, a page is in no list, or Markdown is wrong; the message
            names the file.
    """
    with tempfile.TemporaryDirectory(prefix="lotus-lake-guides-") as folder:
        source = Path(folder) / "source"
        _Copy(project.resolve(), source, layers).write()
        said = _sphinx(project / "docs", source, out, Path(folder) / "doctrees")
        if said:
            said = said.replace(f"{source}/", "docs/").replace(
                "document isn't included in any toctree",
                "neither docs/index.md nor the README.md of its folder has a link to it",
            )
            raise LakeError(f"The guides have faults:\n{said}")
    for rest in (".buildinfo", "objects.inv"):
        (out / rest).unlink(missing_ok=True)
    shutil.rmtree(out / "_sources", ignore_errors=True)
    for page in out.rglob("*.html"):
        up = "../" * (len(page.relative_to(out).parts) - 1)
        text = page.read_text(encoding="utf-8")
        for fault, mend in _FAULTS.items():
            text = text.replace(fault, mend)
        scripts = [one for one in inline_scripts(text) if one.strip() == _SCRIPT]
        page.write_text(framed(in_head(text, _ICON), GUIDES, up, scripts), encoding="utf-8")


def _sphinx(configuration: Path, source: Path, out: Path, rest: Path) -> str:
    """Run Sphinx; what it complains of."""
    warnings = StringIO()
    # Both are global to the process, which may build the site again.
    with patch_docutils(configuration), docutils_namespace():
        sphinx = Sphinx(
            srcdir=source,
            confdir=configuration,
            outdir=out,
            doctreedir=rest,
            buildername="html",
            status=None,
            warning=warnings,
            warningiserror=True,
        )
        sphinx.build()
    return re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue()).strip()


class _Copy:
    """The pages as Sphinx reads them.

    Args:
        project: The folder of the project.
        to: Where they are written.
        layers: Pages that no file of the project is, by the names that they have on the site.
    """

    def __init__(self, project: Path, to: Path, layers: Mapping[Path, str]) -> None:
        self.project = project
        self.to = to
        self.layers = layers
        docs = project / "docs"
        self.pages = {project / name: Path(new) for name, new in _BESIDE.items()}
        for page in sorted(docs.rglob("*.md")):
            name = page.relative_to(docs)
            self.pages[page] = name.with_name("index.md") if name.name == "README.md" else name
        self.files: set[Path] = set()

    def write(self) -> None:
        """Write every page, and one for each file that they link to."""
        for page, name in self.pages.items():
            text = "".join(self._lines(page, name))
            if page == self.project / "docs/index.md":
                text = text.replace(_PARTS, _list_of_parts())
                text = text.replace(_LAYERS, _LINK_TO_LAYERS if self.layers else "")
            self._write(name, text)
        for name, text in self.layers.items():
            self._write(name, text)
        for file in sorted(self.files):
            self._write(self._name_of(file), _listing(file, file.relative_to(self.project)))

    def _write(self, name: Path, text: str) -> None:
        if name.name == "index.md":
            text += "".join(_toctrees(text, titles=name == Path("index.md")))
        (self.to / name).parent.mkdir(parents=True, exist_ok=True)
        (self.to / name).write_text(text, encoding="utf-8")

    def _lines(self, page: Path, name: Path) -> Iterator[str]:
        fenced = False
        for line in page.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                # Nothing here draws it, and it reads well as it is.
                yield line.replace("```mermaid", "```text")
            elif fenced:
                yield line
            else:
                yield _LINK.sub(lambda link: self._link(link, page, name), line)

    def _link(self, link: re.Match[str], page: Path, name: Path) -> str:
        """A link between files as one between pages."""
        text, path, anchor = link["text"], link["path"], link["anchor"] or ""
        if not path or re.match(r"[a-z]+:", path):
            return link[0]
        target = (page.parent / path).resolve()
        if target.is_dir():
            target /= "README.md"
        if target not in self.pages:
            if not target.is_file() or self.project not in target.parents:
                where = page.relative_to(self.project)
                raise LakeError(f"{where} links to {path}, which does not exist.")
            self.files.add(target)
        return f"[{text}]({os.path.relpath(self._name_of(target), name.parent)}{anchor})"

    def _name_of(self, file: Path) -> Path:
        if file in self.pages:
            return self.pages[file]
        return Path("files") / f"{file.relative_to(self.project)}.md"


def _toctrees(text: str, *, titles: bool) -> Iterator[str]:
    """What a first page lists below each heading, as the menu of the pages below it.

    Args:
        text: The first page.
        titles: Whether the links say what the menu calls a page; else its own title does.
    """
    seen = set()
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        entries = []
        for link in _LINK.finditer(section):
            path = link["path"]
            if path.endswith(".md") and not path.startswith(("..", "files/")) and path not in seen:
                seen.add(path)
                page = path.removesuffix(".md")
                entries.append(f"{link['text']} <{page}>\n" if titles else f"{page}\n")
        if entries:
            option = f":caption: {section.splitlines()[0]}\n" if titles else ""
            yield f"\n```{{toctree}}\n:hidden:\n{option}\n{''.join(entries)}```\n"


def _list_of_parts() -> str:
    """The parts of the site, as HTML within Markdown; Sphinx has no pages of these names."""
    rows = "".join(
        f'<li><a href="{part.page}">{escape(part.name)}</a>: {escape(part.about)}</li>\n'
        for part in PARTS
        if part != GUIDES
    )
    return f'<ul class="simple">\n{rows}</ul>\n'


def _listing(file: Path, name: Path) -> str:
    """A page that shows a file of the project."""
    text = file.read_text(encoding="utf-8").rstrip()
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text) or [""]))
    lexer = _LEXERS.get(file.suffix, "text")
    return f"---\norphan: true\n---\n\n# `{name}`\n\n{fence}{lexer}\n{text}\n{fence}\n"
