"""Metrics: each is what SQL over the facts says, on all rows of the sample."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lotus_lake.cli import main
from lotus_lake.config import LakeConfig
from lotus_lake.metrics import Metrics, Question
from tests.system.conftest import Reference
from tests.system.dbt_process import PROJECT
from tests.system.lake import Lake

pytestmark = pytest.mark.slow

LEDGER = "fct_sales_ledger where line_type != 'gift_card' and sale_day is not null"
TOUCHES = "fct_attribution where source_type != 'direct' and attribution_model"
FIRST = "cast(first_order_at at time zone 'UTC' as date)"
PLACED = "cast(placed_at at time zone 'UTC' as date)"

# Of each metric: what is summed, its day, and the rows.
FACTS = {
    **{
        name: (f"sum({name})", "sale_day", LEDGER)
        for name in (
            *("gross_sales", "discounts", "returns", "net_sales"),
            *("shipping", "taxes", "total_sales"),
        )
    },
    "units": ("sum(quantity)", "sale_day", f"{LEDGER} and movement = 'sale'"),
    "returned_units": ("sum(-quantity)", "sale_day", f"{LEDGER} and movement != 'sale'"),
    "return_rate": (
        "coalesce(-sum(quantity) filter (movement != 'sale'), 0)"
        " / sum(quantity) filter (movement = 'sale')",
        *("sale_day", LEDGER),
    ),
    "orders": (
        "count(*)",
        "order_day",
        "fct_sales where not is_test_order and order_day is not null",
    ),
    "average_order_value": (
        *("sum(gross_sales - discounts) / nullif(sum(orders), 0)", "sale_day"),
        "fct_daily_sales where true",
    ),
    **{
        name: (f"sum({name})", "day", "fct_daily_profit where true")
        for name in ("cost_of_goods", "gross_margin", "contribution_margin")
    },
    "customers": ("count(distinct customer_id)", "order_day", "fct_daily_customers where true"),
    "new_customers": (
        *("count(distinct customer_id)", "order_day", "fct_daily_customers where is_new"),
    ),
    "returning_customers": (
        *("count(distinct customer_id)", "order_day", "fct_daily_customers where not is_new"),
    ),
    "customers_with_orders": ("count(*)", FIRST, "dim_customers where orders > 0"),
    "repeat_rate": (
        "count(*) filter (orders > 1) / count(*)",
        FIRST,
        "dim_customers where orders > 0",
    ),
    "customer_net_sales": ("sum(net_sales)", FIRST, "dim_customers where true"),
    "customer_lifetime_value": (
        *("sum(net_sales) / count(*)", FIRST, "dim_customers where orders > 0"),
    ),
    **{
        name: (what, "order_day", "fct_order_lines where is_counted and order_day is not null")
        for name, what in {
            "product_net_sales": "sum(net_sales)",
            "product_margin": "coalesce(sum(gross_margin), 0)",
            "product_net_sales_with_cost": (
                "coalesce(sum(net_sales) filter (gross_margin is not null), 0)"
            ),
            "product_margin_rate": "coalesce(sum(gross_margin), 0)"
            " / nullif(sum(net_sales) filter (gross_margin is not null), 0)",
        }.items()
    },
    **{
        name: (what, "cohort_month", "fct_customer_cohorts where true")
        for name, what in {
            "cohort_customers": "sum(customers)",
            "cohort_active_customers": "sum(active_customers)",
            "retention_rate": "sum(active_customers) / sum(customers)",
            "cohort_net_sales": "sum(cumulative_net_sales)",
            "cohort_value": "sum(cumulative_net_sales) / sum(customers)",
        }.items()
    },
    **{
        f"{kind}_{name}": (
            *(f"coalesce(sum(attributed_{name}), 0)", day),
            f"fct_{kind}_performance where true",
        )
        for kind, day in {
            "campaign": "cast(sent_at at time zone 'UTC' as date)",
            "flow": "current_date",
        }.items()
        for name in ("orders", "revenue")
    },
    "ad_spend": ("sum(cost)", "day", "fct_daily_marketing where true"),
    "customer_acquisition_cost": (
        *("sum(ad_spend) / nullif(sum(new_customers), 0)", "day", "fct_daily_profit where true"),
    ),
    **{
        f"attributed_revenue{suffix}": (
            *("sum(attributed_revenue)", PLACED, f"{TOUCHES} = '{model}'"),
        )
        for suffix, model in {
            **{"": "last", "_first": "first"},
            **{"_linear": "linear", "_position": "position"},
        }.items()
    },
}

STOCK = {"units_in_stock": "sum(on_hand)", "days_of_cover": "min(days_of_cover)"}

# What two facts could answer: the metric, its grain, and what the other fact says.
OTHER_FACTS = [
    *(
        (name, "day", name, "sale_day", "fct_daily_sales")
        for name in (
            *("gross_sales", "discounts", "returns", "net_sales", "shipping", "taxes"),
            *("total_sales", "orders", "units", "returned_units", "average_order_value"),
            *("new_customers", "returning_customers"),
        )
    ),
    *(
        (name, "day", name, "day", "fct_daily_profit")
        for name in ("net_sales", "new_customers", "ad_spend", "customer_acquisition_cost")
    ),
    ("customers_with_orders", "month", "max(customers)", "cohort_month", "fct_customer_cohorts"),
    ("customer_net_sales", "month", "sum(net_sales)", "cohort_month", "fct_customer_cohorts"),
    (
        *("customer_lifetime_value", "month"),
        "max_by(cumulative_net_sales_per_customer, months_since_first)",
        *("cohort_month", "fct_customer_cohorts"),
    ),
]


@pytest.fixture(scope="module")
def lake(reference: Reference, shared: Path) -> Lake:
    """The lake with the whole sample, which metrics only read."""
    return Lake(shared / "reference")


@pytest.fixture(scope="module")
def manifest(lake: Lake) -> Path:
    """What dbt parsed when it built the lake."""
    return max(lake.home.glob("target-*/semantic_manifest.json"))


@pytest.fixture(scope="module")
def metrics(manifest: Path) -> Metrics:
    """The shop's metrics."""
    return Metrics(manifest)


