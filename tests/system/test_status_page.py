"""The status page, made of a real lake: what is wrong stands on top, and nothing breaks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.site import status
from tests.system.lake import Lake
from tests.system.upkeep import writing

_DAY = timedelta(days=1)


def config(lake: Lake) -> LakeConfig:
    """Where a lake lies."""
    return LakeConfig.from_env(lake.environment)


def look(lake: Lake, limits: Mapping[str, timedelta] | None = None) -> status.Look:
    """The page's content, an hour after the lake's last run."""
    last = lake.value("select max(finished_at) from meta.invocations")
    assert isinstance(last, datetime)
    return status.look(config(lake), limits or {}, last.astimezone(UTC) + timedelta(hours=1))


def text(page: str) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[-1]))


def test_what_is_on_the_page(reference_copy: Lake) -> None:
    """Every stream, the last run, the slowest nodes, the deliveries and the tables, as they are."""
    seen = look(reference_copy, {"shopify.orders": _DAY, "klaviyo.events": _DAY})
    assert [one.row["stream"] for one in seen.streams] == [
        f"{source}.{stream}"
        for source, stream in reference_copy.query(
            "select source, stream from meta.feeder_cursors order by 1, 2"
        )
    ]
    bad = reference_copy.value("select sum(quarantined_files) from dim_streams")
    told = [problem for problem in seen.problems if problem.startswith("In quarantine:")]
    assert told == ([f"In quarantine: {bad:,} file{'' if bad == 1 else 's'}."] if bad else [])
    assert seen.answers["runs"][0]["status"] in ("success", "warn")
    slowest = seen.answers["durations"][0]
    assert slowest["total_seconds"] == reference_copy.value(
        "select max(total) from (select sum(execution_seconds) as total from meta.node_results"
        " where resource_type <> 'operation' and status <> 'skipped' group by node)"
    )
    delivered = sum(one["row_count"] for one in seen.answers["deliveries"])
    assert delivered == reference_copy.value(
        "select sum(row_count) from (select sum(row_count) as row_count, max(loaded_at) as fed_at"
        " from meta.feeder_files where status = 'loaded' group by source, stream, cursor_version"
        " order by fed_at desc limit 50)"
    )
    sales = {row["day"]: row["sales"] for row in seen.answers["sales"]}
    day, total = reference_copy.query(
        "select order_day::varchar, total_sales::double from fct_daily_sales"
        " where currency = (select mode(currency) from fct_sales) order by 1 desc limit 1"
    )[0]
    assert sales[day] == total
    rows = {one["name"]: one["files"] for one in seen.answers["tables"]}
    assert rows["staging.stg_shopify__orders"] > 0
    page = status.render(seen)
    assert "://" not in re.sub(r"http://www.w3.org/\S+", "", page), "it asks for something outside"
    assert page.count("<svg") == 3 + len({row["stream"] for row in seen.answers["rows_by_day"]})
    for words in ("Is everything fresh?", "shopify.orders", "fct_sales", day):
        assert words in page, words


def test_what_is_wrong_stands_on_top(reference_copy: Lake) -> None:
    """A stream that is late, a file in quarantine whose name is nasty, a test that failed."""
    nasty = "shopify/orders/year=2025/month=01/day=01/<script>alert(1)</script>.parquet"
    with writing(reference_copy) as connection:
        connection.execute(
            "insert into meta.feeder_files select * replace (? as path, 'quarantined' as status,"
            " 'truncated & empty' as reason, 'x' as etag) from meta.feeder_files"
            " where source = 'shopify' and stream = 'orders' limit 1",
            [nasty],
        )
        connection.execute(
            "update meta.feeder_files set loaded_at = loaded_at - interval 3 day"
            " where stream = 'lists'"
        )
        connection.execute(
            "insert into meta.invocations select * replace ('last' as invocation_id, 'error' as"
            " status, started_at + interval 1 second as started_at) from meta.invocations"
            " order by started_at desc limit 1"
        )
        connection.execute(
            "insert into meta.node_results select * replace ('last' as invocation_id, 'fail' as"
            " status, 7 as failures, 'Got 7 results' as message, finished_at + interval 1 second"
            " as finished_at) from meta.node_results"
            " where node like '%unique_fct_sales%' or node like '%fct_sales%' limit 1"
        )
    seen = look(reference_copy, {"klaviyo.lists": 2 * _DAY, "shopify.orders": _DAY})
    told = " ".join(seen.problems)
    assert "last recorded run failed" in told
    assert "klaviyo.lists" in told and "shopify.orders" not in told
    assert "In quarantine: " in told and "Failed when last run: " in told
    page = status.render(seen)
    assert nasty not in page and "&lt;script&gt;alert" in page
    assert "truncated &amp; empty" in page
    assert "Got 7 results" in page
    assert text(page).index("Something needs a look") < text(page).index("Is everything fresh?")


def test_what_is_no_more_or_never_was_is_not_told_as_it_is(reference_copy: Lake) -> None:
    """A test that is no more in the project has not failed; a stream that was never fed is not
    fresh; and what warns is not well."""
    with writing(reference_copy) as connection:
        last = "(select max(finished_at) + interval 1 second from meta.node_results)"
        for node, ended in (
            ("test.lotus_lake.sales_add_up", "fail"),
            ("test.lotus_lake.sales_add_up", "pass"),
            ("test.lotus_lake.gone.0", "fail"),
            ("test.lotus_lake.stream_volumes_are_usual", "warn"),
            ("unit_test.lotus_lake.fct_sales.sales_of_an_order", "error"),
            ("unit_test.lotus_lake.gone.sales_of_nothing", "error"),
        ):
            connection.execute(
                f"insert into meta.node_results select 'last', '{node}',"
                f" '{node.split('.')[0]}', '{ended}', 0, null, 1, 'Few rows', {last}"
            )
        connection.execute("delete from meta.feeder_files where stream = 'lists'")
    seen = look(reference_copy, {"klaviyo.lists": _DAY})
    owners = {row["name"]: row["owner"] for row in seen.answers["failures"]}
    assert owners["stream_volumes_are_usual"] == "data_platform"
    assert owners["sales_of_an_order"] == "shop_analytics"
    assert not {"gone", "sales_of_nothing", "sales_add_up"} & set(owners)
    assert "Failed when last run: sales_of_an_order." in seen.problems
    (warned,) = (problem for problem in seen.problems if problem.startswith("Warned when"))
    assert "stream_volumes_are_usual" in warned
    assert {one.row["stream"]: one.state for one in seen.streams}["klaviyo.lists"] == "never fed"
    assert "Never fed so far: klaviyo.lists." in text(status.render(seen))


def test_a_lake_that_nobody_has_fed_is_not_well(reference_copy: Lake) -> None:
    with writing(reference_copy) as connection:
        connection.execute("delete from meta.feeder_files")
        connection.execute("delete from meta.node_results where status = 'warn'")
    page = text(status.render(look(reference_copy, {"shopify.orders": _DAY})))
    assert "Nothing was fed yet" in page
    assert "All is well" not in page


def test_what_the_lake_costs_is_what_lies_on_the_disk(reference_copy: Lake) -> None:
    """The files that say which rows were deleted cost something too, and their rows are gone."""
    reference_copy.change("delete from main.fct_sales where order_id % 3 = 0")
    seen = look(reference_copy)
    tables = {row["name"]: row for row in seen.answers["tables"]}
    for name in ("main.fct_sales", "main.dim_customers", "staging.stg_shopify__orders"):
        assert tables[name]["row_count"] == reference_copy.value(f"select count(*) from {name}")
    lying = sum(file.stat().st_size for file in reference_copy.data.rglob("*.parquet"))
    kept = seen.answers["cost"][0]["superseded_bytes"]
    assert sum(row["bytes"] for row in tables.values()) + kept == lying


def test_a_day_with_an_unusual_volume_is_marked(reference_copy: Lake) -> None:
    """Ten weeks of steady deliveries, of which one day brought a tenth: two weeks before the end,
    where no check of the last days sees it any more."""
    with writing(reference_copy) as connection:
        connection.execute(
            """
            insert into meta.feeder_files by name
            select
                'shopify' as source,
                'customers' as stream,
                strftime(day, 'shopify/customers/year=%Y/month=%m/day=%d/new.parquet') as path,
                'x' as etag,
                1 as size_bytes,
                if(day = '2021-03-05', 10, 100 + extract(doy from day) % 5) as row_count,
                'loaded' as status,
                1000 as cursor_version,
                now() as loaded_at
            from range(timestamp '2021-01-01', timestamp '2021-03-20', interval 1 day) as days (day)
            """
        )
        connection.execute(
            "update meta.feeder_files set path = regexp_replace(path, 'year=\\d+', 'year=2001')"
            " where cursor_version < 1000"
        )
    seen = look(reference_copy)
    marked = [row["day"] for row in seen.answers["rows_by_day"] if row["is_unusual"]]
    assert marked == ["2021-03-05"]
    assert "Marked: shopify.customers on 2021-03-05 (10 rows)" in status.render(seen)


def test_a_lake_without_the_views_says_what_to_type(reference_copy: Lake) -> None:
    with writing(reference_copy) as connection:
        connection.execute("drop view main.fct_runs")
    with pytest.raises(LakeError, match=r"fct_runs.*dbt build"):
        look(reference_copy)
