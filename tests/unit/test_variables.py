"""Variables and streams' settings: what cannot be meant is refused with a line that names it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
import pytest
import yaml

from lotus_lake import __version__, operations, settings
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.streams import Stream

ROOT = Path(__file__).parents[2]
VARIABLES = {
    **{"rebuild_on_code_change": True, "run_all_tests": False, "watch_as_of": None},
    **{"watch_weeks": 8, "watch_least_weeks": 4, "watch_days": 3, "watch_score": 2.5},
    **{"watch_settle_days": 3, "watch_report_days": 7},
}
SHOP = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
NOT_A_NUMBER, INFINITY = float("nan"), float("inf")


def operate(step: str, arguments: dict[str, Any]) -> str | None:
    """What a step of a run refuses; a date of YAML comes as text, as from the macro."""
    config = LakeConfig("landing", "sqlite:catalog.sqlite", "data/")
    return operations.operate(duckdb.connect(), config, step, json.dumps(arguments))["problem"]


def check(**variables: Any) -> str | None:
    """Do as each run does at its start; what was refused."""
    return operate("check_variables", VARIABLES | variables)


def test_macros_and_python_are_of_one_version() -> None:
    start = (ROOT / "engine/macros/lakehouse/start_run.sql").read_text()
    assert f'{{"macros": "{__version__}"}}' in start
    package = yaml.safe_load((ROOT / "engine/dbt_project.yml").read_text())
    assert package["version"] == __version__
    assert operate("check_version", {"macros": __version__}) is None
    assert "of version 0.0.9" in str(operate("check_version", {"macros": "0.0.9"}))


def check_shop(**variables: Any) -> str | None:
    """Render the shop's macro as a build does; what was refused."""
    refused: list[str] = []
    macro = (ROOT / "macros/project/check_shop_variables.sql").read_text()
    values = SHOP | variables
    jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(
        macro + "{{ check_shop_variables() }}"
    ).render(
        execute=True,
        flags=SimpleNamespace(WHICH="build"),
        var=values.__getitem__,
        tojson=json.dumps,
        run_query=lambda sql: SimpleNamespace(
            columns=[SimpleNamespace(values=lambda: [row[0] for row in duckdb.sql(sql).fetchall()])]
        ),
        exceptions=SimpleNamespace(raise_compiler_error=refused.append),
    )
    return refused[0] if refused else None


def test_what_can_be_meant() -> None:
    assert check() is None
    assert not check(watch_as_of="2025-06-02", watch_score=3, rebuild_on_code_change=False)
    assert not check(watch_least_weeks=1, watch_settle_days=0, watch_report_days=0)
    assert check_shop() is None
    assert not check_shop(calendar_end="2026-01-01", attribution_hours=0.5)
    assert not check_shop(calendar_start="2025-06-02", calendar_end="2025-06-02")
    assert not check_shop(shop_currencies=["EUR", "USD"], shop_timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        *(
            ("watch_weeks", value, "a whole number from 1 to 520")
            for value in ("abc", 0, 1.5, True)
        ),
        ("watch_least_weeks", 9, "a whole number from 1 to 8"),
        ("watch_settle_days", -1, "a whole number from 0"),
        ("watch_report_days", INFINITY, "a whole number from 0"),
        *(("watch_score", value, "a number from 0.001") for value in ("high", -1, NOT_A_NUMBER)),
        *(("watch_as_of", value, "a date, YYYY-MM-DD, or null") for value in ("soon", "infinity")),
        *(("rebuild_on_code_change", value, "true or false") for value in ("no", None, 1)),
        ("attribution_hours", INFINITY, "a number from 0.001 to 87600.0"),
        ("attribution_hours", "abc", "a number from 0.001 to 87600.0"),
        *(("shop_currencies", value, "a list of codes") for value in ("EUR", None, 5, {"EUR": 1})),
        *(("shop_currencies", value, "a list of codes") for value in ([1], ["E'"])),
        *(("shop_timezone", value, "a time zone") for value in ("Mars/Olympus", None, "'")),
        *(("calendar_start", value, "a date") for value in ("x'", None, "-infinity")),
        ("calendar_end", "2025-02-30", "a date"),
        ("calendar_end", "2001-01-01", "no day before calendar_start, '2010-01-01'"),
    ],
)
def test_what_cannot_be_meant(name: str, value: Any, must: str) -> None:
    said = "null" if value is None else value
    refused = (check_shop if name in SHOP else check)(**{name: value})
    assert refused and refused.startswith(f"Variable {name} is '{said}'; it has to be {must}")


