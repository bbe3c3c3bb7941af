"""What Airbyte does to a stream besides syncing it: clear, refresh, a new generation.

The steps are those of docs/airbyte.md. What Airbyte would send is made from what it sent: the
newest version of each record, under new ids, in files of the same shape.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system.lake import Build, Lake, differences
from tests.system.test_recipes import Copy

pytestmark = pytest.mark.slow

AGREE = "Landing, ledger, files and staging agree."


def operation(lake: Lake, name: str, **arguments: Any) -> Build:
    """An operation of the document."""
    return lake.build(name, "--args", json.dumps(arguments), command="run-operation")


def clear(lake: Lake, stream: str) -> list[str]:
    """Airbyte deletes what it wrote of the stream; returns what that was."""
    files = sorted(path for path in (lake.landing / stream).rglob("*") if path.is_file())
    for path in files:
        path.unlink()
    return [str(path.relative_to(lake.landing)) for path in files]


def sync_from_nothing(
    lake: Lake,
    stream: str,
    paths: list[str],
    *,
    generation: int,
    of_the_source: str,
    change: str = "",
) -> None:
    """Airbyte reads all of the stream once more, into these files.

    Args:
        stream: Source and name, as in ``shopify/orders``.
        generation: What the records say of it.
        of_the_source: SQL condition of the records that the source has now.
        change: How it has changed them: SQL of a ``replace`` list.
    """
    table = f"staging.stg_{stream.replace('/', '__')}"
    cursor = {"shopify/orders": "updated_at", "klaviyo/metrics": "updated"}[stream]
    with lake.connection() as connection:
        connection.execute(
            f"""
            create temp table temp.main.sent as
            select * exclude (_source_file, _source_row, _cursor_version) replace (
                uuid()::varchar as _airbyte_raw_id,
                timestamptz '2025-03-01 06:00:00+00' as _airbyte_extracted_at,
                {generation}::bigint as _airbyte_generation_id,
                {{'sync_id': 9000 + {generation}::bigint, 'changes': []::
                    struct(field varchar, change varchar, reason varchar)[]}} as _airbyte_meta
                {change}
            )
            from {table}
            where {of_the_source}
            qualify row_number() over (
                partition by id order by _airbyte_generation_id desc, {cursor} desc nulls last,
                    _airbyte_extracted_at desc, _source_file, _source_row
            ) = 1
            """
        )
        for number, path in enumerate(paths):
            file = lake.landing / path
            file.parent.mkdir(parents=True, exist_ok=True)
            arriving = file.with_name(".arriving")
            connection.execute(
                f"copy (from temp.main.sent where hash(id) % {len(paths)} = {number})"
                f" to '{arriving}' (format parquet, compression zstd)"
            )
            arriving.replace(file)


# The orders that the source still has: of what was deleted it has nothing to send.
ORDERS = (
    "created_at is not null"
    " and id not in (select order_id from int_shopify__orders where is_deleted)"
)


def is_proven(lake: Lake) -> None:
    """What the document says to look at afterwards."""
    reconciled = operation(lake, "reconcile")
    assert AGREE in reconciled.output, reconciled
    assert not lake.wrong_counts()
    assert not lake.backlog()


def test_a_clear_and_a_refresh_into_the_same_keys(reference_copy: Lake) -> None:
    """The lake keeps what it fed while the landing zone is empty. Then all records come once more,
    under keys that had other content: they change what the source has changed, and no more, and a
    record that the source has lost stays."""
    lake = reference_copy
    before, snapshot = lake.tables(), lake.snapshot()
    rows = lake.value("select count(*) from staging.stg_shopify__orders")
    fed = set(lake.loaded())

    cleared = clear(lake, "shopify/orders")
    assert lake.build_quickly().ok
    changes = f"from ducklake_snapshots('lakehouse') where snapshot_id > {snapshot}"
    assert lake.query(f"select commit_message {changes} order by snapshot_id") == [
        ("removed from quarantine of shopify.orders: 2 files",),
        ("run history",),
    ]
    assert not differences(lake.tables(), before)
    assert AGREE in operation(lake, "reconcile").output

    reused = [path for path in cleared if path in fed and path.endswith(".parquet")][-3:]
    changed, lost = lake.query(
        "select min(order_id), max(order_id) from int_shopify__orders"
        " where not is_deleted and email is not null"
    )[0]
    sync_from_nothing(
        lake,
        "shopify/orders",
        reused,
        generation=1,
        of_the_source=f"{ORDERS} and id <> {lost}",
        change=f""",
            if(id = {changed}, 'new@example.com', email) as email,
            if(id = {changed}, timestamptz '2025-02-28 12:00:00+00', updated_at) as updated_at""",
    )
    build = lake.build_quickly()
    assert build.ok, build
    is_proven(lake)
    assert lake.query(
        "select count(*) from meta.feeder_files where generation_id = 1 and stream = 'orders'"
    ) == [(3,)]
    assert lake.value("select count(*) from staging.stg_shopify__orders") > rows + 100

    after = lake.tables()
    same = before.keys() - {"int_shopify__orders", "dim_customers"}
    assert not differences(
        {name: after[name] for name in same}, {name: before[name] for name in same}
    )
    place = before["int_shopify__orders"].columns.index("email")
    key = before["int_shopify__orders"].columns.index("order_id")
    emails, were = (
        {row[key]: row[place] for row in tables["int_shopify__orders"].rows}
        for tables in (after, before)
    )
    assert emails == were | {changed: "new@example.com"}


def test_a_new_generation_of_an_overwritten_stream(reference_copy: Lake) -> None:
    """Of a stream that is sent whole, the generation before stays the truth, through a clear, until
    all of the new one has been fed; then what it lacks is gone."""
    lake = reference_copy
    names = "select metric_id from int_klaviyo__metrics order by 1"
    before = lake.query(names)
    generation = lake.value("select max(_airbyte_generation_id) from staging.stg_klaviyo__metrics")
    clear(lake, "klaviyo/metrics")
    assert lake.build_quickly().ok
    assert lake.query(names) == before

    day = "klaviyo/metrics/year=2025/month=03/day=01"
    (gone,) = before[-1]
    sync_from_nothing(
        lake,
        "klaviyo/metrics",
        [f"{day}/part_0.parquet", f"{day}/part_1.parquet"],
        generation=generation + 1,
        of_the_source=f"_airbyte_generation_id = {generation} and id <> '{gone}'",
    )
    one_by_one = {"feed_max_files": 1}
    assert lake.build_quickly(variables=one_by_one).ok
    assert lake.backlog() == {"klaviyo.metrics": 1}
    assert lake.query(names) == before
    assert lake.build_quickly(variables=one_by_one).ok
    is_proven(lake)
    assert lake.query(names) == before[:-1]


def test_a_model_that_reads_what_is_not_declared_is_refused(lake: Lake, tmp_path: Path) -> None:
    """By `make lint`: a column, and a field of an object inside a lambda."""
    copy = Copy(tmp_path / "project", lake)
    reads = {
        "int_shopify__customers": ("        tags,", "        phone as tags,", '"phone"'),
        "int_shopify__order_refunds": ("adjustment.kind", "adjustment.why", '"why"'),
    }
    for name, (declared, undeclared, _) in reads.items():
        model = copy.project / f"models/processed/shopify/{name}.sql"
        model.write_text(model.read_text().replace(declared, undeclared, 1))
    printed = copy.run("make airbyte-catalog CHECK=1  # has to fail")
    for name, (_, _, field) in reads.items():
        _, _, told = printed.partition(f"Runtime Error in model {name} ")
        assert field in told.partition("Runtime Error in model")[0]
    assert "Declare what they read in their source's YAML" in printed
