"""`lake status`, and the status page: both made of a real lake, and nothing breaks them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.site import status
from lotus_lake.status import read
from tests.system.lake import Lake
from tests.system.upkeep import writing

pytestmark = pytest.mark.slow


def test_what_is_fed_and_what_waits(reference_copy: Lake) -> None:
    """As it is, within 80 columns, also in the middle of a write; and nothing is written."""
    lake, before = reference_copy, reference_copy.snapshot()
    found = read(LakeConfig.from_env(lake.environment))
    names = ("stream", "files_loaded", "rows_loaded")
    assert [tuple(one[name] for name in names) for one in found["streams"]] == lake.query(
        "select source || '.' || stream, files_loaded, rows_loaded"
        " from meta.feeder_cursors order by 1"
    )
    assert sum(one["quarantined_files"] for one in found["streams"]) == len(lake.quarantined()) > 0
    with writing(lake) as connection:
        connection.execute("begin; update meta.feeder_cursors set backlog_files = 3")
        shown = lake.command("status")
        connection.execute("commit")  # reading has not kept it from that
    assert shown.code == 0, shown
    printed = shown.output
    assert max(map(len, printed.splitlines())) <= 80
    for one in found["streams"]:
        assert f"{one['stream']} " in printed and f" {one['rows_loaded']:,} " in printed
    assert len(re.findall("^quarantined ", printed, re.M)) == len(
        {path.rsplit("/year=")[0] for path in lake.quarantined()}
    )
    assert lake.snapshot() == before + 1


@pytest.mark.parametrize(
    ("told", "environment"),
    [
        ("dbt build", {}),
        ("cannot be attached", {"LAKE_CATALOG": "postgres:", "PGHOST": "127.0.0.1"}),
    ],
)
def test_what_cannot_be_read_is_one_line(
    lake: Lake, told: str, environment: dict[str, str]
) -> None:
    """No lake, a server that does not answer."""
    lake.environment |= {"PGPORT": "1", "PGPASSWORD": "very-secret", **environment}
    ended = lake.command("status")
    assert (ended.code, ended.output.count("\n")) == (40, 1), ended
    assert told in ended.output and "very-secret" not in ended.output


# -- the page --------------------------------------------------------------------------------------


def collect(lake: Lake) -> status.Status:
    """The page's content, an hour after the lake's last run."""
    last = lake.value("select max(finished_at) from meta.invocations")
    assert isinstance(last, datetime)
    config = LakeConfig.from_env(lake.environment)
    project: dict[str, str | None] = {
        node: None
        for (node,) in lake.query("select distinct node from meta.node_results")
        if ".gone" not in node
    }
    project["unit_test.lotus_lake.fct_sales.sales_of_an_order"] = "shop_analytics"
    now = last.astimezone(UTC) + timedelta(hours=1)
    return status.collect(config, project, now)


def text(status_: status.Status) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", status.render(status_).split("</style>")[1]))


def test_what_is_wrong_stands_on_top(reference_copy: Lake) -> None:
    """A stream that is late, a file in quarantine with a nasty name, tests that failed or warned;
    what passed since, or is no more in the project, is not told."""
    nasty = "shopify/orders/year=2025/month=01/day=01/<script>alert(1)</script>.parquet"
    with writing(reference_copy) as connection:
        connection.execute(
            "insert into meta.feeder_files select * replace (? as path, 'quarantined' as status,"
            " 'truncated & empty' as reason, 'x' as etag) from meta.feeder_files"
            " where source = 'shopify' and stream = 'orders' limit 1",
            [nasty],
        )
        connection.execute(
            "update meta.feeder_files set loaded_at = loaded_at - interval 30 day"
            " where stream = 'lists'"
        )
        connection.execute(
            "insert into meta.invocations select * replace ('last' as invocation_id, 'error' as"
            " status, started_at + interval 1 second as started_at) from meta.invocations"
            " order by started_at desc limit 1"
        )
        last = "(select max(finished_at) + interval 1 second from meta.node_results)"
        for node, ended in (
            ("test.lotus_lake.sales_add_up", "fail"),
            ("test.lotus_lake.sales_add_up", "pass"),
            ("test.lotus_lake.gone.0", "fail"),
            ("test.lotus_lake.stream_volumes_are_usual", "warn"),
            ("unit_test.lotus_lake.fct_sales.sales_of_an_order", "error"),
        ):
            connection.execute(
                f"insert into meta.node_results select 'last', '{node}',"
                f" '{node.split('.')[0]}', '{ended}', 0, null, 1, 'Few rows', {last}"
            )
    seen = collect(reference_copy)
    assert all(seen.tables[name] for name in ("deliveries", "durations", "rows_by_day", "tables"))
    problems = " ".join(seen.problems)
    assert "The last recorded run failed." in problems
    assert "freshness allows: klaviyo.lists." in problems
    assert "In quarantine: " in problems
    assert "Failed when last run: sales_of_an_order." in problems
    assert "stream_volumes_are_usual" in problems.split("Warned when last run:")[1]
    owners = {row["name"]: row["owner"] for row in seen.tables["failures"]}
    assert owners["sales_of_an_order"] == "shop_analytics"
    assert not {"gone", "sales_add_up"} & set(owners)
    page = status.render(seen)
    assert "://" not in re.sub(r"http://www.w3.org/\S+", "", page), "it asks for something outside"
    assert 'model/model.lotus_lake.fct_sales">fct_sales</a>' in page
    assert nasty not in page and "&lt;script&gt;alert" in page and "truncated &amp; empty" in page
    assert text(seen).index("Something needs a look") < text(seen).index("Is everything fresh?")


def test_a_lake_that_is_not_fed_or_not_built(reference_copy: Lake) -> None:
    with writing(reference_copy) as connection:
        connection.execute("delete from meta.feeder_files where stream = 'lists'")
    assert "Never fed so far: klaviyo.lists." in text(collect(reference_copy))
    with writing(reference_copy) as connection:
        connection.execute("delete from meta.feeder_files")
        connection.execute("delete from meta.node_results where status = 'warn'")
    page = text(collect(reference_copy))
    assert "Nothing was fed yet" in page and "All is well" not in page
    with writing(reference_copy) as connection:
        connection.execute("drop view main.fct_runs")
    with pytest.raises(LakeError, match=r"fct_runs.*dbt build"):
        collect(reference_copy)
