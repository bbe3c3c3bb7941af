"""Runs one after the other and at the same time: nothing new, two at once, other code, undo."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sample import Delivery
from tests.oracle import compute
from tests.system.conftest import SEED, Reference
from tests.system.lake import PROJECT, WITHOUT_TESTS, Build, Lake, differences
from tests.system.small_project import DAYS, Shop
from tests.system.upkeep import files


def test_nothing_new_writes_nothing(shop: Shop) -> None:
    """A run with nothing new passes all tests and writes no snapshot and no file; nor is it
    recorded, not even for a warning that still stands."""
    shop.deliver(2, "4,9,returned")
    assert shop.lake.build().code == 0
    before = shop.lake.snapshot(), files(shop.lake.data)
    runs = shop.lake.query("from meta.invocations")
    build = shop.lake.build()
    assert build.code == 0 and "WARN=1" in build.output, build
    assert (shop.lake.snapshot(), files(shop.lake.data)) == before
    assert shop.lake.query("from meta.invocations") == runs


def test_a_repeated_delivery_stops_where_nothing_changes(begun: Shop) -> None:
    """A file that comes again is fed, but tables whose rows stay the same are not written."""
    before, written = begun.tables(), files(begun.lake.data / "main")
    path = begun.lake.loaded()[-1]
    begun.land(path, (begun.lake.landing / path).read_text())
    build = begun.lake.build_quickly()
    assert build.ok, build
    versions = f"select count(*), count(distinct etag) from meta.feeder_files where path = '{path}'"
    assert begun.lake.query(versions) == [(2, 2)]
    assert begun.tables() == before
    assert files(begun.lake.data / "main") == written


def test_tables_lie_in_the_order_of_their_keys(begun: Shop) -> None:
    """Those that have a key, when they are created; DuckLake keeps to it in later builds."""
    catalog = "__ducklake_metadata_lakehouse"
    sorted_by = dict(
        begun.lake.query(
            "select table_name, string_agg(expression, ', ' order by sort_key_index)"
            f" from {catalog}.ducklake_sort_info as sorts"
            f" join {catalog}.ducklake_sort_expression using (sort_id, table_id)"
            f" join {catalog}.ducklake_table as tables using (table_id)"
            " where sorts.end_snapshot is null and tables.end_snapshot is null group by table_name"
        )
    )
    assert sorted_by == {
        "int_orders": "order_id",
        "int_customers": "customer_id",
        "dim_customers": "customer_id",
        "fct_customer_statuses": "customer_id, status",
    }
    assert begun.lake.build_quickly("--full-refresh").ok
    for table, key in sorted_by.items():
        before_the_last = begun.lake.value(
            "select count(*) from ("
            f"select ({key}) < lag(({key})) over (order by rowid) as is_before from main.{table}"
            ") where is_before"
        )
        assert before_the_last == 0, table


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_feeders_at_once(kind: str, new_shop: Callable[..., Shop]) -> None:
    """Two runs of one lake at the same moment never double a row; a loser fails with one line.

    First both find no lake at all, then one with half of the files; what they leave undone the
    next run does.
    """
    shop = new_shop(kind)
    shop.deliver_days(1, DAYS // 2, SEED)
    builds = _both(shop.lake, "--select", "lotus_lake.landing")
    assert not shop.lake.wrong_counts()
    shop.deliver_days(DAYS // 2 + 1, DAYS, SEED)
    builds += _both(shop.lake)
    assert not shop.lake.wrong_counts()
    shop.lake.drain()
    shop.assert_whole()
    for build in builds:
        assert build.code in (0, 1, 2), build
        assert "Traceback" not in build.output, build


def _both(lake: Lake, *arguments: str) -> list[Build]:
    running = [lake.start("build", *arguments, *WITHOUT_TESTS) for _ in range(2)]
    return [one.wait() for one in running]


@pytest.mark.nightly
def test_a_change_of_variables_rebuilds(reference_copy: Lake, sample: Delivery) -> None:
    """A lake built in UTC becomes, by a variable, the one that was always in New York; and back.

    Models whose code or variables changed are rebuilt whole, so that a table is what its code says.
    """
    variables = {"shop_timezone": "America/New_York", "attribution_hours": 24}
    before = reference_copy.tables()
    build = reference_copy.build_quickly(variables=variables)
    assert build.ok, build
    expected = compute(
        sample.out,
        files=reference_copy.loaded(),
        timezone="America/New_York",
        attribution_hours=24,
    )
    incremental = reference_copy.everything("main")
    assert not differences(reference_copy.tables(), expected)
    assert differences(reference_copy.tables(), before), "the variables make no difference here"
    assert reference_copy.build_quickly("--full-refresh", variables=variables).ok
    assert not differences(reference_copy.everything("main"), incremental)
    assert reference_copy.build_quickly().ok
    assert not differences(reference_copy.tables(), before)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "zone", ["America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
)
def test_days_are_those_of_the_shop(zone: str, reference_copy: Lake, sample: Delivery) -> None:
    """In every time zone, with clocks that change or not, the days add up and are the oracle's."""
    build = reference_copy.build(variables={"shop_timezone": zone})
    assert build.ok, build
    expected = compute(sample.out, files=reference_copy.loaded(), timezone=zone)
    assert not differences(reference_copy.tables(), expected)