def test_the_settings_of_upkeep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the project, under its own name before the others'; else those of the engine."""
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    assert settings.of_project() == settings.DEFAULTS
    project = {"vars": {"history_days": 3, "snapshot_days": 4, "lotus_lake": {"snapshot_days": 5}}}
    (tmp_path / "dbt_project.yml").write_text(json.dumps(project))
    of_project = {**settings.DEFAULTS, "history_days": 3, "snapshot_days": 5}
    assert settings.of_project() == of_project
    assert settings.of_project("{snapshot_days: 0}") == {**of_project, "snapshot_days": 0}
    with pytest.raises(LakeError, match="Variable snapshot_days is 'soon'; it has to be a whole"):
        settings.of_project("{snapshot_days: soon}")
    (tmp_path / "dbt_project.yml").write_text("vars: [")
    with pytest.raises(LakeError, match="cannot be read"):
        settings.of_project()


@pytest.mark.parametrize(
    ("feeder", "said"),
    [
        *((feeder, f"meta.feeder is '{feeder}'; it has to be a") for feeder in ("append", None, 5)),
        ({"columns": "id"}, "'columns' under meta.feeder is not a setting"),
        ({"sync_mode": "append", "table": "other"}, "'table' under meta.feeder is not a setting"),
    ],
)
def test_settings_that_a_stream_cannot_have(feeder: Any, said: str) -> None:
    node = {"source_name": "shop", "name": "orders", "columns": {}}
    node["config"] = {"meta": {"feeder": feeder}}
    source = {"node": node, "table": "lakehouse.staging.stg_shop__orders"}
    refused = operate("declare_streams", {"sources": [source], "defaults": {}})
    assert refused and refused.startswith(f"Stream shop.orders: {said}")


# -- declarations of streams -------------------------------------------------------------------


def problem(**settings: Any) -> str | None:
    """What is wrong with a declaration."""
    declaration = {
        **{"source": "shop", "stream": "orders", "table": "t", "airbyte": False},
        "columns": [{"name": "id", "type": "bigint"}, {"name": "name", "type": "varchar"}],
        **settings,
    }
    try:
        Stream.from_declaration(json.dumps(declaration)).check_expressions(duckdb.connect())
    except LakeError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"airbyte": True, "source_cursor": "_airbyte_extracted_at"},
        {"source_cursor": "coalesce(name, _source_file) -- newest", "primary_key": "ID"},
        {"amounts": ["id"]},
        {"primary_key": ["name", "ID"]},
    ],
)
def test_a_right_declaration(settings: dict[str, Any]) -> None:
    assert problem(**settings) is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"feed_max_file": 1}, "'feed_max_file' under meta.feeder is not a setting"),
        ({"feed_mode": "link"}, "feed_mode is 'link'"),
        ({"sync_mode": "merge"}, "sync_mode is 'merge'"),
        *(
            ({"feed_max_files": value}, f"feed_max_files is '{value}'; it has to be a whole number")
            for value in (0, 1.5, True, None)
        ),
        ({"feed_lookback_days": 99_999_999}, "feed_lookback_days is '99999999'; it has to be a"),
        *(
            ({"feed_sweep_hours": value}, f"feed_sweep_hours is '{value}'; it has to be a number")
            for value in (-1, NOT_A_NUMBER, INFINITY)
        ),
        ({"airbyte": "no"}, "airbyte is 'no'; it has to be true or false"),
        ({"source_cursor": 5}, "source_cursor is '5'; it has to be text"),
        ({"primary_key": ["id", 5]}, r"primary_key is '\['id', 5\]'; it has to be a column, or a"),
        ({"primary_key": ["id", "key"]}, "primary_key 'key' cannot be computed"),
        ({"amounts": ["lines[].price"]}, r"'lines\[\]\.price' of amounts is not declared"),
        ({"amounts": "price"}, "amounts is 'price'; it has to be a list"),
        ({"columns": [{"name": "id", "type": "bigintt"}]}, "data_type 'bigintt' of column id is"),
        ({"source_cursor": "changed_at"}, "source_cursor 'changed_at' .* id, name .*changed_at"),
        ({"source_cursor": "coalesce(id"}, "source_cursor 'coalesce.*Parser Error"),
        ({"primary_key": "key"}, "primary_key 'key' cannot be computed"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(settings: dict[str, Any], said: str) -> None:
    wrong = problem(**settings)
    assert wrong and re.match(f"Stream shop.orders: (variable )?{said}", wrong), wrong
