"""The statistics of the watching checks, on days whose scores are known."""

from __future__ import annotations

from datetime import date, timedelta
from math import asin, sqrt
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest

ROOT = Path(__file__).parents[2]
VARIABLES = {"watch_weeks": 8, "watch_least_weeks": 4, "watch_days": 3}
VARIABLES |= {"watch_settle_days": 3, "watch_score": 2.5}
FOLDER = ROOT / "engine/macros/watching"
MACROS = "".join(
    (FOLDER / f"{name}.sql").read_text()
    for name in ("volume_scores", "unusual_volumes", "unusual_null_rates")
)
# A Monday, the last day that is complete.
MONDAY = date(2025, 6, 2)

Row = dict[str, Any]


def ask(call: str, days: str, **variables: Any) -> list[Row]:
    """Rows of a macro's query over the CTE `days`."""
    template = MACROS.replace("lotus_lake.", "") + "{{ " + call + " }}"
    query = jinja2.Environment().from_string(template)
    sql = query.render(setting=lambda name: (VARIABLES | variables)[name])
    result = duckdb.sql(f"with days as ({days}) {sql}")
    return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def volumes(past: list[int], amount: int, others: int = 100, **variables: Any) -> list[Row]:
    """What is unusual of a Monday, after Mondays with these amounts, the newest one last."""
    newest = MONDAY + timedelta(days=VARIABLES["watch_settle_days"])
    mondays = {MONDAY - timedelta(weeks=len(past) - week): past[week] for week in range(len(past))}
    mondays[MONDAY] = amount
    values = ", ".join(
        f"('rows', date '{day}', {mondays.get(day, others)}, 0.6, 3)"
        for day in (
            min(mondays) + timedelta(days=n) for n in range((newest - min(mondays)).days + 1)
        )
    )
    days = f"select * from (values {values}) as days (series, day, amount, least, most)"
    return ask("unusual_volumes('days')", days, **variables)


def nulls(past: list[tuple[int, int]], judged: tuple[int, int]) -> list[Row]:
    """The same of a column, of which (nulls, rows) are known."""
    rows = [
        (MONDAY - timedelta(weeks=len(past) - week), *counts)
        for week, counts in enumerate([*past, judged])
    ] + [(MONDAY + timedelta(days=VARIABLES["watch_settle_days"]), 0, 1)]
    values = ", ".join(f"('email', date '{day}', {empty}, {all_})" for day, empty, all_ in rows)
    days = f"select * from (values {values}) as days (column_name, day, nulls, number_of_rows)"
    return ask("unusual_null_rates('days', 10)", days)


def test_half_of_a_day_is_unusual() -> None:
    (found,) = volumes([100] * 8, 50)
    assert (found["day"], found["usual"], found["weeks"]) == (MONDAY, 100, 8)
    assert found["score"] == pytest.approx(2 * sqrt(50.375) - 2 * sqrt(100.375))


def test_the_scatter_of_the_days_before_is_what_counts() -> None:
    """Deviations of 2 * sqrt(count + 3/8) from their median: the score is in 1.4826 of the middle
    one of them."""
    past = [60, 80, 90, 100, 110, 120, 140, 160]
    assert volumes(past, 50) == []
    (found,) = volumes(past, 20)
    roots = sorted(2 * sqrt(count + 0.375) for count in past)
    middle = (roots[3] + roots[4]) / 2
    away = sorted(abs(root - middle) for root in roots)
    spread = 1.4826 * (away[3] + away[4]) / 2
    assert spread > 1
    assert found["score"] == pytest.approx((2 * sqrt(20.375) - middle) / spread)


@pytest.mark.parametrize(
    ("past", "amount", "unusual"),
    [
        ([100] * 8, 61, False),  # not much less
        ([100] * 8, 290, False),  # not much more
        ([9] * 8, 5, False),  # chance
        ([6] * 8, 0, False),  # chance too
        ([100] * 3, 0, False),  # too young
        ([0, 100, 0, 100, 0, 100, 0, 100], 0, False),  # every other week
        ([0] * 8, 500, False),  # never on a Monday
        ([30, 40, 100, 100, 100, 100, 100, 100], 40, False),  # there were such days
        ([100] * 8, 400, True),
        ([100] * 4, 40, True),
        ([10] * 8, 0, True),
        ([0, 100, 100, 100, 100, 100, 100, 100], 40, True),  # one bad day before hides nothing
        ([50, 60, 300, 60, 50, 300, 60, 50], 0, True),  # campaigns neither
    ],
)
def test_what_is_unusual(past: list[int], amount: int, unusual: bool) -> None:
    assert [found["amount"] for found in volumes(past, amount)] == [amount] * unusual


def test_a_campaign_of_another_weekday_makes_many_rows_usual() -> None:
    assert volumes([100] * 8, 400, others=350) == []


def test_days_that_may_still_grow_and_old_days_are_not_judged() -> None:
    assert volumes([100] * 8, 0, watch_settle_days=4) == []
    assert volumes([100] * 8, 0, watch_settle_days=2, watch_days=1) == []
    assert len(volumes([100] * 8, 0, watch_settle_days=2, watch_days=2)) == 1


def test_nulls_of_a_column() -> None:
    (found,) = nulls([(2, 100)] * 8, (30, 100))
    assert (found["column_name"], found["usual"]) == ("email", 0.02)
    expected = sqrt(402) * (asin(sqrt(30.375 / 100.75)) - asin(sqrt(2.375 / 100.75)))
    assert found["score"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("past", "judged", "unusual"),
    [
        ([(2, 100)] * 8, (11, 100), False),  # nine points
        ([(0, 3)] * 8, (1, 3), False),  # chance
        ([(50, 100), (90, 100)] * 4, (95, 100), False),  # there were such days
        ([(0, 100)] * 3, (100, 100), False),  # too young
        ([(0, 5)] * 8, (5, 5), True),
        ([(80, 100)] * 8, (0, 100), True),
        ([(100, 100), *[(0, 100)] * 7], (100, 100), True),
    ],
)
def test_unusual_nulls(past: list[tuple[int, int]], judged: tuple[int, int], unusual: bool) -> None:
    assert len(nulls(past, judged)) == unusual