def test_reconcile_says_what_is_wrong(shop: Shop) -> None:
    """Clean on a good lake; on one with a row too few it fails and names the file."""
    lake = shop.lake
    clean = lake.command("reconcile")
    assert clean.code == 0, clean
    file = lake.loaded()[-1]
    lake.change(
        "delete from staging.stg_jaffle_shop__orders"
        f" where _source_file = '{file}' and _source_row = 0",
    )
    lake.change("insert into staging.stg_jaffle_shop__customers by name select 1 as id")
    (lake.landing / file).with_name("waiting.csv").write_bytes(b"x")
    found = lake.command("reconcile")
    assert found.code == 20
    assert file in found.output
    assert "waiting.csv" in found.output
    assert "staging has 1 row that came from no file" in found.output
    assert "Traceback" not in found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reconcile", "jaffle_shop.nope"], "There is no stream jaffle_shop.nope"),
        (["reconcile", "x'; drop table t"], "There is no stream"),
        (["undo", "jaffle_shop", "--day", "2025-01-15"], "Name one stream"),
        (["undo", "jaffle_shop.orders"], "Say which delivery"),
        (["undo", "jaffle_shop.orders", "--day", "2025-01-15' or true or '"], "does not match"),
        (["undo", "jaffle_shop.orders", "--file", "a'b \" \n"], "The ledger has no loaded file"),
        (["release", "jaffle_shop.orders", "--delivery", "1 or true"], "not a valid integer"),
        (["maintain", "--orphans", "--older-than", "-1"], "is not in the range"),
        (["maintain", "--older-than", "1"], "goes with --orphans"),
    ],
)
def test_a_command_that_means_something_else(shop: Shop, words: list[str], said: str) -> None:
    """It says in one line what is wrong, and touches nothing."""
    before = shop.lake.snapshot()
    wrong = shop.lake.command(*words)
    assert wrong.code == 64, wrong
    assert wrong.output.startswith(f"lake {words[0]}: ") and said in wrong.output, wrong
    assert len(wrong.output.strip().splitlines()) == 1
    assert shop.lake.snapshot() == before


@pytest.mark.slow
def test_what_leaves_the_quarantine(shop: Shop) -> None:
    """A file that is repaired, and one that is removed: nothing counts or warns of them again."""
    check = (PROJECT / "engine/tests/watching/quarantine_is_empty.sql").read_text()
    check = check.replace("{{ after_feeding() }}", "")
    shop.write("tests/quarantine_is_empty.sql", "{{ config(severity='warn') }}" + check)
    folder = "jaffle_shop/orders/year=2024/month=01/day=02"
    repaired, removed = (
        shop.land(f"{folder}/{name}.parquet", "no Parquet") for name in ("repaired", "removed")
    )

    def quarantined() -> tuple[int, str]:
        assert shop.lake.build_quickly().ok
        told = json.loads(shop.lake.command("status", "--json").output)
        (orders,) = (one for one in told["streams"] if one["stream"] == "jaffle_shop.orders")
        tested = shop.lake.build("--select", "quarantine_is_empty", command="test")
        (ended,) = (how for name, how in tested.statuses.items() if "quarantine_is" in name)
        return orders["quarantined_files"], ended

    assert quarantined() == (2, "warn")
    pq.write_table(pa.table({"id": [9], "user_id": [7], "status": ["placed"]}), repaired)
    removed.unlink()
    assert quarantined() == (0, "pass")


