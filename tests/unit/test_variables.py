"""Variables and streams' settings: what cannot be meant is refused with a line that names it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import jinja2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
VARIABLES = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
MACROS = (ROOT / "macros/lakehouse/check_variables.sql").read_text()
WATCHING = "".join(
    (ROOT / f"macros/watching/{name}.sql").read_text()
    for name in ("watch_window", "unusual_volumes", "unusual_null_rates", "volume_scores")
)
DECLARE = (ROOT / "macros/feeder/declare_streams.sql").read_text()
NOT_A_NUMBER, INFINITY = float("nan"), float("inf")


class Refused(Exception):
    """What dbt would print."""


class Exceptions:
    """dbt's ``exceptions``."""

    def raise_compiler_error(self, message: str) -> NoReturn:
        raise Refused(message)


@dataclass
class Table:
    """What dbt's ``run_query`` returns."""

    rows: list[Any]


def render(template: str, **variables: Any) -> str:
    """Render what calls these macros, with the project's variables and others."""
    return (
        jinja2.Environment(extensions=["jinja2.ext.do"])
        .from_string(template.replace("lotus_lake.", ""))
        .render(
            var=lambda name: (VARIABLES | variables)[name],
            run_query=lambda sql: Table(duckdb.sql(sql).fetchall()),
            exceptions=Exceptions(),
        )
    )


def check(**variables: Any) -> None:
    """Do as each run does at its start."""
    render(MACROS + "{% do check_variables() %}", **variables)


def test_what_can_be_meant() -> None:
    check()
    check(watch_as_of="2025-06-02", shop_currencies=["EUR", "USD"], watch_score=3)
    check(watch_as_of=date(2025, 6, 2), calendar_end=date(2026, 1, 1), attribution_hours=0.5)
    check(calendar_start="2025-06-02", calendar_end="2025-06-02", rebuild_on_code_change=False)
    check(watch_least_weeks=1, watch_settle_days=0, watch_report_days=0)


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
    with pytest.raises(Refused) as refused:
        check(**{name: value})
    said = "null" if value is None else value
    assert str(refused.value).startswith(f"Variable {name} is '{said}'; it has to be {must}")


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
    render(WATCHING + calls, **{name: value})


@pytest.mark.parametrize(
    ("feeder", "said"),
    [
        *((feeder, f"meta.feeder is '{feeder}'; it has to be a") for feeder in ("append", None, 5)),
        ({"columns": "id"}, "'columns' under meta.feeder is not a setting"),
        ({"sync_mode": "append", "table": "other"}, "'table' under meta.feeder is not a setting"),
    ],
)
def test_settings_that_a_stream_cannot_have(feeder: Any, said: str) -> None:
    stream = {
        **{"source_name": "shop", "name": "orders", "schema": "shop", "identifier": "orders"},
        **{"columns": {}, "config": {"meta": {"feeder": feeder}}},
    }
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    with pytest.raises(Refused, match=f"Stream shop.orders: {said}"):
        environment.from_string(DECLARE + "{{ declare_streams() }}").render(
            declared_streams=lambda: [stream], run_query=lambda _: None, exceptions=Exceptions()
        )
