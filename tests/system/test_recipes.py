"""The recipes of CONTRIBUTING.md, carried out word for word in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake

CENT = Decimal("0.01")


def recipe(title: str) -> list[tuple[str, str, str]]:
    """The blocks under a heading of CONTRIBUTING.md, in their order.

    Each has a language (``sh`` for commands, ``diff`` for a change, otherwise what a file holds),
    the path of the file that the line above it names (empty for commands), and a text.
    """
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert section, f"CONTRIBUTING.md has no recipe '{title}'"
    found = []
    for fence in re.finditer(r"^ *```(\w+)\n(.*?)^ *```$", section[1], re.S | re.M):
        above = section[1][: fence.start()].rstrip().rpartition("\n\n")[2]
        paths = re.findall(r"`([\w./]+/[\w.]+\.\w+)`", above)
        language = fence[1]
        assert language == "sh" or (paths and above.endswith(":")), f"whose is it?\n{fence[0]}"
        path = "" if language == "sh" else paths[-1]
        found.append((language, path, textwrap.dedent(fence[2])))
    assert found
    return found


class Copy:
    """A copy of the project, with a lake of its own.

    Args:
        project: Folder for the copy.
        lake: The lake that its commands are about.
    """

    def __init__(self, project: Path, lake: Lake) -> None:
        self.project = project
        self.lake = lake
        project.mkdir()
        for part in PROJECT.iterdir():
            if part.name in ("target", "logs", ".lake", ".git"):
                continue
            if part.name in (".venv", "examples"):
                (project / part.name).symlink_to(part)
            elif part.is_dir():
                shutil.copytree(
                    part, project / part.name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                # With its time: the virtual environment is not to be made for the copy.
                shutil.copy2(part, project)
        (project / ".lake/landing").mkdir(parents=True)
        (project / ".lake/landing/raw").symlink_to(lake.landing)
        self.environment = {
            name: value
            for name, value in lake.environment.items()
            if name not in ("DBT_TARGET_PATH", "DBT_LOG_PATH", "PYTHONPATH")
        }
        self.environment["COLUMNS"] = "200"
        self.environment["PATH"] = f"{project}/.venv/bin:{os.environ['PATH']}"

    def follow(self, title: str) -> str:
        """Do everything that a recipe says; return what its commands print."""
        printed = ""
        for language, path, text in recipe(title):
            file = self.project / path
            if language == "sh":
                printed += self.run(text)
            elif language == "diff":
                self.change(file, text)
            else:
                assert not file.exists(), f"{path} is there already"
                file.write_text(text)
        return printed

    def run(self, commands: str) -> str:
        """Run commands as they stand there."""
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", commands],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        failed = done.returncode != 0
        assert failed == ("# has to fail" in commands), f"{commands}\n{done.stdout[-6000:]}"
        return done.stdout

    @staticmethod
    def change(file: Path, diff: str) -> None:
        """Change a file; ``@@`` stands between changes of different places."""
        text = file.read_text()
        for hunk in diff.split("@@\n"):
            lines = hunk.splitlines()
            before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
            after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
            assert text.count(before) == 1, f"{file.name} has {text.count(before)} times:\n{before}"
            text = text.replace(before, after)
        file.write_text(text)


@pytest.fixture(scope="module")
def copy(reference: Reference, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the project over a lake that has fed the whole sample, for one recipe after the
    other, as a day's work."""
    home = tmp_path_factory.mktemp("recipes")
    lake = Lake(home / "lake")
    lake.copy_of(Lake(shared / "reference"))
    return Copy(home / "project", lake)


@pytest.mark.nightly
def test_a_column_then_a_fact(copy: Copy, reference: Reference) -> None:
    """The column has the figures that landed, and the branch showed it; the fact those that its
    days add up to, and a second build has nothing to do."""
    printed = copy.follow("Add a column to a fact")
    assert "tips_of_an_order" in printed
    assert "+tips" in printed, "lake diff did not show the new column"
    orders = reference.expected["int_shopify__orders"]
    place, tips = orders.columns.index("order_id"), orders.columns.index("tips")
    expected = {row[place]: row[tips] or Decimal(0) for row in orders.rows}
    found = dict(copy.lake.query("select order_id, tips from fct_sales"))
    assert found == {order: expected[order] for order in found}
    assert sum(found.values()) > 0

    printed = copy.follow("Add a fact or a metric")
    assert "integrity_fct_monthly_sales" in printed
    assert "return_rate_of_a_month" in printed
    assert "SKIP (nothing that it reads has changed)" in printed
    months = copy.lake.query(
        "select order_month, currency, net_sales, orders from fct_monthly_sales order by all"
    )
    assert len(months) > 1
    assert months == copy.lake.query(
        "select date_trunc('month', order_day)::date, currency, sum(net_sales), count(*)"
        " from fct_sales where is_counted and order_day is not null group by all order by all"
    )


