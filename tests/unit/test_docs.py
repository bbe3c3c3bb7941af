"""What the project says about itself: complete, and without dead links."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from lotus_lake.streams import Stream

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS = {page: page.read_text() for page in PAGES}
FEEDER = TEXTS[ROOT / "docs/feeder.md"]
MODELS = TEXTS[ROOT / "docs/models.md"]
MAINTENANCE = TEXTS[ROOT / "docs/maintenance.md"]
MAKEFILE = (ROOT / "Makefile").read_text()
CODE = sorted(
    path
    for folder in ("macros", "models", "snapshots", "analyses", "tests/integrity", "tests/generic")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".sql", ".py", ".yml")
)

Node = dict[str, Any]


def own(manifest: Node, kind: str, *types: str) -> list[Node]:
    """The project's own nodes of a part of the manifest."""
    return [
        node
        for node in manifest[kind].values()
        if node["package_name"] == "lotus_lake" and (not types or node["resource_type"] in types)
    ]


def names(nodes: list[Node]) -> list[str]:
    """Their names, for a message that says what is missing."""
    return sorted(node["name"] for node in nodes)


# -- what dbt knows --------------------------------------------------------------------------------
# That models, sources and macros are described is checked by dbt-bouncer (dbt-bouncer.yml), which
# knows nothing of analyses, or of the columns of the others.


def test_every_analysis_has_a_description(manifest: Node) -> None:
    nodes = own(manifest, "nodes", "analysis")
    assert nodes
    assert names([node for node in nodes if not node["description"].strip()]) == []


def test_every_column_has_a_description(manifest: Node) -> None:
    nodes = own(manifest, "nodes", "seed", "snapshot") + own(manifest, "sources")
    bare = [
        f"{node['name']}.{column['name']}"
        for node in nodes
        for column in node["columns"].values()
        if not column["description"].strip()
    ]
    assert bare == []


def test_every_table_is_in_the_list_of_tables(manifest: Node) -> None:
    nodes = own(manifest, "nodes", "model", "seed", "snapshot", "analysis")
    assert [name for name in names(nodes) if f"`{name}`" not in MODELS] == []


def test_the_list_of_tables_has_no_other(manifest: Node) -> None:
    known = names(own(manifest, "nodes", "model", "seed", "snapshot"))
    listed = re.findall(r"`((?:stg|int|fct|dim|snap)_\w+)`", MODELS)
    assert sorted(set(listed) - set(known)) == []


def test_python_models_are_feeds(manifest: Node) -> None:
    """dbt ignores it from dbt_project.yml for Python models, and would replace the table."""
    models = [node for node in own(manifest, "nodes", "model") if node["language"] == "python"]
    assert models
    for node in models:
        assert node["config"]["materialized"] == "feed", node["name"]
        text = (ROOT / node["original_file_path"]).read_text()
        assert 'dbt.config(materialized="feed")' in text, node["name"]


def test_tests_of_the_bookkeeping_wait_for_every_stream(manifest: Node) -> None:
    staging = [node for node in own(manifest, "nodes", "model") if node["language"] == "python"]
    waits = (ROOT / "macros/feeder/after_feeding.sql").read_text()
    assert [name for name in names(staging) if f'ref("{name}")' not in waits] == []


# -- what a person sets or calls -------------------------------------------------------------------


def test_every_variable_is_documented() -> None:
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text())
    used = {
        name for path in CODE for name in re.findall(r"\bvar\(\s*['\"](\w+)['\"]", path.read_text())
    }
    undocumented = [
        name
        for name in sorted(used | set(project["vars"]))
        if f"`{name}`" not in FEEDER + MODELS + MAINTENANCE
    ]
    assert undocumented == []


def test_every_variable_that_is_read_is_declared() -> None:
    declared = set(yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"])
    used = {
        name
        for path in CODE
        for name in re.findall(r"\bvar\(\s*['\"](\w+)['\"]\s*\)", path.read_text())
    }
    assert sorted(used - declared) == []


def test_every_stream_setting_is_documented() -> None:
    settings = {field.name for field in fields(Stream)} - {
        *("source", "name", "table", "columns", "freshness_hours")
    }
    assert [name for name in sorted(settings) if f"| `{name}` |" not in FEEDER] == []


def test_every_operation_is_documented() -> None:
    called_by_others = {
        *("declare_streams", "declared_streams", "check_landing", "after_feeding"),
        "backlog_files",
    }
    operations = {
        path.stem
        for path in (ROOT / "macros/feeder").glob("*.sql")
        if not path.stem.startswith("_") and path.stem not in called_by_others
    }
    assert [name for name in sorted(operations) if f"run-operation {name}" not in FEEDER] == []


def test_every_environment_variable_is_in_the_readme() -> None:
    readers = [*ROOT.glob("lotus_lake/**/*.py"), *ROOT.glob("scripts/*.py"), ROOT / "profiles.yml"]
    used = {
        name
        for path in readers
        for name in re.findall(r"['\"]((?:LAKE|DBT|AWS)_[A-Z0-9_]+)['\"]", path.read_text())
    }
    # Older and more general names of the AWS SDK, read where the documented ones are unset, and one
    # that is only set, for this process.
    used -= {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_RESPONSE_CHECKSUM_VALIDATION"}
    assert [name for name in sorted(used) if f"`{name}`" not in TEXTS[ROOT / "README.md"]] == []


def test_every_make_target_says_what_it_does() -> None:
    targets = re.findall(r"^([a-z][\w-]*):(.*)$", MAKEFILE, re.MULTILINE)
    assert [name for name, rest in targets if "## " not in rest] == []
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert {name for name, _ in targets} <= set(phony[1].split())


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
    named = {
        name
        for text in TEXTS.values()
        for name in re.findall(r"(?:`|^ *)make ([a-z][\w-]*)", text, re.MULTILINE)
    }
    assert named
    assert sorted(named - targets) == []


def test_every_script_is_documented() -> None:
    scripts = sorted(ROOT.glob("scripts/**/*.py"))
    assert scripts
    everywhere = MAKEFILE + "".join(TEXTS.values())
    for script in scripts:
        assert script.read_text().startswith('"""'), f"{script.name} has no docstring"
        assert script.name in everywhere, f"no make target and no page names {script.name}"


# -- pages -----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())
        ):
            dead.append(link)
    assert dead == []


def test_every_page_can_be_found() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page, text in TEXTS.items()
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
    } | {ROOT / "README.md"}
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in linked] == []
