"""The conventions of dbt-bouncer.yml: the project keeps them, and a broken one is noticed.

Nothing is run for that: the manifest is altered as dbt would write it if somebody broke the rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt_bouncer import run_bouncer

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "dbt-bouncer.yml").read_text())
RULES = [rule["description"] for rule in CONFIG["manifest_checks"]]

STAGING = "models/landing/shopify/stg_shopify__orders.py"
RECORDS = "models/processed/shopify/int_shopify__orders.sql"
FACT = "models/enriched/sales/fct_sales.sql"
SOURCES = "models/landing/shopify/_shopify__sources.yml"
SNAPSHOT = "snapshots/snap_klaviyo__campaigns.yml"
SEED = "seeds/klaviyo_metric_roles.csv"
MACRO = "macros/types/money.sql"
CHECK = "tests/integrity/streams_are_fresh.sql"

Node = dict[str, Any]


def uid(path: str) -> str:
    """What dbt calls the model in a file."""
    return f"model.lotus_lake.{Path(path).stem}"


def unmark(column: Node) -> None:
    """Do not say that a column has personal data."""
    assert column["meta"].pop("personal")
    column["config"]["meta"].pop("personal")


class Project:
    """A copy of the manifest, to break a rule in."""

    def __init__(self, manifest: Node) -> None:
        self.manifest: Node = json.loads(json.dumps(manifest))

    def node(self, path: str) -> Node:
        """The model, source, snapshot, seed or macro that a file has; the first one of them."""
        everything = [
            node
            for part in ("nodes", "sources", "macros")
            for node in self.manifest[part].values()
            if node["original_file_path"] == path and not node.get("attached_node")
        ]
        assert everything, path
        first: Node = everything[0]
        return first

    def set(self, path: str, **values: Any) -> None:
        """Say something else of it."""
        self.node(path).update(values)

    def read(self, path: str, node: str) -> None:
        """Let a model read something."""
        self.node(path)["depends_on"]["nodes"].append(node)

    def column(self, path: str, **values: Any) -> None:
        """Say something else of its first column."""
        next(iter(self.node(path)["columns"].values())).update(values)

    def write(self, path: str, sql: Callable[[str], str]) -> None:
        """Write a model differently."""
        self.set(path, raw_code=sql(self.node(path)["raw_code"]))

    def without_test(self, path: str, test: str) -> None:
        """Take a model's tests of a kind away."""
        for key, node in list(self.manifest["nodes"].items()):
            if node.get("attached_node") == uid(path) and node["test_metadata"]["name"] == test:
                del self.manifest["nodes"][key]

    def without_unit_tests(self, path: str) -> None:
        """Take a model's unit tests away."""
        tests = self.manifest["unit_tests"]
        for key in [key for key in tests if uid(path) in tests[key]["depends_on"]["nodes"]]:
            del tests[key]