def answer(
    metrics: Metrics, lake: Lake, *names: str, **question: Any
) -> dict[tuple[Any, ...], Any]:
    """Values of the last metric, by the dimensions."""
    config = LakeConfig.from_env(lake.environment)
    rows = metrics.ask(Question(names, **question), config).rows
    return {row[: -len(names)]: row[-1] for row in rows}


def of(rows: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Any]:
    """The same of SQL's rows."""
    return {row[:-1]: row[-1] for row in rows}


def assert_same(metric: Mapping[Any, Any], sql: Mapping[Any, Any], without: Any = (None,)) -> None:
    """Decimals are equal, and what was divided nearly; rows that say nothing may be missing."""
    asked, expected = (
        {key: value for key, value in rows.items() if value not in without}
        for rows in (metric, sql)
    )
    assert asked.keys() == expected.keys()
    for key, value in expected.items():
        exact = type(asked[key]) is not float and type(value) is not float
        assert asked[key] == (value if exact else pytest.approx(float(value), abs=1e-9)), key


def test_every_metric_is_compared(metrics: Metrics) -> None:
    assert {metric.name for metric in metrics.declared()} == {*FACTS, *STOCK}


def test_stock(metrics: Metrics, lake: Lake) -> None:
    """Of a variant, without a currency."""
    for name, what in STOCK.items():
        by = answer(metrics, lake, name, by=["sku"])
        assert_same(by, of(lake.query(f"select sku, {what} from dim_product_variants group by 1")))


@pytest.mark.parametrize(
    ("name", "grain"),
    [
        (name, grain)
        for name, (_, day, _) in FACTS.items()
        for grain in ("day", "month")
        if grain == "month" or day != "cohort_month"
    ],
)
def test_a_metric_is_what_the_fact_says(
    metrics: Metrics, lake: Lake, name: str, grain: str
) -> None:
    """By currency, of all rows and of one condition's."""
    what, day, rows = FACTS[name]
    for where, condition in (("", "true"), ("currency = 'EUR'", "currency = 'EUR'")):
        expected = lake.query(
            f"select cast(date_trunc('{grain}', {day}) as date) as period, currency, {what}"
            f" from {rows} and {condition} group by all"
        )
        assert expected or where
        asked = answer(metrics, lake, name, grain=grain, by=["currency"], where=where)
        assert_same(asked, of(expected))


@pytest.mark.parametrize(("name", "grain", "what", "day", "fact"), OTHER_FACTS)
def test_another_fact_says_the_same(
    metrics: Metrics, lake: Lake, name: str, grain: str, what: str, day: str, fact: str
) -> None:
    """Its averages are rounded to cents, and it has rows of nothing."""
    group = "" if "(" not in what else "group by all"
    other = of(lake.query(f"select {day}, currency, {what} from {fact} {group}"))
    asked = answer(metrics, lake, name, grain=grain, by=["currency"])
    if name in ("average_order_value", "customer_acquisition_cost", "customer_lifetime_value"):
        assert {key for key, value in asked.items() if value} == {
            key for key, value in other.items() if value
        }
        for key, value in asked.items():
            assert not value or abs(value - float(other[key])) < 0.005 + 1e-9
    else:
        assert_same(asked, other, without=(None, 0))


