"""The sample landing zone: the same on every run, consistent as a shop, awkward as promised."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.sample import Delivery, LandingError, add_bad_files, generate
from lotus_lake.sample.shop import EVERY

ORDERS, DAYS, SEED, START = 800, 12, 5, date(2025, 1, 1)
SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_landing.py"
FIRST_ORDER_ID, ORDER_ID_STEP = 5_010_584_895_677, 32_768


def make(out: Path, **changes: object) -> Delivery:
    """Generate the landing zone of these tests, with some arguments changed."""
    arguments: dict[str, object] = {"orders": ORDERS, "days": DAYS, "seed": SEED, "start": START}
    return generate(out, **{**arguments, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    return make(tmp_path_factory.mktemp("sample") / "raw")


@pytest.fixture(scope="module")
def lake(delivery: Delivery) -> Iterator[duckdb.DuckDBPyConnection]:
    """All records, one view a stream; files with a JSON string for a struct are left out."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for stream in {file.stream for file in delivery.files if file.source != "jaffle_shop"}:
        paths = [
            str(delivery.out / file.path)
            for file in delivery.files
            if file.stream == stream
            and file.source != "jaffle_shop"
            and not any(case.startswith(("struct_as_json", "number_as")) for case in file.cases)
        ]
        connection.execute(
            f"create view {stream} as select * from"
            f" read_parquet({paths}, union_by_name := true, hive_partitioning := false)"
        )
    # Newest versions of the orders that have no file with an odd type among theirs.
    connection.execute("""
        create view newest_orders as
        select *, (id - 5010584895677) // 32768 as order_no
        from orders
        where total_price is not null
        qualify row_number() over (
            partition by id order by updated_at desc nulls last, _airbyte_extracted_at desc
        ) = 1
    """)
    yield connection
    connection.close()


