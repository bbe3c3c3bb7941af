"""Variables and streams' settings: what cannot be meant is refused with a line that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
import yaml

from lotus_lake import operations
from lotus_lake.config import LakeConfig
from lotus_lake.operations.variables import CHECKED

ROOT = Path(__file__).parents[2]
VARIABLES = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
WATCHING = "".join(
    (ROOT / f"macros/watching/{name}.sql").read_text()
    for name in ("watch_window", "unusual_volumes", "unusual_null_rates", "volume_scores")
)
NOT_A_NUMBER, INFINITY = float("nan"), float("inf")


def operate(operation: str, arguments: dict[str, Any]) -> str | None:
    """What an operation refuses; a date of YAML comes as text, as from the macro."""
    config = LakeConfig("landing", "sqlite:catalog.sqlite", "data/")
    return operations.operate(duckdb.connect(), config, operation, json.dumps(arguments))["problem"]


def check(**variables: Any) -> str | None:
    """Do as each run does at its start; what was refused."""
    return operate("check_variables", {name: (VARIABLES | variables)[name] for name in CHECKED})


def test_what_can_be_meant() -> None:
    assert check() is None
    assert not check(watch_as_of="2025-06-02", shop_currencies=["EUR", "USD"], watch_score=3)
    assert not check(watch_as_of="2025-06-02", calendar_end="2026-01-01", attribution_hours=0.5)
    assert not check(calendar_start="2025-06-02", calendar_end="2025-06-02")
    assert not check(rebuild_on_code_change=False)
    assert not check(watch_least_weeks=1, watch_settle_days=0, watch_report_days=0)


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        *(
            ("watch_weeks", value, "a whole number from 1 to 520")
            for value in ("abc", 0, 1.5, True)
        ),
        ("watch_weeks", None, "a whole number"),
        ("watch_least_weeks", -1, "a whole number from 1"),
        ("watch_least_weeks", 9, "a whole number from 1 to 8"),
        ("watch_days", "abc", "a whole number from 1"),
        ("watch_settle_days", -1, "a whole number from 0"),
        ("watch_report_days", None, "a whole number from 0"),
        ("watch_report_days", INFINITY, "a whole number from 0"),
        *(("watch_score", value, "a number from 0.001") for value in ("high", -1, NOT_A_NUMBER)),
        *(("watch_as_of", value, "a date, YYYY-MM-DD, or null") for value in ("soon", "infinity")),
        ("attribution_hours", "many", "a number from 0.001 to 87600.0"),
        ("attribution_hours", INFINITY, "a number from 0.001 to 87600.0"),
        *(("shop_currencies", value, "a list of codes") for value in ("EUR", None, 5, {"EUR": 1})),
        *(("shop_currencies", value, "a list of codes") for value in ([1], ["E'"])),
        *(("rebuild_on_code_change", value, "true or false") for value in ("no", None, 1)),
        *(("shop_timezone", value, "a time zone") for value in ("Mars/Olympus", None, "'")),
        *(("calendar_start", value, "a date") for value in ("x'", None, "-infinity")),
        ("calendar_end", "2025-02-30", "a date"),
        ("calendar_end", "2001-01-01", "no day before calendar_start, '2010-01-01'"),
    ],
)
def test_what_cannot_be_meant(name: str, value: Any, must: str) -> None:
    said = "null" if value is None else value
    refused = check(**{name: value})
    assert refused and refused.startswith(f"Variable {name} is '{said}'; it has to be {must}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("watch_weeks", value) for value in ("abc", None, INFINITY)),
        *(("watch_days", value) for value in ("abc", None)),
        ("watch_settle_days", "abc"),
    ],
)
def test_what_cannot_be_meant_is_no_error_before_it_is_refused(name: str, value: Any) -> None:
    """dbt renders the checks while it parses, which says nothing that a person could use."""
    calls = "{{ watch_window() }}{{ unusual_volumes('d') }}{{ unusual_null_rates('d', 10) }}"
    template = (WATCHING + calls).replace("lotus_lake.", "")
    jinja2.Environment().from_string(template).render(
        var=lambda one: (VARIABLES | {name: value})[one]
    )


@pytest.mark.parametrize(
    ("feeder", "said"),
    [
        *((feeder, f"meta.feeder is '{feeder}'; it has to be a") for feeder in ("append", None, 5)),
        ({"columns": "id"}, "'columns' under meta.feeder is not a setting"),
        ({"sync_mode": "append", "table": "other"}, "'table' under meta.feeder is not a setting"),
    ],
)
def test_settings_that_a_stream_cannot_have(feeder: Any, said: str) -> None:
    source = {
        **{"source": "shop", "stream": "orders", "schema": "shop", "identifier": "orders"},
        **{"columns": [], "feeder": feeder, "freshness": {}},
    }
    refused = operate("declare_streams", {"sources": [source], "defaults": {}})
    assert refused and refused.startswith(f"Stream shop.orders: {said}")
