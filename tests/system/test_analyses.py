"""The analyses answer what they are asked, over the whole sample, as `dbt show` runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake

ANALYSES = sorted(path.stem for path in (PROJECT / "analyses").glob("*.sql"))
CLOCK = r"\b(now|today|current_(date|time|timestamp)|get_current_\w+|localtime\w*)\b"
FIRST_DAY = "select min(sale_day) from fct_daily_sales where currency = 'USD'"


@pytest.fixture(scope="module")
def lake(
    reference: Reference, shared: Path, parsed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    """The whole sample; what changes one day's sales afterwards stands for a late delivery."""
    lake = Lake(tmp_path_factory.mktemp("analyses"), parsed=parsed)
    lake.copy_of(Lake(shared / "reference"))
    with lake.connection(writes=True) as connection:
        connection.execute(
            "update fct_daily_sales set net_sales = net_sales - 1, returns = returns + 1"
            f" where currency = 'USD' and sale_day = ({FIRST_DAY})"
        )
    return lake


@pytest.fixture(scope="module")
def queries(lake: Lake) -> dict[str, str]:
    """The SQL of each, with the limit that `dbt show` puts at its end; it runs them all."""
    run = lake.build("--select", "path:analyses", command="show")
    assert run.ok, run
    files = lake.home.glob("target-*/compiled/lotus_lake/analyses/*.sql")
    return {file.stem: f"{file.read_text()}\nlimit 100000" for file in files}


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the lake on which the analyses become views."""
    with lake.connection() as connection:
        yield connection


@pytest.fixture
def answers(
    connection: duckdb.DuckDBPyConnection, queries: dict[str, str]
) -> duckdb.DuckDBPyConnection:
    """A view of each analysis, beside the lake's tables."""
    for name, sql in queries.items():
        connection.execute(f"create or replace temp view {name} as {sql}")
    return connection


@pytest.mark.parametrize("name", ANALYSES)
def test_it_has_an_answer_on_any_day(
    name: str, queries: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    rows = connection.execute(queries[name])
    assert rows.fetchone()
    assert not re.search(CLOCK, queries[name])


@pytest.mark.parametrize(
    ("answer", "fact", "columns"),
    [
        (
            "revenue_by_month",
            "fct_daily_sales",
            ["orders", "gross_sales", "discounts", "returns", "net_sales", "total_sales"],
        ),
        (
            "revenue_by_month where refunds_paid > 0",
            "(select *, refunds as refunds_paid from fct_daily_payments) where refunds > 0",
            ["refunds_paid"],
        ),
        (
            "profit_by_day",
            "fct_daily_profit",
            ["net_sales", "gross_margin", "ad_spend", "contribution_margin"],
        ),
        ("products_by_margin", "fct_order_lines where is_counted", ["net_sales"]),
        (
            "products_by_margin where gross_margin is not null",
            "fct_order_lines where is_counted and currency = unit_cost_currency",
            ["gross_margin"],
        ),
        *(
            (
                f"returns_by_product_channel_country where sliced_by = '{slices}'",
                "(select *, quantity as units, returned_quantity as returned_units"
                " from fct_order_lines where is_counted)",
                ["returns", "units", "returned_units"],
            )
            for slices in ("product", "channel", "country")
        ),
        (
            "lifetime_value_by_cohort",
            "(select *, 1 as orders from fct_sales where is_counted and customer_id is not null)",
            ["orders", "net_sales"],
        ),
        (
            "lifetime_value_by_first_product",
            "(select *, 1 as customers from dim_customers where orders > 0)",
            ["customers", "net_sales"],
        ),
        ("cost_of_a_new_customer", "fct_daily_profit", ["ad_spend", "new_customers"]),
        *(
            (
                f"flows_against_campaigns where orders > 0 and {rows}",
                "(select *, weight as orders, attributed_revenue as revenue from fct_attribution)"
                " where attribution_model = 'last' and source_type <> 'direct' and weight > 0",
                ["orders", "revenue"],
            )
            for rows in ("is_total", "not is_total")
        ),
    ],
)
def test_it_adds_up(
    answer: str, fact: str, columns: list[str], answers: duckdb.DuckDBPyConnection
) -> None:
    """To what the facts say, in each currency."""

    def sums(table: str) -> list[tuple[Any, ...]]:
        wanted = ", ".join(f"sum({column})" for column in columns)
        return answers.execute(
            f"select currency, {wanted} from {table} group by currency order by currency"
        ).fetchall()

    assert sums(answer) == sums(fact)
    assert sums(answer)


STORIES = {
    "the code that loses money is among the first, and loses what its orders' lines do": (
        """
        select min(gross_margin) from (from codes_that_lose_money limit 2)
        where code = 'FLASH70' and currency = 'USD' and gross_margin < 0
        """,
        """
        select sum(gross_margin) from fct_order_lines where order_id in (
            select order_id from fct_sales
            where is_counted and currency = 'USD' and list_contains(discount_codes, 'FLASH70')
        )
        """,
    ),
    "the product that sold out is listed": (
        "select on_hand, days_of_cover from stock_that_runs_out"
        " where product_title like '%Limited edition'",
        "select 0, 0",
    ),
    "the flow that earns beats the other one and the campaigns": (
        """
        select name from flows_against_campaigns
        where
            channel = 'email' and currency = 'USD'
            and (not is_total and source_type = 'flow' or is_total and source_type = 'campaign')
        order by revenue_per_recipient desc limit 1
        """,
        "select 'Abandoned Cart'",
    ),
    "the best product comes first, the worst next": (
        "select gross_margin from (from products_by_margin limit 2)",
        """
        with margins as (
            select sum(gross_margin) as margin from fct_order_lines
            where is_counted and currency = 'USD' group by product_id
        )
        select unnest([max(margin), min(margin)]) from margins
        """,
    ),
    "who ordered twice is a repeat customer, in whatever currency": (
        "select customers_until_then, repeat_customers_until_then from (from repeat_rate limit 1)",
        """
        select count(*), count(*) filter (orders > 1) from (
            select count(*) as orders from fct_sales
            where is_counted and customer_id is not null group by customer_id
        )
        """,
    ),
    "a new customer costs the month's spend over its new customers, not the mean of its days": (
        "select cost_of_a_new_customer from cost_of_a_new_customer where currency = 'USD'",
        "select round(sum(ad_spend) / sum(new_customers), 2) from fct_daily_profit"
        " where currency = 'USD' group by date_trunc('month', day)",
    ),
    "seven days are the last seven, also where some are missing": (
        "select day, currency, contribution_margin_of_7_days from profit_by_day order by all",
        """
        select days.day, days.currency, sum(week.contribution_margin)
        from fct_daily_profit as days inner join fct_daily_profit as week
            on week.currency = days.currency and days.day - week.day between 0 and 6
        group by all order by all
        """,
    ),
    "who is late has ordered in no currency since": (
        "select customer_id, days_since_last_order from customers_at_churn_risk order by all",
        """
        select customer_id, date_diff('day', max(order_date), (
            select max(order_date) from fct_sales where is_counted and customer_id is not null
        ))
        from fct_sales
        where is_counted and customer_id in (select customer_id from customers_at_churn_risk)
        group by customer_id order by all
        """,
    ),
    "the one day that changed is named, with what changed": (
        "select sale_day, currency, net_sales_change from what_a_late_delivery_changed",
        f"select ({FIRST_DAY}), 'USD', -1",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_it_tells_the_story(story: str, answers: duckdb.DuckDBPyConnection) -> None:
    answer, expected = (answers.execute(query).fetchall() for query in STORIES[story])
    assert answer == expected
    assert answer != [(None,)]
