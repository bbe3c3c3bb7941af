"""Variables and streams' settings: what cannot be meant is refused with a line that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import jinja2
import pytest
import yaml

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.functions import register
from lotus_lake.streams import Stream

ROOT = Path(__file__).parents[2]
VARIABLES = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
MACROS = (ROOT / "macros/lakehouse/check_variables.sql").read_text()
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


# -- declarations of streams -------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the functions that macros call."""
    with duckdb.connect() as opened:
        register(opened, LakeConfig("landing", "sqlite:none", "data/"))
        yield opened


def problem(connection: duckdb.DuckDBPyConnection, **settings: Any) -> str | None:
    """What macros are told of a declaration."""
    declaration = {
        **{"source": "shop", "stream": "orders", "table": "t", "airbyte": False},
        "columns": [{"name": "id", "type": "bigint"}, {"name": "name", "type": "varchar"}],
        **settings,
    }
    found = connection.execute(
        "select declaration_problem(said) from (values (?)) as declarations (said)",
        [json.dumps(declaration)],
    ).fetchone()
    return found and found[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"airbyte": True, "source_cursor": "_airbyte_extracted_at"},
        {"source_cursor": "coalesce(name, _source_file) -- newest", "primary_key": "ID"},
        {"amounts": ["id"]},
    ],
)
def test_a_right_declaration(
    connection: duckdb.DuckDBPyConnection, settings: dict[str, Any]
) -> None:
    assert problem(connection, **settings) is None


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
        ({"feed_max_bytes": "many"}, "feed_max_bytes is 'many'; it has to be a whole number"),
        ({"feed_lookback_days": 99_999_999}, "feed_lookback_days is '99999999'; it has to be a"),
        *(
            ({"feed_sweep_hours": value}, f"feed_sweep_hours is '{value}'; it has to be a number")
            for value in (-1, NOT_A_NUMBER, INFINITY)
        ),
        ({"airbyte": "no"}, "airbyte is 'no'; it has to be true or false"),
        ({"source_cursor": 5}, "source_cursor is '5'; it has to be text"),
        ({"primary_key": ["id"]}, r"primary_key is '\['id'\]'; it has to be text"),
        ({"amounts": ["lines[].price"]}, r"'lines\[\]\.price' of amounts is not declared"),
        ({"amounts": "price"}, "amounts is 'price'; it has to be a list"),
        ({"columns": "id"}, "columns is 'id'; it has to be a list"),
        ({"columns": [{"name": "id", "type": "bigintt"}]}, "data_type 'bigintt' of column id is"),
        ({"source_cursor": "changed_at"}, "source_cursor 'changed_at' .* id, name .*changed_at"),
        ({"source_cursor": "coalesce(id"}, "source_cursor 'coalesce.*Parser Error"),
        ({"source_cursor": "_airbyte_extracted_at"}, "source_cursor '_airbyte_extracted_at'"),
        ({"primary_key": "key"}, "primary_key 'key' cannot be computed"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(
    connection: duckdb.DuckDBPyConnection, settings: dict[str, Any], said: str
) -> None:
    wrong = problem(connection, **settings)
    assert wrong and re.match(f"Stream shop.orders: (variable )?{said}", wrong), wrong


def test_a_missing_declaration_says_what_to_do() -> None:
    with pytest.raises(LakeError, match="on-run-start"):
        Stream.from_declaration("{}")
