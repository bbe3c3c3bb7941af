"""A Sphinx extension: every table, column and metric, for the guides and for their search.

The directive ``tables`` lists them from dbt's artifacts in the folder ``lake_target``. The search
finds each by its name, and a table's name in code is a link to its section. What landed may be
among the names: all text becomes nodes of docutils, which escape it; none is read as Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains import Domain, ObjType
from sphinx.util.docutils import SphinxDirective

Described = Iterable[tuple[str, str | None, str | None]]


class Lake(Domain):
    """The names that the search knows: of tables, of columns as in ``table.column``, of metrics."""

    name = "lake"
    object_types: ClassVar = {kind: ObjType(kind) for kind in ("table", "column", "metric")}
    # By kind and name: the page that describes it, and the anchor there.
    initial_data: ClassVar = {"objects": {}}

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """What the search asks for."""
        for (kind, name), (page, anchor) in self.data["objects"].items():
            yield name, name, kind, page, anchor, 1


class Tables(SphinxDirective):
    """A section for each table, and one of metrics; nothing where ``lake_target`` is not set."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        target = self.env.config.lake_target
        if not target:
            return []
        project, lake = (
            json.loads((Path(target) / artifact).read_bytes())
            for artifact in ("manifest.json", "catalog.json")
        )
        tables = [
            self._table(node, lake["nodes"].get(node["unique_id"], {}).get("columns", {}))
            for node in sorted(project["nodes"].values(), key=lambda node: str(node.get("alias")))
            if node["resource_type"] in ("model", "seed", "snapshot")
        ]
        metrics = [
            (metric["name"], metric["label"], metric["description"])
            for _, metric in sorted(project["metrics"].items())
        ]
        return [*tables, _section("metrics", "Metrics", self._list("metric", "", metrics))]

    def _table(self, node: Mapping[str, Any], in_lake: Mapping[str, Any]) -> nodes.section:
        name, key, declared = node["alias"], node["unique_id"], node["columns"]
        columns = [
            (
                column,
                in_lake[column]["type"] if column in in_lake else declared[column]["data_type"],
                declared.get(column, {}).get("description"),
            )
            for column in {**declared, **in_lake}
        ]
        root = "../" * self.env.docname.count("/")
        links = nodes.paragraph()
        for title, place in (
            ("Catalog", f"{root}catalog/index.html#!/{node['resource_type']}/{key}"),
            ("Lineage", f"{root}lineage/index.html?model={key}"),
        ):
            links += [nodes.reference("", title, refuri=place), nodes.Text(" ")]
        self._note("table", name, name)
        listed = self._list("column", f"{name}.", columns)
        return _section(name, name, _paragraph(node["description"]), links, listed)

    def _list(self, kind: str, prefix: str, described: Described) -> nodes.definition_list:
        """Names, with what is beside them and below."""
        items = nodes.definition_list()
        for name, beside, below in described:
            full = f"{prefix}{name}"
            anchor = full if prefix else f"{kind}-{full}"
            self._note(kind, full, anchor)
            term = nodes.term("", "", nodes.literal("", name), ids=[anchor])
            term += nodes.Text(f" {beside or ''}")
            items += nodes.definition_list_item(
                "", term, nodes.definition("", _paragraph(below or ""))
            )
        return items

    def _note(self, kind: str, name: str, anchor: str) -> None:
        self.env.get_domain("lake").data["objects"][kind, name] = self.env.docname, anchor


def _section(anchor: str, title: str, *content: nodes.Node) -> nodes.section:
    return nodes.section("", nodes.title("", title), *content, ids=[anchor])


def _paragraph(text: str) -> nodes.paragraph:
    """Text, in which only what is between backticks is anything else: code."""
    kinds = (nodes.Text, lambda code: nodes.literal("", code))
    return nodes.paragraph("", "", *(kinds[n % 2](part) for n, part in enumerate(text.split("`"))))


def _link(app: Sphinx, document: nodes.document, page: str) -> None:
    """Make links of the names of tables in code."""
    objects = app.env.get_domain("lake").data["objects"]
    for code in list(document.findall(nodes.literal)):
        found = objects.get(("table", code.astext()))
        if found and not isinstance(code.parent, nodes.reference):
            place = f"{app.builder.get_relative_uri(page, found[0])}#{found[1]}"
            code.replace_self(nodes.reference("", "", code.deepcopy(), refuri=place))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_config_value("lake_target", "", "env")
    app.add_domain(Lake)
    app.add_directive("tables", Tables)
    app.connect("doctree-resolved", _link)
    return {"version": "1"}
