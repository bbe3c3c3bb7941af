"""The pages of the layers: which tables each has, what they read, and who answers for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from lotus_lake.config import LakeError

# A layer is a folder of the project: models/landing, …, snapshots, seeds.
LAYERS = {
    "landing": "Landing: what landed",
    "processed": "Processed: the newest version of each record",
    "enriched": "Enriched: facts and dimensions",
    "snapshots": "Snapshots: how things were",
    "seeds": "Reference: kept by hand",
    "meta": "Meta: the lake about itself",
}
FOLDER = Path("layers")


def pages(manifest: Mapping[str, Any]) -> dict[Path, str]:
    """The pages, as Markdown.

    Args:
        manifest: dbt's manifest. The doc block ``layer_<layer>`` says what the layer is.

    Returns:
        The text of each page, by its place among the guides; ``index.md`` lists the others.

    Raises:
        LakeError: A layer has no doc block, or a table is in no layer.
    """
    tables: dict[str, list[dict[str, Any]]] = {layer: [] for layer in LAYERS}
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "snapshot", "seed"):
            layer, _ = _place(node)
            if layer not in tables:
                raise LakeError(
                    f"{node['original_file_path']} is in no layer: move it to one of the folders "
                    f"{', '.join(LAYERS)}, or name its folder in lotus_lake/site/layers.py."
                )
            tables[layer].append(node)
    index = "# Layers\n\nEach layer reads only those below it.\n\n"
    written = {}
    for layer, title in LAYERS.items():
        about = manifest["docs"].get(f"doc.lotus_lake.layer_{layer}")
        if about is None:
            raise LakeError(
                f"models/overview.md has no doc block layer_{layer}: describe it there."
            )
        text = about["block_contents"].strip()
        written[FOLDER / f"{layer}.md"] = f"# {title}\n\n{text}\n" + "".join(
            _by_subject(manifest, tables[layer])
        )
        index += f"- [{title}]({layer}.md), {len(tables[layer])} tables\n"
    return {FOLDER / "index.md": index, **written}


def _place(node: Mapping[str, Any]) -> tuple[str, str]:
    """The layer of a table, and its subject: the folder within the layer."""
    folders = Path(node["original_file_path"]).parts[:-1]
    layer, *subjects = folders[1:] if folders[0] == "models" else folders
    return layer, " ".join(subjects)


def _by_subject(manifest: Mapping[str, Any], tables: list[dict[str, Any]]) -> Iterator[str]:
    for subject in sorted({_place(node)[1] for node in tables}):
        if subject:
            yield f"\n## {subject.replace('_', ' ').capitalize()}\n"
        for node in sorted(tables, key=lambda one: str(one["name"])):
            if _place(node)[1] == subject:
                yield _table(manifest, node, "###" if subject else "##")


def _table(manifest: Mapping[str, Any], node: Mapping[str, Any], heading: str) -> str:
    name = node["unique_id"]
    tests = sum(child.startswith(("test.", "unit_test.")) for child in manifest["child_map"][name])
    about = node["description"].split("\n\n")[0].strip()
    reads = [_link(_node(manifest, one)) for one in node["depends_on"].get("nodes", ())]
    facts = [_link(node, f"columns, {tests} test{'' if tests == 1 else 's'} and code")]
    if reads:
        facts.insert(0, f"Reads {', '.join(reads)}")
        facts.append(f'<a href="../lineage/index.html?model={name}">lineage of its columns</a>')
    group = manifest["groups"].get(f"group.lotus_lake.{node.get('group')}")
    if group:
        facts.append(f"{escape(group['owner']['name'])} answers for it")
    return f"\n{heading} `{node['name']}`\n\n{about}\n\n{' · '.join(facts)}\n"


def _node(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifest["nodes"].get(name) or manifest["sources"][name]
    return found


def _link(node: Mapping[str, Any], text: str = "") -> str:
    """A link to a table's page in the catalog; as HTML, since Sphinx has no page of that name."""
    name = node["name"]
    if node["resource_type"] == "source":
        name = f"{node['source_name']}.{name}"
    page = f"../catalog/index.html#!/{node['resource_type']}/{node['unique_id']}"
    return f'<a href="{page}">{escape(text) or f"<code>{escape(name)}</code>"}</a>'
