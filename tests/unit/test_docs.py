"""What the project says about itself: complete, and without dead links."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from lotus_lake.cli import main
from lotus_lake.streams import Stream

ROOT = Path(__file__).parents[2]
PAGES = {page: page.read_text() for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]}
MAKEFILE = (ROOT / "Makefile").read_text()

Node = dict[str, Any]


def text_of(*names: str) -> str:
    """The text of some pages."""
    return "".join(PAGES[ROOT / name] for name in names)


def found(pattern: str, *files: str) -> set[str]:
    """What a pattern finds in files, which are named by globs."""
    texts = (path.read_text() for glob in files for path in ROOT.glob(glob) if path.is_file())
    return {name for text in texts for name in re.findall(pattern, text, re.MULTILINE)}


def own(manifest: Node, kind: str, *types: str) -> list[Node]:
    """The project's own nodes of a part of the manifest."""
    return [
        node
        for node in manifest[kind].values()
        if node["package_name"] == "lotus_lake" and (not types or node["resource_type"] in types)
    ]


# -- what dbt knows --------------------------------------------------------------------------------
# That models, sources and macros are described is checked by dbt-bouncer (dbt-bouncer.yml), which
# knows nothing of analyses, or of the columns of the others.


def test_every_analysis_and_column_has_a_description(manifest: Node) -> None:
    columns = [
        {**column, "name": f"{node['name']}.{column['name']}"}
        for node in own(manifest, "nodes", "seed", "snapshot") + own(manifest, "sources")
        for column in node["columns"].values()
    ]
    described = [*own(manifest, "nodes", "analysis"), *columns]
    assert [node["name"] for node in described if not node["description"].strip()] == []


def test_the_list_of_tables_is_complete(manifest: Node) -> None:
    models = text_of("docs/models.md")
    known = {node["name"] for node in own(manifest, "nodes", "model", "seed", "snapshot")}
    analyses = {node["name"] for node in own(manifest, "nodes", "analysis")}
    assert {name for name in known | analyses if f"`{name}`" not in models} == set()
    assert set(re.findall(r"`((?:stg|int|fct|dim|snap)_\w+)`", models)) <= known


def test_python_models_are_feeds(manifest: Node) -> None:
    """dbt ignores it from dbt_project.yml for Python models, and would replace the table. Tests of
    the bookkeeping wait for every one of them."""
    waits = (ROOT / "macros/project/after_feeding.sql").read_text()
    models = [node for node in own(manifest, "nodes", "model") if node["language"] == "python"]
    assert models
    for node in models:
        assert node["config"]["materialized"] == "feed", node["name"]
        text = (ROOT / node["original_file_path"]).read_text()
        assert 'dbt.config(materialized="feed")' in text, node["name"]
        assert f'ref("{node["name"]}")' in waits


# -- what a person sets or calls -------------------------------------------------------------------

DECLARED = set(yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"])
DBT_CODE = [
    f"{folder}/**/*.{kind}"
    for folder in ("macros", "models", "snapshots", "analyses", "tests/integrity", "engine")
    for kind in ("sql", "py", "yml")
]
SETTINGS = {field.name for field in fields(Stream)}
WORKFLOWS = ".*/workflows/*.yml"
# The changelog names commands that are gone.
GUIDES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
TARGETS = found(r"^([a-z][\w-]*):", "Makefile")
COMMANDS = set(main.commands) | {f"branch {name}" for name in main.commands["branch"].commands}


@pytest.mark.parametrize(
    ("names", "written", "text"),
    [
        pytest.param(
            DECLARED | found(r"\b(?:var|setting)\(\s*['\"](\w+)['\"]", *DBT_CODE),
            "`{}`",
            text_of("docs/feeder.md", "docs/models.md", "docs/maintenance.md"),
            id="variables",
        ),
        pytest.param(
            SETTINGS - {"source", "name", "table", "columns", "personal", "freshness_hours"},
            "| `{}` |",
            text_of("docs/feeder.md"),
            id="stream settings",
        ),
        pytest.param(
            COMMANDS,
            "lake {}",
            text_of("docs/lake.md"),
            id="commands",
        ),
        pytest.param(
            found(
                r"['\"]((?:LAKE|DBT|AWS)_[A-Z0-9_]+)['\"]",
                *("lotus_lake/**/*.py", "scripts/*.py", "profiles.yml"),
            )
            # Older and more general names of the AWS SDK, read where the documented ones are unset,
            # and one that is only set, for this process.
            - {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_RESPONSE_CHECKSUM_VALIDATION"},
            "`{}`",
            text_of("README.md"),
            id="environment variables",
        ),
        pytest.param(
            found(r"\b(?:vars|secrets)\.(\w+)", WORKFLOWS),
            "`{}`",
            text_of("docs/ci.md"),
            id="what workflows need",
        ),
    ],
)
def test_everything_is_documented(names: set[str], written: str, text: str) -> None:
    assert names
    assert [name for name in sorted(names) if written.format(name) not in text] == []


def test_what_is_named_is_there() -> None:
    """Variables that the code reads are declared; commands that a page or a workflow names are
    there. Make targets say what they do, and are made even where a file has their name."""
    assert found(r"\bvar\(\s*['\"](\w+)['\"]\s*\)", *DBT_CODE) <= DECLARED
    named = found(r"(?:`|^ *|run: )make ([a-z][\w-]*)", *GUIDES, WORKFLOWS)
    assert named <= TARGETS
    assert len(TARGETS) <= 12
    called = found(r"(?:`|run: |bin/|&& )lake ([a-z][a-z-]*)", *GUIDES, WORKFLOWS)
    assert called <= set(main.commands)
    assert found(r"^([a-z][\w-]*):.*## ", "Makefile") == TARGETS
    (phony,) = found(r"^\.PHONY: (.*)$", "Makefile")
    assert set(phony.split()) >= TARGETS


# -- pages -----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere_and_to_every_page() -> None:
    """Those of the alerts too."""
    links = [
        (page.parent, page, link)
        for page, text in PAGES.items()
        for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text)
    ]
    alerts = ROOT / "deploy/monitoring/alerts.yaml"
    links += [(ROOT, alerts, link) for link in re.findall(r"runbook: (\S+)", alerts.read_text())]
    dead, linked = [], {ROOT / "README.md"}
    for folder, page, link in links:
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else page
        linked.add(target)
        if not target.exists() or (anchor and anchor not in anchors(PAGES.get(target, ""))):
            dead.append((page.name, link))
    assert dead == []
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in linked] == []


def test_a_new_project_is_as_the_example() -> None:
    new, example = ROOT / "lotus_lake/new_project", ROOT / "examples/jaffle_shop"
    profile = (new / "profiles.yml.tmpl").read_text().replace("$name", "jaffle_shop")
    assert profile == (example / "profiles.yml").read_text()
    macro = (new / "generate_schema_name.sql.tmpl").read_text()
    assert macro == (example / "macros/generate_schema_name.sql").read_text()
    assert macro == (ROOT / "macros/project/generate_schema_name.sql").read_text()
