"""What runs leave in meta.invocations and meta.node_results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.system.conftest import SEED
from tests.system.lake import Build
from tests.system.small_project import BEGUN, DAYS, Shop
from tests.system.upkeep import writing


def nodes(build: Build) -> dict[str, str]:
    """The nodes of a build and how they ended, without hooks."""
    return {name: status for name, status in build.statuses.items() if "on-run-" not in name}


def test_a_build_is_recorded(begun: Shop) -> None:
    """Each run and each of its nodes once, with what it wrote, and not a file for it."""
    lake, before = begun.lake, len(begun.lake.query("from meta.invocations"))
    begun.deliver_days(BEGUN + 1, BEGUN + 1, SEED)
    tick = {"LAKE_TICK_ID": "it's a tick", "LAKE_CODE_VERSION": "v1"}
    builds = [lake.build("--select", "stg_jaffle_shop__orders+", environment=tick)]
    begun.deliver_days(BEGUN + 2, DAYS, SEED)
    builds.append(lake.build_quickly())
    assert all(build.code == 0 for build in builds), builds

    runs = lake.query(
        "select command, target, tick_id, code_version, status, error_count,"
        " finished_at > started_at, built_count > 3, rows_affected > 100"
        f" from meta.invocations order by started_at offset {before}"
    )
    assert runs == [
        ("build", "local", "it's a tick", "v1", "success", 0, True, True, True),
        ("build", "local", None, None, "success", 0, True, True, True),
    ]
    for number, build in enumerate(builds, start=before):
        recorded = lake.query(
            "select split_part(node, '.', 3), node, status, execution_seconds >= 0, message"
            " from meta.node_results where invocation_id = (select invocation_id"
            f" from meta.invocations order by started_at limit 1 offset {number})"
        )
        assert sorted(status for _, _, status, _, _ in recorded) == sorted(nodes(build).values())
        assert len(recorded) == len({node for _, node, _, _, _ in recorded})
        assert all(took and message is not None for *_, took, message in recorded)
    fed = "from meta.feeder_files where stream = 'orders' and status = 'loaded'"
    assert lake.value(
        "select sum(rows_affected) from meta.node_results where node like '%.stg_%__orders'"
    ) == lake.value(f"select sum(row_count) {fed}")
    assert not list((lake.data / "meta").rglob("*.parquet"))

    # Each snapshot says which run made it, and what it did.
    signed = lake.query(
        "select author, runs.tick_id, runs.code_version,"
        " count(*) filter (commit_message like 'int_orders: keys, %'),"
        " count(*) filter (commit_message like 'feed % of jaffle_shop.orders: % files')"
        " from ducklake_snapshots('lakehouse') join meta.invocations as runs"
        " on (commit_extra_info ->> 'invocation_id') = runs.invocation_id"
        " and (commit_extra_info ->> 'code_version') is not distinct from runs.code_version"
        " group by runs.invocation_id, author, runs.tick_id, runs.code_version, runs.started_at"
        f" order by runs.started_at offset {before}"
    )
    assert signed == [("dbt build", *run[2:4], 1, 1) for run in runs]


def test_a_failure_is_recorded(built_shops: dict[str, Shop], new_shop: Callable[..., Shop]) -> None:
    """A run with a failed model is recorded, what it skipped as well, and still says why it failed.

    What the message quotes is cut to a sane length, and nothing that looks like a password stays.
    """
    lake = new_shop(name="password=hunter2").lake
    lake.copy_of(built_shops["few"].lake)
    for path in (lake.data / "staging/stg_jaffle_shop__orders").rglob("*.parquet"):
        path.unlink()
    failed = lake.build_quickly("--select", "int_orders+", "--full-refresh", "--fail-fast")
    assert failed.code == 1
    assert "in model int_orders" in failed.output

    status, errors, message = lake.query(
        "select invocations.status, error_count, message from meta.invocations"
        " join meta.node_results using (invocation_id)"
        " where node like '%.int_orders' and node_results.status = 'error'"
    )[0]
    assert (status, errors) == ("error", 1)
    assert "Cannot open file" in message
    assert "hunter2" not in message
    assert "password=***" in message
    assert len(message) <= 500
    skipped = lake.value("select count(*) from meta.node_results where status = 'skipped'")
    assert skipped == sum(status == "skipped" for status in failed.statuses.values()) > 0


def test_a_test_that_ends_otherwise_than_before_is_recorded(shop: Shop) -> None:
    """Also where nothing was built: else the last that is known of a mended test is its failure."""
    lake = shop.lake

    def recorded() -> list[tuple[str]]:
        return lake.query(
            "select status from meta.node_results where node like '%.nothing_is_returned'"
            " order by finished_at"
        )

    def tested(status: str) -> None:
        lake.change(f"update main.int_orders set status = '{status}' where order_id = 1")
        assert lake.build("--select", "nothing_is_returned", command="test").code == 0

    tested("placed")
    before = recorded()
    assert before[-1:] == [("pass",)]
    tested("returned")
    assert recorded() == [*before, ("warn",)]
    tested("shipped")
    assert recorded() == [*before, ("warn",), ("pass",)]
    snapshot = lake.snapshot()
    assert lake.build("--select", "nothing_is_returned", command="test").code == 0
    assert lake.snapshot() == snapshot, "it ended as before"


def test_a_history_that_cannot_be_written(shop: Shop) -> None:
    """It fails the run with its own line, and hides nothing of what the run did."""
    lake = shop.lake
    with writing(lake) as connection:
        connection.execute("alter table lakehouse.meta.node_results rename column node to other")
    shop.deliver(2, "4,9,placed")
    build = lake.build_quickly()
    assert build.code == 1
    assert "on-run-end.2 failed" in build.output
    assert len(nodes(build)) == 8
    assert set(nodes(build).values()) == {"success"}
    shop.assert_whole()
    assert not list(Path(lake.data, "meta").rglob("*.parquet"))