def test_metrics_of_dimensions_and_days(metrics: Metrics, lake: Lake) -> None:
    """Over joined dimensions, within days, and over currencies where nothing is money."""
    products = lake.query(
        f"""select product_type, ledger.currency, sum(ledger.net_sales)
        from (from {LEDGER}) as ledger
        inner join dim_customers as customers
        on ledger.customer_id = customers.customer_id and ledger.currency = customers.currency
        left join dim_product_variants as variants using (variant_id)
        where customers.segment = 'loyal' group by all"""
    )
    assert len(products) > 3
    asked = answer(metrics, lake, "net_sales", by=["product_type"], where="segment = 'loyal'")
    assert_same(asked, of(products))

    days = "order_day between '2025-03-05' and '2025-03-11'"
    countries = lake.query(
        f"""select shipping_country, count(*) from fct_sales
        where not is_test_order and {days} group by all order by all"""
    )
    dates = {"first": date(2025, 3, 5), "last": date(2025, 3, 11)}
    asked = answer(metrics, lake, "orders", by=["shipping_country"], **dates)
    assert_same(asked, of(countries))
    asked = answer(metrics, lake, "orders", grain="month", **dates)
    assert asked == {(date(2025, 3, 1),): sum(orders for _, orders in countries)}

    both = answer(metrics, lake, "net_sales", "orders", grain="week", limit=2)
    assert list(both) == sorted(both)
    assert len(both) == 2


def test_the_command(
    manifest: Path, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows a table or JSON, groups money by currency, and refuses in a line."""
    for name, value in lake.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))
    shutil.copy(manifest, tmp_path)  # later than what it was made of

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["metric", *words])

    rows = json.loads(run("net_sales", "--grain", "year", "--json").stdout)
    assert rows == [
        {"metric_time__year": "2025-01-01", "currency": currency, "net_sales": float(amount)}
        for currency, amount in lake.query(
            "select currency, sum(net_sales) from fct_daily_sales group by all order by all"
        )
    ]
    shown = run("net_sales", "--where", "currency = 'EUR'")
    assert shown.stdout.split() == [
        "net_sales",
        str(next(row["net_sales"] for row in rows if row["currency"] == "EUR")),
    ]
    for words, said in (
        (
            ["net_sales", "ad_spend", "--by", "platform"],
            "no dimension platform. They have: metric_",
        ),
        (["net_sales", "--where", "currency ="], "--where cannot be used: Parser Error"),
        (["net_sales", "--where", "currency = 1"], "--where cannot be used: Conversion Error"),
        (["net_sales", "--where", "currency in (from read_text('/etc/passwd'))"], "--where cannot"),
    ):
        refused = run(*words)
        assert (refused.exit_code, refused.stdout) == (64, ""), words
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_the_command_of_metricflow(manifest: Path, lake: Lake, tmp_path: Path) -> None:
    """`mf` finds nothing to complain of, and answers a saved query as `lake metric` does."""
    project = tmp_path / "project"
    (project / "target").mkdir(parents=True)
    for path in PROJECT.iterdir():
        if path.name not in ("target", "logs", ".git", ".lake"):
            (project / path.name).symlink_to(path)
    shutil.copy(manifest, project / "target")

    def mf(*words: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("mf"), *words],
            **{"cwd": project, "env": lake.environment, "timeout": 300},
            **{"capture_output": True, "text": True, "check": False},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert mf("validate-configs").count("(ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0)") == 6
    mf("query", "--saved-query", "sales_by_month", "--csv", "sales.csv", "--quiet")
    with open(project / "sales.csv") as file:
        rows = {
            (row["metric_time__month"][:10], row["currency"]): row for row in csv.DictReader(file)
        }
    names = list(next(iter(rows.values())))[2:]
    question = Question(names, grain="month", by=["currency"])
    asked = Metrics(manifest).ask(question, LakeConfig.from_env(lake.environment)).rows
    assert len(rows) == len(asked)
    for month, currency, *values in asked:
        for name, value in zip(names, values, strict=True):
            shown = rows[str(month), currency][name]
            assert value is None or float(shown) == pytest.approx(float(value)), name