def value(lake: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the one number that a query gives."""
    row = lake.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def fingerprints(landing: Path) -> dict[str, tuple[str, int]]:
    """Return the content hash and modification time of every file."""
    return {
        str(path.relative_to(landing)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in landing.rglob("*")
        if path.is_file()
    }


def test_same_arguments_give_the_same_bytes(delivery: Delivery, tmp_path: Path) -> None:
    again = make(tmp_path / "again")
    assert fingerprints(again.out) == fingerprints(delivery.out)
    assert again.files == delivery.files


def test_delivery_lists_what_lies_there(delivery: Delivery) -> None:
    on_disk = fingerprints(delivery.out)
    assert {file.path for file in delivery.files} == set(on_disk)
    for file in delivery.files:
        path = delivery.out / file.path
        assert path.stat().st_size == file.bytes
        assert path.stat().st_mtime == file.arrived_at.timestamp()
        if "parquet" in path.name:
            assert pq.read_metadata(path).num_rows == file.rows > 0
    arrivals = [file.arrived_at for file in delivery.files]
    assert arrivals == sorted(arrivals)
    assert len({file.stream for file in delivery.files if file.source != "jaffle_shop"}) == 9


def test_airbyte_columns_have_airbytes_types(delivery: Delivery) -> None:
    for file in delivery.files:
        if file.source == "jaffle_shop":
            continue
        schema = pq.read_schema(delivery.out / file.path)
        assert schema.field("_airbyte_extracted_at").type == pa.timestamp("ms", "UTC")
        assert schema.field("_airbyte_generation_id").type == pa.int64()
        assert schema.field("_airbyte_meta").type.field("sync_id").type == pa.int64()
        assert "file_no" not in schema.names


@pytest.mark.parametrize(
    "case",
    [
        "late",
        "part_name",
        "name_clash",
        "retry",
        "number_as_string",
        "number_as_double",
        "struct_as_json:client_details",
        "struct_as_json:total_shipping_price_set",
        "byte_order_mark",
        "gzip",
    ],
)
def test_every_awkward_case_is_there(delivery: Delivery, case: str) -> None:
    assert delivery.with_case(case)


def test_shortest_history_has_the_awkward_cases_too(delivery: Delivery, tmp_path: Path) -> None:
    short = make(tmp_path / "short", orders=150, days=7, seed=SEED + 1)
    cases = {case for file in short.files for case in file.cases}
    assert cases == {case for file in delivery.files for case in file.cases}
    names = {Path(file.path).name for file in short.files}
    assert {"part_9.parquet", "part_10.parquet", "part_0.parquet-1"} <= names


def test_late_files_lie_in_an_old_folder(delivery: Delivery) -> None:
    def day(path: str) -> str:
        return path[path.index("year=") : path.rindex("/")]

    for file in delivery.with_case("late"):
        earlier = [other.path for other in delivery.files if other.arrived_at < file.arrived_at]
        assert any(day(path) > day(file.path) for path in earlier)


def test_schema_grows_at_the_root_and_inside(delivery: Delivery) -> None:
    orders = [
        pq.read_schema(delivery.out / file.path)
        for file in delivery.files
        if file.stream == "orders" and file.source == "shopify"
    ]
    with_column = {"po_number" in schema.names for schema in orders}
    with_nested = {
        schema.field("line_items").type.value_type.get_field_index("pre_tax_price") >= 0
        for schema in orders
    }
    assert with_column == with_nested == {True, False}


def test_prices_add_up_except_after_an_edit(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("""
        create or replace temp view broken as
        with sums as (
            select
                *,
                list_sum(list_transform(line_items, lambda line: line.price * line.quantity))
                    as line_total,
                coalesce(list_sum(flatten(list_transform(
                    line_items, lambda line: list_transform(line.tax_lines, lambda tax: tax.price)
                ))), 0) as line_tax,
            from newest_orders
        )
        select order_no
        from sums
        where abs(
            line_total - if(taxes_included, line_tax, 0)
            - total_discounts
            + total_shipping_price_set.shop_money.amount
            - if(taxes_included, total_tax - line_tax, 0)
            + total_tax
            + total_tip_received
            - total_price
        ) > 0.01
    """)
    modulo, remainder = EVERY["edited"]
    assert value(lake, "select count(*) from broken") > 0
    assert value(lake, f"select count(*) from broken where order_no % {modulo} <> {remainder}") == 0


def test_baskets_discounts_and_taxes_vary(lake: duckdb.DuckDBPyConnection) -> None:
    row = lake.execute("""
        select
            avg(len(line_items)),
            count(distinct currency),
            count(distinct taxes_included),
            count(*) filter (customer is null),
            count(*) filter (total_tip_received > 0),
            count(*) filter (total_discounts > 0),
            count(*) filter (presentment_currency <> currency),
            count(*) filter (list_bool_or(list_transform(line_items, lambda line: line.gift_card))),
            max(len(line_items)),
            count(*) filter (test),
            count(*) filter (cancelled_at is not null)
        from newest_orders
    """).fetchone()
    assert row is not None
    assert 2.7 < row[0] < 3.3
    assert row[1] >= 3 and row[2] == 2 and row[8] == 6
    assert all(count > 0 for count in row[3:])


def test_customers_come_back(lake: duckdb.DuckDBPyConnection) -> None:
    most = value(
        lake,
        "select max(orders) from (select count(*) as orders from newest_orders"
        " where customer is not null group by customer.id)",
    )
    assert most >= 5
    # A customer's record never claims to be younger than their order.
    assert not value(
        lake,
        "select count(*) from newest_orders inner join customers on customer.id = customers.id"
        " where customers.created_at > newest_orders.created_at",
    )


def test_versions_repeat_and_arrive_out_of_order(lake: duckdb.DuckDBPyConnection) -> None:
    same = "select count(*) - count(distinct {}) from orders"
    assert value(lake, same.format("_airbyte_raw_id")) > 0
    # The same version, extracted at the same time, under another raw id.
    assert value(
        lake,
        "select count(*) from (select id from orders group by id, updated_at,"
        " _airbyte_extracted_at having count(distinct _airbyte_raw_id) > 1)",
    )
    # An old version in a later sync than a newer one.
    assert value(
        lake,
        "select count(*) from orders as old inner join orders as new using (id)"
        " where old.updated_at < new.updated_at"
        " and old._airbyte_meta.sync_id > new._airbyte_meta.sync_id",
    )


def test_tombstones_have_little_but_an_id(lake: duckdb.DuckDBPyConnection) -> None:
    tombstones = "from orders where deleted_at is not null"
    assert value(lake, f"select count(*) {tombstones} and updated_at is null") > 0
    assert value(lake, f"select count(*) {tombstones} and updated_at = deleted_at") > 0
    assert not value(lake, f"select count(*) {tombstones} and total_price is not null")
    _, remainder = EVERY["only_tombstone"]
    lost = FIRST_ORDER_ID + remainder * ORDER_ID_STEP
    assert value(lake, f"select count(*) {tombstones} and id = {lost}") > 0
    assert not value(lake, f"select count(*) from orders where id = {lost} and name is not null")


def test_refunds_are_of_every_kind(lake: duckdb.DuckDBPyConnection) -> None:
    for condition in (
        "len(transactions) = 0",
        "len(transactions) > 1",
        "len(refund_line_items) = 0",
        "list_contains(list_transform(transactions, lambda item: item.status), 'failure')",
        "list_contains(list_transform(transactions, lambda item: item.kind), 'void')",
        "list_contains(list_transform(transactions, lambda item: item.kind), 'sale')",
        "list_contains(list_transform(order_adjustments, lambda item: item.kind),"
        " 'shipping_refund')",
        "list_contains(list_transform(order_adjustments, lambda item: item.kind),"
        " 'refund_discrepancy')",
        "order_adjustments[1].amount like '-%'",
    ):
        assert value(lake, f"select count(*) from order_refunds where {condition}") > 0, condition
    assert value(
        lake,
        "select count(*) from (select order_id from order_refunds"
        " group by order_id having count(distinct id) > 1)",
    )
    never_landed = FIRST_ORDER_ID + EVERY["never_landed"][1] * ORDER_ID_STEP
    assert value(lake, f"select count(*) from order_refunds where order_id = {never_landed}") > 0
    assert not value(lake, f"select count(*) from orders where id = {never_landed}")


def test_full_refund_cancels_the_sale(lake: duckdb.DuckDBPyConnection) -> None:
    """Lines and taxes given back are those sold, to the cent, in both kinds of shop."""
    differing = """
        with full_refunds as (
            select
                order_id,
                list_sum(list_transform(
                    refund_line_items, lambda line: line.subtotal + line.total_tax
                )) as given_back,
            from order_refunds
            where len(refund_line_items) > 1
            qualify row_number() over (partition by id order by _airbyte_raw_id) = 1
        )
        select count({})
        from full_refunds
        inner join newest_orders on order_id = newest_orders.id
        where financial_status = 'refunded' and not taxes_included
    """
    assert value(lake, differing.format("*")) > 0
    too_much = differing + " and given_back > subtotal_price + total_tax + 0.005"
    assert value(lake, too_much.format("*")) == 0


def test_e_mail_addresses_need_cleaning_to_match(lake: duckdb.DuckDBPyConnection) -> None:
    joined = (
        "select count(distinct customers.id) from customers inner join profiles"
        " on {0}(customers.email) = {0}(profiles.attributes.email)"
    )
    assert value(lake, joined.format("")) < value(lake, joined.format("lower"))
    assert value(
        lake, "select count(*) from profiles where attributes.email <> trim(attributes.email)"
    )
    assert value(
        lake,
        "select count(*) from (select 1 from profiles group by lower(trim(attributes.email))"
        " having count(distinct id) > 1)",
    )


def test_campaigns_lead_to_orders(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("""
        create or replace temp view facts as
        select
            relationships.profile.data.id as profile_id,
            metrics.attributes.name as metric,
            datetime,
            events.attributes.event_properties::json ->> '$."$message"' as message,
            events.attributes.event_properties::json ->> '$."$value"' as amount,
        from events
        inner join metrics on relationships.metric.data.id = metrics.id
    """)
    messages = """
        select coalesce(attributes.message, relationships.campaign_messages.data[1].id)
        from campaigns
    """
    for metric in ("Received Email", "Opened Email", "Clicked Email"):
        sent = f"select count(*) from facts where metric = '{metric}' and message in"
        assert value(lake, f"{sent} ({messages})") > 0
    assert value(lake, "select count(*) from facts where message in (select id from campaigns)")
    assert value(
        lake,
        "select count(*) from facts as placed inner join facts as seen using (profile_id)"
        " where placed.metric = 'Placed Order' and seen.metric in ('Opened Email', 'Clicked Email')"
        " and seen.datetime between placed.datetime - interval 120 hours and placed.datetime"
        " and placed.amount::double > 0",
    )


def test_metrics_show_only_the_newest_generation(delivery: Delivery, tmp_path: Path) -> None:
    query = (
        "select distinct _airbyte_generation_id as generation, attributes.name"
        " from read_parquet('{}/klaviyo/metrics/**/*.parquet*')"
    )
    newest = duckdb.sql(query.format(delivery.out)).fetchall()
    assert len({generation for generation, _ in newest}) == 1
    names = {name for _, name in newest}
    assert "Viewed Product" not in names and "Bounced Email" in names

    kept = make(tmp_path / "kept", orders=100, days=7, keep_generations=True)
    everything = duckdb.sql(query.format(kept.out)).fetchall()
    assert len({generation for generation, _ in everything}) > 3
    assert "Viewed Product" in {name for _, name in everything}
    old = kept.with_case("superseded_generation")
    assert old and all(file.removed_at and file.removed_at > file.arrived_at for file in old)


def test_jaffle_shop_is_plain_csv(delivery: Delivery) -> None:
    counts = {}
    for stream in ("customers", "orders", "payments"):
        paths = [str(path) for path in delivery.out.glob(f"jaffle_shop/{stream}/**/*.csv*")]
        rows = duckdb.read_csv(
            paths,  # type: ignore[arg-type]
            header=True,
            # Left to itself, DuckDB takes one of the files for unquoted.
            quotechar='"',
            escapechar='"',
        )
        counts[stream] = duckdb.sql("select count(distinct id), count(*) from rows").fetchone()
        assert rows.columns[0] == "id"
    for unique, all_rows in (count for count in counts.values() if count):
        assert 10 <= unique < all_rows


def test_bad_files(delivery: Delivery, tmp_path: Path) -> None:
    shutil.copytree(delivery.out, tmp_path / "bad")
    bad = Delivery(tmp_path / "bad", add_bad_files(tmp_path / "bad", delivery.files))
    [truncated] = bad.with_case("bad_truncated")
    [empty] = bad.with_case("bad_empty")
    [no_rows] = bad.with_case("bad_no_rows")
    [lossy] = bad.with_case("bad_lossy")
    [garbage] = bad.with_case("bad_garbage")
    [overwritten] = bad.with_case("overwritten")
    for file in (truncated, garbage):
        with pytest.raises(pa.ArrowInvalid):
            pq.read_metadata(bad.out / file.path)
    assert (bad.out / empty.path).stat().st_size == 0
    assert pq.read_metadata(bad.out / no_rows.path).num_rows == 0
    assert pq.read_schema(bad.out / lossy.path).field("total_price").type == pa.string()
    before, after = fingerprints(delivery.out), fingerprints(bad.out)
    assert overwritten.path in before
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {overwritten.path}
    assert {file.path for file in bad.files} == set(after)
    assert bad.files[-1] == overwritten


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": 6}, "days must be"),
        ({"orders": 0}, "orders must be"),
        ({"orders": 9}, "one a day"),
    ],
)
def test_impossible_sizes_are_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(LandingError, match=message):
        make(tmp_path / "none", **changes)
    assert not list(tmp_path.iterdir())


def test_only_a_landing_zone_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    (out / "shopify").mkdir(parents=True)
    with pytest.raises(LandingError, match="not empty"):
        make(out)
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(LandingError, match="more than a landing zone"):
        make(out, force=True)
    assert (out / "thesis.txt").read_text() == "precious"
    (out / "thesis.txt").unlink()
    make(out, orders=100, days=7, force=True)
    assert list(tmp_path.iterdir()) == [out]


def test_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "raw"), "--days", "7"]
    written = subprocess.run(
        [*command, "--orders", "100", "--bad-files"], capture_output=True, text=True, check=False
    )
    assert written.returncode == 0, written.stderr
    assert "shopify/orders" in written.stdout and "bad_truncated" in written.stdout
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1 and "not empty" in refused.stderr
