"""`lake as-of`: what a number said then, what it says now, and which file changed it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.lake import Lake
from tests.system.small_project import MODELS, Shop, path_of

pytestmark = pytest.mark.slow

LATE = path_of("orders", 1, part=5)
WHERE = ("--where", "status = 'placed'")
MODEL = "{{ config(unique_key='status') }}" + MODELS["models/fct_statuses.sql"]
# Only of columns that are described values are shown.
COLUMNS = """\
models:
  - name: fct_statuses
    columns:
      - {name: status, data_tests: [unique]}
      - {name: orders}
"""
CODE = "fct_statuses: create, its code or variables changed"


@dataclass(frozen=True)
class Story:
    """A lake with a past: its snapshots before the second delivery, and before the late file."""

    lake: Lake
    begin: int
    before: int


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, built_shops: dict[str, Shop], small_project: Path
) -> Story:
    """Two deliveries, a late file that changes an old order, and a changed formula."""
    parsed = small_project.with_name("small-parsed")
    shop = Shop(Lake(tmp_path_factory.mktemp("story") / "lake", parsed=parsed), small_project)
    shop.lake.copy_of(built_shops["few"].lake)
    shop.write("models/fct_statuses.sql", MODEL)
    shop.write("models/columns.yml", COLUMNS)
    assert shop.lake.build_quickly().ok
    begin = shop.lake.snapshot()
    shop.deliver(2, "4,9,placed", "5,9,shipped")
    assert shop.lake.build_quickly().ok
    before = shop.lake.snapshot()
    shop.deliver(1, "1,7,shipped", part=5)
    assert shop.lake.build_quickly().ok
    shop.write("models/fct_statuses.sql", MODEL.replace("count(*)", "10 * count(*)"))
    changed = shop.lake.build_quickly()
    assert changed.ok, changed
    # The manifest says what the keys are.
    shop.lake.target.mkdir(exist_ok=True)
    for target in shop.lake.home.glob("target-*/manifest.json"):
        shutil.copy2(target, shop.lake.target)
    return Story(shop.lake, begin, before)


def files_in(text: str) -> list[str]:
    """The landed files that a text names."""
    return re.findall(r"jaffle_shop/\S+", text)


def test_the_file_that_changed_a_number(story: Story) -> None:
    """The one file that changed the number is named, and nothing else; so is the change of code."""
    shown = story.lake.command("as-of", "fct_statuses", str(story.before), *WHERE)
    assert shown.code == 0, shown
    assert "orders 3 → 20" in shown.output
    assert files_in(shown.output) == [LATE], shown
    assert CODE in shown.output
    assert shown.output.count("by dbt build ") == 2
    told = story.lake.command("as-of", "fct_statuses", str(story.before), *WHERE, "--json")
    found = json.loads(told.output)
    assert (found["then"]["snapshot"], len(found["steps"])) == (story.before, 2)


def test_an_order_further_down(story: Story) -> None:
    """In the model below, the same file; the changed formula of another model is no part of it."""
    shown = story.lake.command(
        "as-of", "main.int_orders", str(story.before), "--where", "order_id = 1"
    )
    assert shown.code == 0, shown
    assert LATE in shown.output
    assert ": create," not in shown.output


def test_the_whole_table_from_the_first_delivery_on(story: Story) -> None:
    """Without a condition, all rows are compared, and all that changed the table is told: the files
    of the second delivery apart from the late one."""
    shown = story.lake.command("as-of", "fct_statuses", str(story.begin))
    assert shown.code == 0, shown
    steps = re.split(r"\n(?=snapshot \d+ of )", shown.output.split("What changed it")[1])
    assert [files_in(step) for step in steps if files_in(step)] == [
        [path_of("orders", 2)],
        [LATE],
    ]
    assert CODE in shown.output


def test_nothing_happened(story: Story) -> None:
    """Rows that are the same say so."""
    now = str(story.lake.snapshot())
    shown = story.lake.command("as-of", "fct_statuses", now, *WHERE)
    assert "Nothing differs." in shown.output
    assert "Nothing has changed these rows." in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fct_statusses", "5"], "no table fct_statusses"),
        (["fct_statuses", "2001-01-01"], "snapshot_days"),
        (["fct_statuses", "tuesday"], "AT is 'tuesday'"),
        (["fct_statuses", "2999-01-01"], "still to come"),
        (["fct_statuses", "999999"], "there is no snapshot 999999"),
        (["fct_statuses", "1"], "was not there in snapshot 1"),
        (["fct_statuses", "{before}", "--where", "no_such = 1"], "WHERE (no_such = 1)"),
        (["fct_statuses", "{before}", "--where", "status ="], "WHERE (status =)"),
        (
            ["int_orders", "{before}", "--where", "order_id in (from read_text('/etc/hostname'))"],
            "disabled by configuration",
        ),
        (
            [
                "int_orders",
                "{before}",
                "--where",
                "true)); drop table int_orders; select 1 from ((select 1",
            ],
            "more than one condition",
        ),
    ],
)
def test_mistakes(story: Story, arguments: list[str], said: str) -> None:
    """A mistake ends with one line that says what it was."""
    wrong = story.lake.command("as-of", *(text.format(before=story.before) for text in arguments))
    assert wrong.code == 64, wrong
    assert said in wrong.output
    assert len(wrong.output.strip().splitlines()) == 1


def test_after_maintenance_and_what_was_undone(story: Story) -> None:
    """Files that were put together, and bookkeeping that was flushed, tell the same story. A file
    that was taken out again is named as such."""
    assert story.lake.command("maintain").code == 0
    shown = story.lake.command("as-of", "fct_statuses", str(story.before), *WHERE)
    assert files_in(shown.output) == [LATE], shown.output
    assert CODE in shown.output

    before = story.lake.snapshot()
    undo = story.lake.command("undo", "jaffle_shop.orders", "--file", LATE)
    assert undo.code == 0, undo
    assert story.lake.build_quickly().ok
    shown = story.lake.command("as-of", "int_orders", str(before), "--where", "order_id = 1")
    assert shown.code == 0, shown
    assert f"{LATE} (undone, fed at" in shown.output
    assert files_in(shown.output) == [LATE], shown.output


def test_what_no_run_wrote(story: Story) -> None:
    """What somebody changed by hand is no run's, whatever ran at that time."""
    before = story.lake.snapshot()
    story.lake.change("update meta.invocations set finished_at = finished_at + interval 1 hour")
    story.lake.change("update main.fct_statuses set orders = orders + 1")
    shown = story.lake.command("as-of", "fct_statuses", str(before))
    assert shown.code == 0, shown
    assert "What changed it" in shown.output
    assert "by dbt" not in shown.output