@pytest.mark.slow
def test_undo_and_replay(reference_copy: Lake, sample: Delivery, reference: Reference) -> None:
    """A day's delivery is undone as if it had never come, and replayed as if it had always been.

    A dry run changes nothing. Every table follows with the next build.
    """
    folder = "shopify/orders/year=2025/month=03/day=12/"
    those = ("shopify.orders", "--day", "2025-03-12")
    followers = ("--select", "stg_shopify__orders+")
    before = reference_copy.snapshot()
    dry = reference_copy.command("undo", *those, "--dry-run")
    assert dry.code == 0, dry
    assert reference_copy.snapshot() == before

    assert reference_copy.command("undo", *those).code == 0
    assert reference_copy.build_quickly(*followers).ok
    assert not reference_copy.wrong_counts()
    kept = [path for path in reference.loaded if not path.startswith(folder)]
    assert len(kept) < len(reference.loaded)
    assert reference_copy.loaded() == kept
    assert not differences(reference_copy.tables(), compute(sample.out, files=kept))
    assert reference_copy.query(
        f"select distinct status, path in (select path from meta.quarantine)"
        f" from meta.feeder_files where path like '{folder}%' and row_count > 0"
    ) == [("undone", False)]

    assert reference_copy.command("release", *those).code == 0
    assert reference_copy.build_quickly(*followers).ok
    assert not differences(reference_copy.everything("main"), reference.everything)
    assert reference_copy.command("replay", *those).code == 0
    assert reference_copy.build_quickly(*followers).ok
    assert not reference_copy.wrong_counts()
    assert not differences(reference_copy.everything("main"), reference.everything)


@pytest.mark.slow
@pytest.mark.parametrize("last", ["bad", "gone"])
def test_a_generation_whose_last_file_brings_nothing(lake: Lake, last: str) -> None:
    """It is complete when nothing waits any more, also when no row came in since.

    And a file that waits concerns no unit test.
    """
    whole = _metrics(2, "new", ["a"])
    first, part, rest = (
        lake.landing / f"klaviyo/metrics/year=2025/month=01/day=0{day}/part_0.parquet"
        for day in (1, 2, 3)
    )
    one_file = {"feed_max_files": 1}
    select = ("--select", "stg_klaviyo__metrics", "int_klaviyo__metrics")
    without_data_tests = ("--exclude-resource-type", "test")

    def built() -> list[tuple[str, str]]:
        build = lake.build(*select, *without_data_tests, variables=one_file)
        assert build.ok, build
        return lake.query("select metric_id, name from main.int_klaviyo__metrics order by all")

    for path, content in (
        (first, _metrics(1, "old", ["a", "b"])),
        (part, whole),
        (rest, whole[: len(whole) // 2]),
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert built() == [("a", "old"), ("b", "old")]
    assert built() == [("a", "old"), ("b", "old")], "part of a generation is shown"
    if last == "gone":
        rest.unlink()
    assert built() == [("a", "new")]
    snapshot = lake.snapshot()
    assert built() == [("a", "new")]
    assert lake.snapshot() == snapshot


def _metrics(generation: int, name: str, ids: list[str]) -> bytes:
    """A file of klaviyo/metrics."""
    at = datetime(2025, 1, generation, tzinfo=UTC)
    rows = [
        {
            "id": one,
            "attributes": {"name": name, "integration": None, "created": at, "updated": at},
            "_airbyte_raw_id": f"{one}{generation}",
            "_airbyte_extracted_at": at,
            "_airbyte_generation_id": generation,
        }
        for one in ids
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()
