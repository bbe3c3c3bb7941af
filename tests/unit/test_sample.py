"""The sample landing zone: the same on every run, and awkward as promised."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sample import Delivery, LandingError, generate

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_landing.py"
# One order each that never lands and of which only the deletion does.
NEVER_LANDED, ONLY_TOMBSTONE = (5010584895677 + 32768 * number for number in (7, 100))


def make(out: Path, orders: int = 800, days: int = 12, **options: bool) -> Delivery:
    return generate(out, orders=orders, days=days, seed=5, start=date(2025, 1, 1), **options)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    return make(tmp_path_factory.mktemp("sample") / "raw", bad_files=True)


@pytest.fixture(scope="module")
def lake(delivery: Delivery) -> Iterator[duckdb.DuckDBPyConnection]:
    """All records of the files whose types are the usual ones, one view a stream."""
    with duckdb.connect() as connection:
        for stream in {file.stream for file in delivery.files if file.source != "jaffle_shop"}:
            paths = [
                str(delivery.out / file.path)
                for file in delivery.files
                if file.stream == stream and file.rows and is_usual(delivery.out / file.path)
            ]
            connection.execute(
                f"create view {stream} as select * from"
                f" read_parquet({paths}, union_by_name = true, hive_partitioning = false)"
            )
        yield connection


def is_usual(path: Path) -> bool:
    if ".parquet" not in path.name:
        return False
    odd = {"order_number": pa.string(), "total_weight": pa.float64(), "client_details": pa.string()}
    odd["total_shipping_price_set"] = pa.string()
    return not any(odd.get(field.name) == field.type for field in pq.read_schema(path))


def contents(landing: Path) -> dict[str, tuple[str, float]]:
    return {
        str(path.relative_to(landing)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime,
        )
        for path in landing.rglob("*")
        if path.is_file()
    }


def test_same_arguments_give_the_same_files(delivery: Delivery, tmp_path: Path) -> None:
    again = make(tmp_path / "again", bad_files=True)
    assert contents(again.out) == contents(delivery.out)
    assert again.files == delivery.files
    found = {file.path: file.arrived_at.timestamp() for file in delivery.files}
    assert found == {path: modified for path, (_, modified) in contents(delivery.out).items()}
    arrivals = [file.arrived_at for file in delivery.files]
    assert arrivals == sorted(arrivals)


@pytest.mark.parametrize("days", [7, 12])
def test_awkward_files(days: int, tmp_path: Path) -> None:
    """A week has each of them: odd names, late and retried files, odd types, growing schemas."""
    files = make(tmp_path / "raw", 150, days, bad_files=True).files
    names = {Path(file.path).name for file in files}
    assert {"part_9.parquet", "part_10.parquet", "part_0.parquet-1", "orders_2.csv.gz"} <= names
    [marked, *_] = (tmp_path / "raw/jaffle_shop").rglob("orders_1.csv")
    assert marked.read_bytes().startswith(b"\xef\xbb\xbf")
    started = [file.path.partition("year=")[2][:25] for file in files if file.source == "shopify"]
    assert started != sorted(started), "no file is late"
    orders = [
        pq.read_schema(tmp_path / "raw" / file.path)
        for file in files
        if file.path.startswith("shopify/orders") and file.rows
    ]
    assert {"po_number" in schema.names for schema in orders} == {True, False}
    lines = [schema.field("line_items").type.value_type for schema in orders]
    assert {line.get_field_index("pre_tax_price") < 0 for line in lines} == {True, False}
    for column, usual in (("order_number", pa.int64()), ("total_weight", pa.int64())):
        assert len({schema.field(column).type for schema in orders} - {usual}) == 1
    for column in ("client_details", "total_shipping_price_set"):
        assert pa.string() in {schema.field(column).type for schema in orders}
    assert orders[0].field("_airbyte_extracted_at").type == pa.timestamp("ms", "UTC")


@pytest.mark.parametrize(
    "rows",
    [
        # Versions: repeated, with another raw id, and old ones in a later sync than newer ones.
        "orders group by _airbyte_raw_id having count(*) > 1",
        "orders group by id, updated_at, _airbyte_extracted_at"
        " having count(distinct _airbyte_raw_id) > 1",
        "orders as old join orders as new using (id) where old.updated_at < new.updated_at"
        " and old._airbyte_meta.sync_id > new._airbyte_meta.sync_id",
        # Orders.
        "orders where deleted_at is not null and updated_at is null and created_at is null",
        f"orders where id = {ONLY_TOMBSTONE} and deleted_at is not null",
        "orders where customer is null",
        "orders where test",
        "orders where cancelled_at is not null",
        "orders where taxes_included and currency = 'EUR'",
        "orders where current_total_price > total_price",
        "orders where total_tip_received > 0",
        "orders where total_discounts > 0 and total_price = total_tip_received",
        "orders where shipping_lines[1].discount_allocations[1].amount::double > 0",
        "orders where len(line_items) = 6",
        "(select unnest(line_items) as line from orders)"
        " where line.total_discount > 0 and line.discount_allocations[1].amount is not null",
        "(select unnest(line_items) as line from orders) where line.gift_card",
        "(select unnest(line_items) as line from orders) where len(line.tax_lines) = 2",
        # Refunds.
        f"order_refunds where order_id = {NEVER_LANDED}",
        "order_refunds group by order_id having count(distinct id) = 3",
        "order_refunds where refund_line_items = [] and order_adjustments <> []",
        "order_refunds where transactions = []",
        *(
            f"(select unnest({items}, recursive := true) from order_refunds) where {condition}"
            for items, condition in (
                ("transactions", "status = 'failure'"),
                ("transactions", "status = 'pending'"),
                ("transactions", "kind = 'void'"),
                ("order_adjustments", "kind = 'shipping_refund' and tax_amount like '-%'"),
                ("order_adjustments", "kind = 'refund_discrepancy'"),
            )
        ),
        # Customers and e-mail.
        "customers where email is null",
        "profiles where attributes.email <> trim(attributes.email)",
        "profiles group by lower(trim(attributes.email)) having count(distinct id) > 1",
        "events join campaigns on contains(events.attributes.event_properties, campaigns.id)",
        "campaigns where attributes.message is null and relationships.campaign_messages.data <> []",
        "metrics where id = 'Mt0009' group by id having max(_airbyte_generation_id) < 3",
    ],
)
def test_awkward_records(lake: duckdb.DuckDBPyConnection, rows: str) -> None:
    assert lake.execute(f"select 1 from {rows} limit 1").fetchone()


def test_prices_add_up(lake: duckdb.DuckDBPyConnection) -> None:
    """In tax-inclusive shops too; and what is said to have landed only as its deletion did."""
    broken = f"""
        select * from orders where total_price is not null and abs(
            list_sum(list_transform(line_items, lambda line: line.price * line.quantity))
            - total_discounts + total_shipping_price_set.shop_money.amount + total_tip_received
            + if(taxes_included, 0, total_tax) - total_price
        ) > 0.01 and current_total_price = total_price
        union all by name
        select * from orders
        where id = {NEVER_LANDED} or id = {ONLY_TOMBSTONE} and created_at is not null
    """
    assert not lake.execute(broken).fetchall()


def test_command(tmp_path: Path) -> None:
    """It overwrites nothing but a landing zone, and that only when it is told to."""
    out = tmp_path / "raw"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--out", str(out), "--orders", "100", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--days", "6").returncode == 2
    written = run("--days", "7")
    assert written.returncode == 0 and "shopify/orders" in written.stdout, written.stderr
    refused = run("--days", "7")
    assert refused.returncode == 2 and "not empty" in refused.stderr
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(LandingError, match="more than a landing zone"):
        make(out, force=True)
    (out / "thesis.txt").unlink()
    assert run("--days", "7", "--force").returncode == 0
    assert list(tmp_path.iterdir()) == [out]