@pytest.mark.nightly
def test_a_formula(copy: Copy) -> None:
    """Every old row has the new formula's figure; the branch showed what moves."""
    before = dict(_averages(copy.lake))
    printed = copy.follow("Change a formula, and backfill")
    assert "average_order_value" in printed.split("tables differ")[1]
    after = dict(_averages(copy.lake))
    assert after.keys() == before.keys()
    assert after != before
    for day, currency, net_sales, orders in copy.lake.query(
        "select order_day, currency, net_sales, orders from fct_daily_orders"
    ):
        expected = (net_sales / orders).copy_abs().quantize(CENT, ROUND_HALF_UP)
        assert after[day, currency] == expected.copy_sign(net_sales)
    logged = (copy.project / "logs/dbt.log").read_text()
    assert "fct_daily_orders: create, its code or variables changed" in logged


def _averages(lake: Lake) -> Any:
    return (
        ((day, currency), average)
        for day, currency, average in lake.query(
            "select order_day, currency, average_order_value from fct_daily_orders"
        )
    )


@pytest.mark.nightly
def test_a_stream(copy: Copy) -> None:
    """All rows of the new stream are there, and reconcile finds nothing."""
    folder = copy.lake.landing / "shopify/price_rules"
    landed = 0
    for day in range(1, 4):
        at = f"timestamptz '2025-01-{day:02} 00:00:00+00'"
        landed += day * 3
        file = folder / f"year=2025/month=01/day={day:02}/part_0.parquet"
        file.parent.mkdir(parents=True)
        duckdb.sql(
            f"copy (select uuid()::varchar as _airbyte_raw_id, {at} as _airbyte_extracted_at,"
            f" {day}::bigint as _airbyte_generation_id, {{'sync_id': {day}::bigint}} as"
            f" _airbyte_meta, range as id, 'Rule ' || range as title, {at} as updated_at,"
            f" 'not declared' as value_type from range({day * 3})) to '{file}'"
        )
    printed = copy.follow("Add a stream")
    assert "value_type" in printed, "what lands was not shown"
    assert "shopify.price_rules" in printed
    assert "Landing, ledger, files and staging agree." in printed
    staged = copy.lake.query(
        "select count(*), count(distinct _source_file), count(distinct id), min(value_type)"
        " from staging.stg_shopify__price_rules"
    )
    assert staged == [(landed, 3, 9, "not declared")]
    for name, text in (
        ("macros/project/after_feeding.sql", 'ref("stg_shopify__price_rules")'),
        ("docs/models.md", "`stg_shopify__price_rules`"),
    ):
        assert text in (copy.project / name).read_text()


@pytest.mark.nightly
def test_remove_a_source(reference: Reference, shared: Path, tmp_path: Path) -> None:
    """Nothing refers to Klaviyo any more, and every other table is as it was."""
    lake = Lake(tmp_path / "lake")
    lake.copy_of(Lake(shared / "reference"))
    copy = Copy(tmp_path / "project", lake)
    assert "int_klaviyo__profiles" in copy.follow("Remove a source")
    mart = copy.project / "models/enriched/customers/dim_customers"
    cut(
        mart.with_suffix(".sql"),
        (r"-- Several profiles.*?(?=joined as)", 1),
        (r",\n        profiles\.\*[^\n]*", 1),
        (r"    left join profiles[^\n]*\n", 1),
    )
    cut(
        mart.with_suffix(".yml"),
        (r"      - name: klaviyo_profile_id.*?(?=\nunit_tests)", 1),
        (r"\n  - name: profiles_of_customers.*", 1),
        (r"      - input: ref\('int_klaviyo__profiles'\)\n        rows: \[\]\n", 2),
    )
    parsed = copy.run("DBT_TARGET_PATH=target/lint dbt parse --no-partial-parse")
    assert "Did not find matching node" not in parsed
    bouncer = "dbt-bouncer run --output-only-failures --output-file target/lint/bouncer.json"
    copy.run(f"{bouncer} && sqlfluff lint {mart}.sql && lake catalog --check")
    copy.run(
        "mkdir nothing; export LAKE_LANDING_URL=$PWD/nothing LAKE_DATA_URL=$PWD/empty/"
        " LAKE_CATALOG=sqlite:$PWD/empty.sqlite;"
        " dbt --quiet build --exclude-resource-type test unit_test"
    )
    assert "Files land in klaviyo/events" in copy.run("dbt build")
    tables = {table for (table,) in lake.query("select table_name from duckdb_tables()")}
    for table in tables & {"fct_sales", "fct_daily_profit", "dim_customers", "fct_daily_marketing"}:
        assert lake.query(f"select count(*) from {table}") == [
            (len(reference.expected[table].rows),)
        ]


def cut(file: Path, *parts: tuple[str, int]) -> None:
    """Take out what patterns match, as often as is said."""
    text = file.read_text()
    for pattern, times in parts:
        text, found = re.subn(pattern, "", text, flags=re.S)
        assert found == times, f"{file.name} has {found} times: {pattern}"
    file.write_text(text)
