"""`make as-of`: what a number said then, what it says now, and which file changed it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from sample import Delivery
from tests.system.lake import PROJECT, Build, Lake
from tests.system.upkeep import operation

MODEL = "models/enriched/sales/fct_daily_sales.sql"
SALES = ("--select", "+fct_daily_sales")
LATE = "shopify/orders/year=2025/month=01/day=07/late_0.parquet"


@dataclass(frozen=True)
class Story:
    """A lake with a past.

    Args:
        lake: The lake.
        before: Its snapshot before the late file came.
        day: The day that the late file changed.
        currency: The currency of its order.
    """

    lake: Lake
    before: int
    day: str
    currency: str


def as_of(lake: Lake, *arguments: str) -> Build:
    """Run the script as `make as-of` does."""
    done = subprocess.run(
        [sys.executable, "scripts/as_of.py", *arguments],
        cwd=PROJECT,
        env=lake.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Build(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, parsed: Path, sample: Delivery) -> Story:
    """Two deliveries, a late file that cancels an old order, and a changed formula."""
    home = tmp_path_factory.mktemp("story")
    lake = Lake(home / "lake", parsed=parsed)
    paths = [file.path for file in sample.files if file.path.startswith("shopify/order")]
    lake.deliver(paths[:-6], sample.out)
    assert lake.build_quickly(*SALES).ok
    lake.deliver(paths[-6:], sample.out)
    assert lake.build_quickly(*SALES).ok
    before = lake.snapshot()
    order, path, day, currency = lake.query(
        "select order_id, max_by(_source_file, landed.updated_at), any_value(order_day)::varchar,"
        " any_value(sales.currency) from fct_sales as sales"
        " inner join staging.stg_shopify__orders as landed on landed.id = order_id"
        " where is_counted and returns = 0 and order_day < '2025-01-09'"
        " group by order_id order by order_id limit 1"
    )[0]
    (lake.landing / LATE).parent.mkdir(parents=True, exist_ok=True)
    arriving = lake.landing / LATE.replace("late_0", ".late_0")
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select * replace (updated_at + interval 1 hour as updated_at,"
            "   updated_at + interval 1 hour as cancelled_at)"
            f" from read_parquet('{lake.landing / path}', hive_partitioning = false)"
            f" where id = {order} order by updated_at desc limit 1) to '{arriving}'"
        )
    arriving.rename(lake.landing / LATE)
    assert lake.build_quickly(*SALES).ok
    # Another formula, in a copy of the project.
    project = home / "project"
    project.mkdir()
    for part in PROJECT.iterdir():
        if part.name not in ("models", "target", "logs", ".lake"):
            (project / part.name).symlink_to(part)
    shutil.copytree(PROJECT / "models", project / "models")
    model = project / MODEL
    old = "money_average('(gross_sales - discounts)', 'orders')"
    assert old in model.read_text()
    model.write_text(model.read_text().replace(old, "money_average('net_sales', 'orders')"))
    lake.environment["DBT_PROJECT_DIR"] = str(project)
    changed = lake.build_quickly(*SALES)
    assert changed.ok, changed
    del lake.environment["DBT_PROJECT_DIR"]
    # The manifest says what the keys are.
    lake.target.mkdir(exist_ok=True)
    for target in lake.home.glob("target-*/manifest.json"):
        shutil.copy2(target, lake.target)
    return Story(lake, before, day, currency)


def test_the_file_that_changed_a_number(story: Story) -> None:
    """The one file that changed the day is named, and nothing else; so is the change of code."""
    where = f"order_day = '{story.day}' and currency = '{story.currency}'"
    shown = as_of(story.lake, "fct_daily_sales", str(story.before), "--where", where)
    assert shown.code == 0, shown
    (then,), (now,) = (
        story.lake.query(f"select orders, net_sales from fct_daily_sales {at} where {where}")
        for at in (f"at (version => {story.before})", "")
    )
    assert now[0] == then[0] - 1
    assert f"orders {then[0]} → {now[0]}" in shown.output
    assert f"net_sales {then[1]} → {now[1]}" in shown.output
    files = re.findall(r"shopify/\S+|klaviyo/\S+", shown.output)
    assert files == [LATE], shown
    assert "fct_daily_sales: create, its code or variables changed" in shown.output
    assert shown.output.count("by dbt build ") == 2


def test_an_order_further_down(story: Story) -> None:
    """In the model below, the same file; the changed formula of another model is no part of it."""
    where = f"order_day = '{story.day}' and cancelled_at > order_date"
    shown = as_of(story.lake, "main.fct_sales", str(story.before), "--where", where)
    assert shown.code == 0, shown
    assert LATE in shown.output
    assert ": create," not in shown.output


def test_the_whole_table(story: Story) -> None:
    """Without a condition, all rows are compared, and all that changed the table is told."""
    shown = as_of(story.lake, "fct_daily_sales", str(story.before))
    assert shown.code == 0, shown
    assert "average_order_value" in shown.output
    assert LATE in shown.output
    assert "its code or variables changed" in shown.output


def test_from_the_first_delivery_on(story: Story) -> None:
    """Across all that came: the files of the second delivery are told apart from the late one."""
    lake = story.lake
    first = lake.value(
        "select min(begin_snapshot) from __ducklake_metadata_lakehouse.ducklake_table"
        " where table_name = 'fct_daily_sales'"
    )
    shown = as_of(lake, "fct_daily_sales", str(first))
    assert shown.code == 0, shown
    steps = re.split(r"\n(?=snapshot \d+ of )", shown.output.split("What changed it")[1])
    assert len([step for step in steps if LATE in step]) == 1
    assert len(steps) >= 3


def test_nothing_happened(story: Story) -> None:
    """Rows that are the same say so."""
    now = str(story.lake.snapshot())
    shown = as_of(story.lake, "fct_daily_sales", now, "--where", f"order_day = '{story.day}'")
    assert "Nothing differs." in shown.output
    assert "Nothing has changed these rows." in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fct_dayly_sales", "5"], "no table fct_dayly_sales"),
        (["fct_daily_sales", "2001-01-01"], "snapshot_days"),
        (["fct_daily_sales", "tuesday"], "AT is 'tuesday'"),
        (["fct_daily_sales", "2999-01-01"], "still to come"),
        (["fct_daily_sales", "999999"], "there is no snapshot 999999"),
        (["fct_daily_sales", "1"], "was not there in snapshot 1"),
        (["fct_daily_sales", "{before}", "--where", "no_such = 1"], "WHERE (no_such = 1)"),
        (["fct_daily_sales", "{before}", "--where", "order_day ="], "WHERE (order_day =)"),
        (
            ["fct_sales", "{before}", "--where", "order_id in (from read_text('/etc/hostname'))"],
            "disabled by configuration",
        ),
        (
            [
                "fct_sales",
                "{before}",
                "--where",
                "true)); drop table fct_sales; select 1 from ((select 1",
            ],
            "more than one condition",
        ),
    ],
)
def test_mistakes(story: Story, arguments: list[str], said: str) -> None:
    """A mistake ends with one line that says what it was."""
    wrong = as_of(story.lake, *(text.format(before=story.before) for text in arguments))
    assert wrong.code == 64, wrong
    assert said in wrong.output
    assert len(wrong.output.strip().splitlines()) == 1


def test_after_maintenance(story: Story) -> None:
    """Files that were put together, and bookkeeping that was flushed, tell the same story."""
    assert operation(story.lake, "maintain").code == 0
    where = f"order_day = '{story.day}' and currency = '{story.currency}'"
    shown = as_of(story.lake, "fct_daily_sales", str(story.before), "--where", where)
    assert re.findall(r"shopify/\S+|klaviyo/\S+", shown.output) == [LATE], shown.output
    assert ": create, its code or variables changed" in shown.output


def test_what_was_undone(story: Story) -> None:
    """A file that was taken out again is named as such."""
    before = story.lake.snapshot()
    assert operation(story.lake, "undo_delivery", source="shopify", stream="orders", path=LATE)
    assert story.lake.build_quickly(*SALES).ok
    where = f"order_day = '{story.day}' and currency = '{story.currency}'"
    shown = as_of(story.lake, "fct_sales", str(before), "--where", where)
    assert shown.code == 0, shown
    assert f"{LATE} (undone, fed at" in shown.output
    assert re.findall(r"shopify/\S+|klaviyo/\S+", shown.output) == [LATE], shown.output


def test_what_no_run_wrote(story: Story) -> None:
    """What somebody changed by hand is no run's, whatever ran at that time."""
    before = story.lake.snapshot()
    story.lake.change("update meta.invocations set finished_at = finished_at + interval 1 hour")
    story.lake.change("update main.fct_daily_sales set orders = orders + 1")
    shown = as_of(story.lake, "fct_daily_sales", str(before))
    assert shown.code == 0, shown
    assert "What changed it" in shown.output
    assert "by dbt" not in shown.output


def test_in_postgres(postgres_lake: Callable[..., Lake], sample: Delivery, story: Story) -> None:
    """With a catalog in PostgreSQL it is the same command."""
    lake = postgres_lake()
    paths = [file.path for file in sample.files if file.path.startswith("shopify/orders/")]
    lake.deliver(paths[:5], sample.out)
    assert lake.build_quickly(*SALES).ok
    before = lake.snapshot()
    lake.deliver(paths[5:6], sample.out)
    assert lake.build_quickly(*SALES).ok
    manifest = str(story.lake.target / "manifest.json")
    shown = as_of(lake, "fct_daily_sales", str(before), "--manifest", manifest)
    assert shown.code == 0, shown
    assert paths[5] in shown.output