# How the rule's description begins, which file breaks it, and how.
BREAKS: list[tuple[str, str, Callable[[Project], None]]] = [
    (
        "Move the model into models/landing",
        "models/marts/fct_new.sql",
        lambda project: project.set(FACT, original_file_path="models/marts/fct_new.sql"),
    ),
    ("Call it stg_", STAGING, lambda project: project.set(STAGING, name="orders")),
    ("Call it int_", RECORDS, lambda project: project.set(RECORDS, name="int_orders")),
    ("Call it fct_", FACT, lambda project: project.set(FACT, name="sales")),
    (
        "Put it into the folder of the source",
        STAGING,
        lambda project: project.set(STAGING, name="stg_klaviyo__orders"),
    ),
    (
        "Take the schema from dbt_project.yml; a table of landing",
        STAGING,
        lambda project: project.set(STAGING, schema="raw"),
    ),
    (
        "Take the schema from dbt_project.yml; this table",
        FACT,
        lambda project: project.set(FACT, schema="marts"),
    ),
    ("Call it snap_", SNAPSHOT, lambda project: project.set(SNAPSHOT, name="campaigns")),
    (
        "A landing model feeds one stream",
        STAGING,
        lambda project: project.read(STAGING, uid(RECORDS)),
    ),
    (
        "Read landing or processed models only",
        RECORDS,
        lambda project: project.read(RECORDS, uid(FACT)),
    ),
    ("Take it from an int_ model", FACT, lambda project: project.read(FACT, uid(STAGING))),
    (
        "Read the stg_ model with ref(); only the feeder",
        RECORDS,
        lambda project: project.read(RECORDS, "source.lotus_lake.shopify.orders"),
    ),
    (
        "Write ref('...'), so that dbt and the branches know",
        FACT,
        lambda project: project.write(
            FACT, lambda sql: sql.replace("{{ ref('int_shopify__orders') }}", "main.orders")
        ),
    ),
    (
        "Write ref('...') or source('...')",
        FACT,
        lambda project: project.set(FACT, depends_on={"macros": [], "nodes": []}),
    ),
    (
        "Read the stg_ model with ref(); a stream is fed by one model",
        SOURCES,
        lambda project: project.read(
            "models/landing/shopify/stg_shopify__customers.py", "source.lotus_lake.shopify.orders"
        ),
    ),
    (
        "Describe the model in a YAML of the same name",
        FACT,
        lambda project: project.set(
            FACT, patch_path="lotus_lake://models/enriched/sales/_models.yml"
        ),
    ),
    (
        "Move the YAML beside the model",
        FACT,
        lambda project: project.set(FACT, patch_path="lotus_lake://models/fct_sales.yml"),
    ),
    (
        "Write what one row is into the model's",
        FACT,
        lambda project: project.set(FACT, description=""),
    ),
    ("Describe the column", FACT, lambda project: project.column(FACT, description="")),
    ("Describe the stream", SOURCES, lambda project: project.set(SOURCES, description="")),
    ("Describe the source", SOURCES, lambda project: project.set(SOURCES, source_description="")),
    (
        "Write into the snapshot's YAML what",
        SNAPSHOT,
        lambda project: project.set(SNAPSHOT, description=""),
    ),
    ("Write into the seed's YAML what", SEED, lambda project: project.set(SEED, description="")),
    ("Describe the macro", MACRO, lambda project: project.set(MACRO, arguments=[])),
    ("Move the macro into a file", MACRO, lambda project: project.set(MACRO, name="as_money")),
    (
        "Leave contract as dbt_project.yml sets it",
        FACT,
        lambda project: project.set(FACT, contract={"enforced": False, "checksum": None}),
    ),
    (
        "Write the column's data_type; the contract",
        FACT,
        lambda project: project.column(FACT, data_type=None),
    ),
    ("Add unique to the key's", FACT, lambda project: project.without_test(FACT, "unique")),
    ("Add not_null to the key's", FACT, lambda project: project.without_test(FACT, "not_null")),
    ("Add a unit test", FACT, lambda project: project.without_unit_tests(FACT)),
    ("Write freshness", SOURCES, lambda project: project.set(SOURCES, freshness=None)),
    (
        "Write the snapshot's unique_key",
        SNAPSHOT,
        lambda project: project.node(SNAPSHOT)["config"].update(unique_key=None),
    ),
    (
        "Write the column's data_type into the seed's",
        SEED,
        lambda project: project.column(SEED, data_type=None),
    ),
    (
        "Write config: {meta: {personal: true}} to the model's",
        RECORDS,
        lambda project: unmark(project.node(RECORDS)["columns"]["email"]),
    ),
    (
        "Write config: {meta: {personal: true}} to the stream's",
        SOURCES,
        lambda project: unmark(
            project.manifest["sources"]["source.lotus_lake.shopify.orders"]["columns"]["email"]
        ),
    ),
    (
        "Write config.meta.owner",
        CHECK,
        lambda project: project.node(CHECK)["config"].update(meta={"owner": "nobody"}),
    ),
    (
        "Select a message",
        CHECK,
        lambda project: project.write(CHECK, lambda sql: sql.replace("as message", "as text")),
    ),
    (
        "End with `select * from final`",
        FACT,
        lambda project: project.write(FACT, lambda sql: sql.replace("from final", "from amounts")),
    ),
    (
        "Take the semicolon away",
        FACT,
        lambda project: project.write(FACT, lambda sql: f"{sql.strip()};"),
    ),
    (
        "Move the work into lotus_lake/",
        STAGING,
        lambda project: project.write(STAGING, lambda python: python + "\n" * 20),
    ),
    (
        "Split the model",
        FACT,
        lambda project: project.write(FACT, lambda sql: sql.replace("with\n", "with\n" * 200, 1)),
    ),
]


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a configuration of its own; none of them shall pile up in somebody's home."""
    monkeypatch.setenv("DBT_BOUNCER_DISABLE_CONF_CACHE", "true")


def found(manifest: Node, folder: Path, check: str = "") -> list[tuple[str, str]]:
    """What dbt-bouncer finds wrong: messages and files."""
    (folder / "manifest.json").write_text(json.dumps(manifest))
    config = CONFIG | {
        "dbt_artifacts_dir": str(folder),
        "custom_checks_dir": str(ROOT / CONFIG["custom_checks_dir"]),
    }
    (folder / "dbt-bouncer.yml").write_text(yaml.safe_dump(config))
    results = folder / "results.json"
    run_bouncer(
        config_file=folder / "dbt-bouncer.yml",
        check=check,
        output_file=results,
        output_only_failures=True,
    )
    return [(one["failure_message"], one["file_path"]) for one in json.loads(results.read_text())]


def test_the_project_keeps_its_conventions(manifest: Node, tmp_path: Path) -> None:
    assert found(manifest, tmp_path) == []


@pytest.mark.parametrize(("rule", "file", "alter"), BREAKS, ids=[rule for rule, _, _ in BREAKS])
def test_a_broken_convention_is_noticed(
    rule: str, file: str, alter: Callable[[Project], None], manifest: Node, tmp_path: Path
) -> None:
    project = Project(manifest)
    alter(project)
    (check,) = [
        one["name"] for one in CONFIG["manifest_checks"] if one["description"].startswith(rule)
    ]
    messages = [
        message for message, where in found(project.manifest, tmp_path, check) if where == file
    ]
    assert [message for message in messages if message.startswith(rule)], messages


def test_every_convention_is_broken_once() -> None:
    unbroken = [
        rule for rule in RULES if sum(rule.startswith(beginning) for beginning, _, _ in BREAKS) != 1
    ]
    assert unbroken == []
