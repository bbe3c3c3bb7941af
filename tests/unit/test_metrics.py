"""What `lake metric` understands of a question, before the lake is asked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lotus_lake.cli import main

RELATION = {"alias": "t", "schema_name": "main", "relation_name": '"lakehouse"."main"."t"'}


def model(name: str, *dimensions: str, **entities: str) -> dict[str, Any]:
    """A semantic model as dbt writes it, with a time and a measure that are named after it."""
    time = {"name": f"{name}_day", "type": "time", "type_params": {"time_granularity": "day"}}
    return {
        "name": name,
        "node_relation": RELATION,
        "defaults": {"agg_time_dimension": f"{name}_day"},
        "entities": [{"name": entity, "type": kind} for entity, kind in entities.items()],
        "dimensions": [time, *({"name": word, "type": "categorical"} for word in dimensions)],
        "measures": [{"name": f"{name}_rows", "agg": "sum", "expr": "1"}],
    }


MANIFEST = {
    "semantic_models": [
        model("sales", "channel", sale="primary", buyer="foreign", seller="foreign"),
        model("buyers", "country", buyer="primary"),
        model("sellers", "country", seller="primary"),
    ],
    "metrics": [
        {
            "name": "sold",
            "type": "simple",
            "type_params": {"measure": {"name": "sales_rows"}, "input_measures": []},
        }
    ],
    "project_configuration": {
        "time_spine_table_configurations": [],
        "time_spines": [
            {
                "node_relation": RELATION,
                "primary_column": {"name": "day", "time_granularity": "day"},
            }
        ],
    },
    "saved_queries": [],
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that dbt has parsed, and no lake."""
    (tmp_path / "dbt_project.yml").write_text("name: sold")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/semantic_manifest.json").write_text(json.dumps(MANIFEST))
    for name in [name for name in os.environ if name.startswith(("LAKE_", "DBT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lake(*words: str) -> Result:
    """Run ``lake``."""
    return CliRunner().invoke(main, words)


def test_metrics_are_listed_with_what_they_have(project: Path) -> None:
    (metric,) = json.loads(lake("metrics", "--json").stdout)
    assert metric["name"] == metric["label"] == "sold"
    assert {"metric_time", "sale__channel", "buyer__country"} <= set(metric["dimensions"])
    assert "  by metric_time, " in lake("metrics").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["solt"], "There is no metric solt: did you mean sold? `lake metrics` lists them."),
        (["sold", "--by", "chanel"], "The metrics have no dimension chanel: did you mean sale__ch"),
        (["sold", "--by", "zzz"], "The metrics have no dimension zzz. They have: metric_time, "),
        (
            ["sold", "--by", "country"],
            "country is ambiguous: say which of buyer__country, seller__",
        ),
        (["sold", "--where", "country = 'FR'"], "country is ambiguous: say which of buyer__"),
        (["sold", "--where", "chanel in ('a')"], "The metrics have no dimension chanel: did you"),
        (["sold", "--where", "true"], "--where names no dimension. The metrics have: metric_time"),
        (
            ["sold", "--by", "channel__day"],
            "sale__channel is no time and has no grain: leave __day",
        ),
        (["sold", "--by", "metric_time__age"], "age is no grain of metric_time: take day, week, "),
        (["sold", "--grain", "age"], "Invalid value for '--grain': 'age' is not one of 'day', "),
        (["sold", "--from", "2025-02-30"], "Invalid value for '--from': '2025-02-30' does not"),
        (["sold", "--limit", "0"], "Invalid value for '--limit': 0 is not in the range"),
    ],
)
def test_a_wrong_question_is_one_line(words: list[str], said: str) -> None:
    wrong = lake("metric", *words)
    assert wrong.exit_code == 64
    assert wrong.stderr.startswith(f"lake metric: {said}")
    assert (wrong.stdout, wrong.stderr.count("\n")) == ("", 1)


def test_without_a_lake_it_cannot_be_answered() -> None:
    """The question is understood, a condition with a call, a literal and a time in it as well."""
    where = "lower(buyer__country) = 'country' and metric_time__month > date '2025-01-01'"
    away = lake("metric", "sold", "--by", "channel", "--where", where)
    assert away.exit_code == 40, away.stderr
    assert away.stderr.startswith("lake metric: There is no lake at sqlite:.lake/catalog.sqlite")


def test_a_project_without_metrics(project: Path) -> None:
    none = {**MANIFEST, "semantic_models": [], "metrics": []}
    (project / "target/semantic_manifest.json").write_text(json.dumps(none))
    said = lake("metrics")
    assert (said.exit_code, said.stdout) == (64, "")
    assert (
        said.stderr
        == "lake metrics: The project declares no metrics in the YAML beside its models.\n"
    )


def test_without_metricflow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lotus_lake.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "metricflow.engine.metricflow_engine", None)
    said = lake("metrics")
    assert (said.exit_code, said.stdout) == (64, "")
    assert said.stderr == (
        "lake metrics: MetricFlow is not installed: run pip install 'lotus-lake[metrics]'.\n"
    )
