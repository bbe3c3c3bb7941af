"""What runs leave in meta.invocations and meta.node_results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sample import Delivery
from tests.system.conftest import part_of
from tests.system.lake import Build, Lake
from tests.system.upkeep import writing


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def lake(request: pytest.FixtureRequest, lake_after: Callable[[str, int], Lake]) -> Lake:
    """A lake that has been built once, with each kind of catalog."""
    return lake_after(request.param, 1)


def nodes(build: Build) -> dict[str, str]:
    """The nodes of a build and how they ended, without hooks."""
    return {name: status for name, status in build.statuses.items() if "on-run-" not in name}


def test_a_build_is_recorded(lake: Lake, sample: Delivery) -> None:
    """Each run and each of its nodes once, with what it wrote, and not a file for it."""
    lake.deliver(part_of(sample, 1), sample.out)
    tick = {"LAKE_TICK_ID": "it's a tick", "LAKE_CODE_VERSION": "v1"}
    builds = [lake.build("--select", "stg_shopify__orders+", environment=tick)]  # with its tests
    lake.deliver(part_of(sample, 2), sample.out)
    builds.append(lake.build_quickly())
    assert all(build.code == 0 for build in builds), builds

    runs = lake.query(
        "select command, target, tick_id, code_version, status, error_count,"
        " finished_at > started_at, built_count > 5, rows_affected > 100"
        " from meta.invocations order by started_at"
    )
    warned = "warn" if "warn" in builds[0].statuses.values() else "success"
    assert runs == [
        ("build", "local", None, None, "success", 0, True, True, True),  # the lake's first one
        ("build", "local", "it's a tick", "v1", warned, 0, True, True, True),
        ("build", "local", None, None, "success", 0, True, True, True),
    ]
    for number, build in enumerate(builds, start=1):
        recorded = lake.query(
            "select split_part(node, '.', 3), node, status, execution_seconds >= 0, message"
            " from meta.node_results where invocation_id = (select invocation_id"
            f" from meta.invocations order by started_at limit 1 offset {number})"
        )
        assert sorted(status for _, _, status, _, _ in recorded) == sorted(nodes(build).values())
        assert len(recorded) == len({node for _, node, _, _, _ in recorded})
        assert all(took and message is not None for *_, took, message in recorded)
    assert lake.value(
        "select rows_affected from meta.node_results where node like '%.stg_shopify__orders'"
        " order by finished_at limit 1"
    ) == lake.value(
        "select sum(row_count) from meta.feeder_files where stream = 'orders'"
        " and source = 'shopify' and status = 'loaded' and cursor_version = 1"
    )
    assert not list((lake.data / "meta").rglob("*.parquet"))

    # Each snapshot says which run made it, and what it did.
    signed = lake.query(
        "select author, runs.tick_id, runs.code_version,"
        " count(*) filter (commit_message like 'fct_sales: keys, %'),"
        " count(*) filter (commit_message like 'feed 2 of shopify.orders: % files')"
        " from ducklake_snapshots('lakehouse') join meta.invocations as runs"
        " on (commit_extra_info ->> 'invocation_id') = runs.invocation_id"
        " and (commit_extra_info ->> 'code_version') is not distinct from runs.code_version"
        " group by runs.invocation_id, author, runs.tick_id, runs.code_version, runs.started_at"
        " order by runs.started_at"
    )
    assert [row[:3] for row in signed] == [("dbt build", *run[2:4]) for run in runs]
    assert [row[3:] for row in signed] == [(0, 0), (1, 1), (1, 0)]

    assert lake.query(
        "select invocation_id, status from fct_runs order by started_at"
    ) == lake.query("select invocation_id, status from meta.invocations order by started_at")
    assert lake.query("select sum(files), sum(row_count) from fct_deliveries") == lake.query(
        "select count(*), sum(row_count) from meta.feeder_files where status = 'loaded'"
    )
    assert lake.query("select source, stream, files_loaded from dim_streams order by all") == (
        lake.query("select source, stream, files_loaded from meta.feeder_cursors order by all")
    )
    assert lake.value("select count(*) from dim_streams") == 12


def test_a_failure_is_recorded(
    new_lake: Callable[..., Lake], sqlite_stages: Callable[[int], Lake]
) -> None:
    """A run with a failed model is recorded, what it skipped as well, and still says why it failed.

    What the message quotes is cut to a sane length, and nothing that looks like a password stays.
    """
    lake = new_lake("password=hunter2")
    lake.copy_of(sqlite_stages(1))
    for path in (lake.data / "staging/stg_shopify__orders").rglob("*.parquet"):
        path.unlink()
    failed = lake.build_quickly("--select", "int_shopify__orders+", "--full-refresh", "--fail-fast")
    assert failed.code == 1
    assert "in model int_shopify__orders" in failed.output

    status, errors, message = lake.query(
        "select invocations.status, error_count, message from meta.invocations"
        " join meta.node_results using (invocation_id)"
        " where node like '%.int_shopify__orders' and node_results.status = 'error'"
    )[0]
    assert (status, errors) == ("error", 1)
    assert "Cannot open file" in message
    assert "hunter2" not in message
    assert "password=***" in message
    assert len(message) <= 500
    skipped = lake.value("select count(*) from meta.node_results where status = 'skipped'")
    assert skipped == sum(status == "skipped" for status in failed.statuses.values()) > 0


@pytest.mark.parametrize("lake", ["sqlite"], indirect=True)
def test_a_test_that_ends_otherwise_than_before_is_recorded(lake: Lake) -> None:
    """Also where nothing was built: else the last that is known of a mended test is its failure."""

    def recorded() -> list[tuple[str]]:
        return lake.query(
            "select status from meta.node_results where node like '%.sales_add_up'"
            " order by finished_at"
        )

    def tested(by: int) -> int:
        lake.change(f"update main.fct_sales set net_sales = net_sales + {by}")
        return lake.build("--select", "sales_add_up", command="test").code

    assert tested(by=0) == 0
    before = recorded()
    assert tested(by=1) == 1
    assert recorded() == [*before, ("fail",)]
    said = lake.value("select message from fct_node_results where status = 'fail'")
    assert "See docs/checks.md" in said, "what was found, and not only how often"
    assert tested(by=-1) == 0
    assert recorded() == [*before, ("fail",), ("pass",)]
    snapshot = lake.snapshot()
    assert lake.build("--select", "sales_add_up", command="test").code == 0
    assert lake.snapshot() == snapshot, "it ended as before"


@pytest.mark.slow
@pytest.mark.parametrize("lake", ["sqlite"], indirect=True)
def test_a_history_that_cannot_be_written(lake: Lake, sample: Delivery) -> None:
    """It fails the run with its own line, and hides nothing of what the run did."""
    with writing(lake) as connection:
        connection.execute("alter table lakehouse.meta.node_results rename column node to other")
    lake.deliver(part_of(sample, 1)[:20], sample.out)
    build = lake.build_quickly()
    assert build.code == 1
    assert "on-run-end.2 failed" in build.output
    assert len(nodes(build)) > 30
    assert set(nodes(build).values()) == {"success"}
    assert not lake.wrong_counts()
    assert not list(Path(lake.data, "meta").rglob("*.parquet"))
