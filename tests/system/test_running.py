"""Runs one after the other and at the same time: nothing new, two at once, other code, undo."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sample import Delivery
from tests.oracle import compute
from tests.system.conftest import Reference
from tests.system.lake import Build, Lake, differences

LANDING_ONLY = ("--select", "lotus_lake.landing")


def test_nothing_new_writes_nothing(reference_copy: Lake) -> None:
    """A run with nothing new passes all tests and writes no snapshot and no file; nor is it
    recorded, not even for a warning that still stands."""
    before = reference_copy.snapshot(), _files(reference_copy.data)
    runs = reference_copy.query("from meta.invocations")
    build = reference_copy.build()
    assert build.ok, build
    assert (reference_copy.snapshot(), _files(reference_copy.data)) == before
    assert reference_copy.query("from meta.invocations") == runs


def test_a_repeated_delivery_stops_where_nothing_changes(
    reference_copy: Lake, sample: Delivery
) -> None:
    """A file that comes again is fed, but tables whose rows stay the same are not written."""
    file = next(file for file in sample.files if file.stream == "profiles")
    before = {name: table.rows for name, table in reference_copy.everything("main").items()}
    written = _data_files(reference_copy)
    path = reference_copy.landing / file.path
    path.write_bytes(path.read_bytes())
    build = reference_copy.build_quickly()
    assert build.ok, build
    assert reference_copy.value(
        f"select count(*) from meta.feeder_files where path = '{file.path}'"
    ) == reference_copy.value(
        f"select count(distinct etag) from meta.feeder_files where path = '{file.path}'"
    )
    after = {name: table.rows for name, table in reference_copy.everything("main").items()}
    assert {name: sorted(map(repr, rows)) for name, rows in after.items()} == {
        name: sorted(map(repr, rows)) for name, rows in before.items()
    }
    assert _data_files(reference_copy) == written


def test_tables_lie_in_the_order_of_their_keys(reference_copy: Lake) -> None:
    """Those that have a key, when they are created; DuckLake keeps to it in later builds."""
    catalog = "__ducklake_metadata_lakehouse"
    sorted_by = dict(
        reference_copy.query(
            f"select table_name, expression from {catalog}.ducklake_sort_info as sorts"
            f" join {catalog}.ducklake_sort_expression using (sort_id, table_id)"
            f" join {catalog}.ducklake_table as tables using (table_id)"
            " where sorts.end_snapshot is null and tables.end_snapshot is null"
        )
    )
    assert sorted_by["fct_sales"] == "order_id"
    assert sorted_by["int_shopify__customers"] == "customer_id"
    assert not [table for table in sorted_by if not table.startswith(("int_", "fct_", "dim_"))]
    for table, key in sorted_by.items():
        before_the_last = reference_copy.value(
            f"select count(*) from (select {key} < lag({key}) over (order by rowid) as is_before"
            f" from main.{table}) where is_before"
        )
        assert before_the_last == 0, table


def test_full_refresh_changes_nothing(reference_copy: Lake, reference: Reference) -> None:
    """--full-refresh never drops staging, not even when landing was cleared since."""
    for path in reference_copy.landing.rglob("*"):
        if path.is_file():
            path.unlink()
    build = reference_copy.build_quickly("--full-refresh")
    assert build.ok, build
    assert not reference_copy.wrong_counts()
    assert not differences(reference_copy.everything("main"), reference.everything)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_feeders_at_once(
    kind: str,
    new_lake: Callable[..., Lake],
    request: pytest.FixtureRequest,
    sample: Delivery,
    reference: Reference,
) -> None:
    """Two runs of one lake at the same moment never double a row; a loser fails with one line.

    First both find no lake at all, then one with half of the files; what they leave undone the
    next run does.
    """
    lake: Lake = new_lake() if kind == "sqlite" else request.getfixturevalue("postgres_lake")()
    half = len(sample.files) // 2
    lake.deliver((file.path for file in sample.files[:half]), sample.out)
    builds = _both(lake, *LANDING_ONLY)
    assert not lake.wrong_counts()
    lake.deliver((file.path for file in sample.files[half:]), sample.out)
    builds += _both(lake)
    assert not lake.wrong_counts()
    lake.drain()
    assert not lake.wrong_counts()
    assert not differences(lake.everything("main"), reference.everything)
    for build in builds:
        assert build.code in (0, 1, 2), build
        assert "Traceback" not in build.output, build


def _both(lake: Lake, *arguments: str) -> list[Build]:
    without_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
    running = [lake.start("build", *arguments, *without_tests) for _ in range(2)]
    return [one.wait() for one in running]


@pytest.mark.slow
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


def test_reconcile_says_what_is_wrong(reference_copy: Lake) -> None:
    """Clean on a good lake; on one with a row too few it fails and names the file."""
    clean = reference_copy.build("reconcile", command="run-operation")
    assert clean.code == 0, clean
    file = reference_copy.loaded()[-1]
    reference_copy.change(
        f"delete from staging.stg_{_table(file)} where _source_file = '{file}' and _source_row = 0",
    )
    reference_copy.change("insert into staging.stg_klaviyo__flows by name select 'x' as id")
    (reference_copy.landing / file).with_name("waiting.parquet").write_bytes(b"x")
    found = reference_copy.build("reconcile", command="run-operation")
    assert found.code != 0
    assert file in found.output
    assert "waiting.parquet" in found.output
    assert "staging has 1 rows that say of no file" in found.output
    assert "Traceback" not in found.output


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        ("reconcile", {"stream": "nope"}, "There is no stream '.nope'"),
        ("reconcile", {"source": "x'; drop table t"}, "There is no stream"),
        ("undo_delivery", {"day": "2025-01-%"}, "has to be YYYY-MM-DD"),
        ("undo_delivery", {"day": "2025-01-15' or true or '"}, "has to be YYYY-MM-DD"),
        ("undo_delivery", {"day": "2025-1-15"}, "has to be YYYY-MM-DD"),
        ("replay_delivery", {"cursor_version": True}, "has to be a whole number"),
        ("release_quarantine", {"cursor_version": "1 or true"}, "has to be a whole number"),
        ("undo_delivery", {"path": ["a"]}, "path is '['a']'; it has to be text"),
        ("undo_delivery", {"path": "a'b \" \n"}, "The ledger has no loaded file"),
        ("undo_delivery", {"day": "2025-01-15", "dry_run": "false"}, "has to be true or false"),
        ("reconcile", {"read_files": "no"}, "has to be true or false"),
        ("maintain", {"dry_run": "true) from x; --"}, "has to be true or false"),
        *(
            ("remove_orphans", {"days": days}, "has to be a whole number of days, 0 or more")
            for days in (-1, 1.5, "7) or (true")
        ),
        *(
            ("branch_drop", {"older_than": days}, "has to be a whole number of days, 0 or more")
            for days in (-1, float("nan"), True)
        ),
        ("branch_drop", {"name": ["a"]}, "name is '['a']'; it has to be text"),
        ("branch", {"name": None}, "name is 'None'; it has to be text"),
    ],
)
def test_an_operation_that_means_something_else(
    reference_copy: Lake, operation: str, arguments: dict[str, Any], words: str
) -> None:
    """It says what is wrong with the argument, and touches nothing."""
    before = reference_copy.snapshot()
    if operation in ("undo_delivery", "replay_delivery", "release_quarantine"):
        arguments = {"source": "shopify", "stream": "orders", **arguments}
    build = _operation(reference_copy, operation, **arguments)
    assert build.code != 0, build
    assert words in build.output, build
    assert reference_copy.snapshot() == before


def test_what_leaves_the_quarantine(lake: Lake, sample: Delivery) -> None:
    """A file that is repaired, and one that is removed: nothing counts or warns of them again."""
    stream = ("--select", "stg_shopify__customers")
    good = next(file.path for file in sample.files if file.path.startswith("shopify/customers/"))
    lake.deliver([good], sample.out)
    content = (lake.landing / good).read_bytes()
    repaired, removed = (
        (lake.landing / good).with_name(name) for name in ("a.parquet", "b.parquet")
    )
    for file in (repaired, removed):
        file.write_bytes(content[: len(content) // 2])

    def quarantined() -> tuple[int, str]:
        assert lake.build_quickly(*stream).ok
        told = _operation(lake, "stream_status").output
        found = re.search(r"shopify\.customers: .* quarantined (\d+),", told)
        assert found, told
        tested = lake.build("--select", "quarantine_is_empty", command="test")
        (ended,) = (how for name, how in tested.statuses.items() if "quarantine_is" in name)
        return int(found[1]), ended

    assert quarantined() == (2, "warn")
    repaired.write_bytes(content)
    removed.unlink()
    assert quarantined() == (0, "pass")


def test_undo_and_replay(reference_copy: Lake, sample: Delivery, reference: Reference) -> None:
    """A day's delivery is undone as if it had never come, and replayed as if it had always been.

    A dry run changes nothing. Every table follows with the next build.
    """
    day = "2025-01-15"
    folder = "shopify/orders/year=2025/month=01/day=15/"
    stream = {"source": "shopify", "stream": "orders"}
    followers = ("--select", "stg_shopify__orders+")
    before = reference_copy.snapshot()
    dry = _operation(reference_copy, "undo_delivery", **stream, day=day, dry_run=True)
    assert dry.code == 0, dry
    assert reference_copy.snapshot() == before

    assert _operation(reference_copy, "undo_delivery", **stream, day=day).code == 0
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

    assert _operation(reference_copy, "release_quarantine", **stream, day=day).code == 0
    assert reference_copy.build_quickly(*followers).ok
    assert not differences(reference_copy.everything("main"), reference.everything)
    assert _operation(reference_copy, "replay_delivery", **stream, day=day).code == 0
    assert reference_copy.build_quickly(*followers).ok
    assert not reference_copy.wrong_counts()
    assert not differences(reference_copy.everything("main"), reference.everything)


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


def _operation(lake: Lake, name: str, /, **arguments: object) -> Build:
    return lake.build(name, "--args", json.dumps(arguments), command="run-operation")


def _table(path: str) -> str:
    return "__".join(path.split("/")[:2])


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


def _data_files(lake: Lake) -> set[str]:
    """Files of int_, fct_ and dim_ tables."""
    return {path for path in _files(lake.data) if "/main/" in path}
