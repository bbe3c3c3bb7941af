"""The oracle itself, on landing zones small enough to be worked out by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.oracle import SPECIFICATIONS, Table, compute, diff, skipped

Row = dict[str, Any]
Write = Callable[..., str]

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def at(**later: float) -> datetime:
    """Return a moment so much after noon of the first day."""
    return NOON + timedelta(**later)


def meta(raw_id: str = "r", sync_id: int | None = 1, **others: Any) -> Row:
    """Return the columns Airbyte adds to every record."""
    return {
        "_airbyte_raw_id": raw_id,
        "_airbyte_extracted_at": at(days=1),
        "_airbyte_generation_id": 0,
        "_airbyte_meta": {"sync_id": sync_id, "changes": []},
        **others,
    }


def order(order_id: int, **others: Any) -> Row:
    """Return an order of one line of 10.00 without tax, unless said otherwise."""
    row = {
        **meta(),
        "id": order_id,
        "name": f"#{order_id}",
        "created_at": NOON,
        "updated_at": NOON,
        "currency": "USD",
        "customer": {"id": 7},
        "test": False,
        "taxes_included": False,
        "total_discounts": 0.0,
        "total_tax": 0.0,
        "line_items": [line(1)],
    }
    return {**row, **others}


def line(line_id: int, price: Any = 10.0, quantity: Any = 1, tax: Any = None, **others: Any) -> Row:
    """Return an order line."""
    taxes = [] if tax is None else [{"price": tax}]
    found = {"id": line_id, "product_id": 5, "price": price, "quantity": quantity}
    return {**found, "title": "Candle", "vendor": "Wax", "tax_lines": taxes, **others}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that lands rows as Parquet and returns the relative path."""

    def land(stream: str, *rows: Row, name: str = "part_0.parquet", day: int = 1) -> str:
        path = f"{stream}/year=2024/month=03/day={day:02}/{name}"
        # from_pylist takes the columns of the first row only, hence the union.
        names = {column: None for row in rows for column in row}
        table = pa.Table.from_pylist([{**names, **row} for row in rows])
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / path)
        return path

    return land


def put(landing: Path, path: str, content: bytes) -> str:
    """Write a file as it is."""
    (landing / path).parent.mkdir(parents=True, exist_ok=True)
    (landing / path).write_bytes(content)
    return path


def rows(landing: Path, name: str, **options: Any) -> list[Row]:
    """Return a table's rows by column name."""
    return compute(landing, **options)[name].records()


def one(landing: Path, name: str, **options: Any) -> Row:
    """Return a table's only row."""
    (row,) = rows(landing, name, **options)
    return row


# --- the landing zone -------------------------------------------------------------------------


def test_nothing_landed_gives_every_table_empty(tmp_path: Path) -> None:
    tables = compute(tmp_path)
    assert tables.keys() == SPECIFICATIONS.keys()
    assert not any(table.rows for table in tables.values())


def test_format_is_told_by_content(tmp_path: Path, write: Write) -> None:
    day = "shopify/customers/year=2024/month=03/day=01"
    write("shopify/customers", {"id": 1, "email": "a"}, name="part_0.parquet-1")
    put(tmp_path, f"{day}/part_1.parquet", '\ufeffid,email\n2,"b, ""c""\nd"\n'.encode())
    put(tmp_path, f"{day}/x", gzip.compress(b"email,id\n,3\n", mtime=0))
    put(tmp_path, f"{day}/x.csv", b'{"id": "4", "email": "line\xe2\x80\xa8end"}\n\n')
    put(tmp_path, f"{day}/y", gzip.compress(b'{"id": 5}\n{"id": 6, "total_spent": "1.5"}', mtime=0))
    found = rows(tmp_path, "int_shopify__customers")
    assert [(row["customer_id"], row["email"]) for row in found] == [
        (1, "a"),
        (2, 'b, "c"\nd'),
        (3, None),
        (4, "line\u2028end"),
        (5, None),
        (6, None),
    ]
    assert found[5]["total_spent"] == Decimal("1.50")


def test_bad_files_are_skipped_with_a_reason(tmp_path: Path, write: Write) -> None:
    good = write("shopify/orders", order(1))
    whole = (tmp_path / good).read_bytes()
    bad = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "encrypted": b"PARE" + whole[4:],
        "noise": bytes(range(256)),
        "header_only.csv": b"id,name\n",
        "ragged.csv": b"id,name\n1\n",
        "cut.jsonl": b'{"id": 8}\n{"id": 9, "na',
        "cut.csv.gz": gzip.compress(b"id\n1\n", mtime=0)[:-4],
        "no_key.csv": b"name\na\n",
    }
    for name, content in bad.items():
        put(tmp_path, f"shopify/orders/year=2024/month=03/day=02/{name}", content)
    assert {path.rsplit("/", 1)[1] for path in skipped(tmp_path)} == bad.keys()
    assert all(skipped(tmp_path).values())
    assert one(tmp_path, "fct_sales")["order_id"] == 1


def test_only_the_files_asked_for_are_read(tmp_path: Path, write: Write) -> None:
    first = write("shopify/orders", order(1))
    write("shopify/orders", order(2), name="part_1.parquet")
    assert one(tmp_path, "fct_sales", files=[first, first])["order_id"] == 1


def test_struct_json_text_and_missing_columns_are_the_same(tmp_path: Path, write: Write) -> None:
    shipping = {"shop_money": {"amount": "4.50"}}
    as_struct = order(1, total_shipping_price_set=shipping, line_items=[line(1, price=2.5)])
    as_text = {
        **order(2, total_shipping_price_set=json.dumps(shipping), id="2"),
        "customer": json.dumps({"id": 7}),
        "line_items": json.dumps([line(2, price="2.50", quantity="1")]),
        "taxes_included": "false",
        "created_at": "2024-03-01T12:00:00Z",
    }
    write("shopify/orders", as_struct)
    write("shopify/orders", as_text, name="part_1.parquet")
    bare = {"id": 3, "created_at": NOON, "updated_at": NOON}
    write("shopify/orders", bare, name="part_2.parquet")
    first, second, third = rows(tmp_path, "int_shopify__orders")
    same = ("customer_id", "order_date", "taxes_included", "gross_sales", "shipping")
    assert [first[name] for name in same] == [second[name] for name in same]
    assert (first["gross_sales"], first["shipping"]) == (Decimal("2.50"), Decimal("4.50"))
    assert (third["gross_sales"], third["shipping"], third["discounts"]) == (0, 0, None)
    assert (third["is_test_order"], third["is_deleted"], third["currency"]) == (False, False, None)


def test_epoch_metadata_of_text_formats(tmp_path: Path) -> None:
    """Airbyte writes the extraction time of CSV and JSON lines as a number of milliseconds."""
    lines = [
        {"id": 1, "email": "new", "_airbyte_extracted_at": 1_709_400_000_000},
        {"id": 1, "email": "old", "_airbyte_extracted_at": "2024-03-01T12:00:00Z"},
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    put(tmp_path, "shopify/customers/year=2024/month=03/day=01/part_0.jsonl", content)
    assert one(tmp_path, "int_shopify__customers")["email"] == "new"


# --- the latest version -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        pytest.param(
            {"updated_at": at(hours=1), **meta("z", 9, _airbyte_generation_id=9)},
            {"updated_at": at(hours=2), **meta("a", 1)},
            id="source cursor before everything else",
        ),
        pytest.param(
            {**meta("z", 9, _airbyte_generation_id=9)},
            {**meta("a", 1, _airbyte_extracted_at=at(days=1, seconds=1))},
            id="then the extraction time",
        ),
        pytest.param(
            {**meta("z", 9)}, {**meta("a", 1, _airbyte_generation_id=1)}, id="then the generation"
        ),
        pytest.param({**meta("z", 9)}, {**meta("a", 10)}, id="then the sync, as a number"),
        pytest.param({**meta("a", 1)}, {**meta("b", 1)}, id="then the raw id"),
        pytest.param(
            {"updated_at": None, **meta("z", 9, _airbyte_extracted_at=at(days=9))},
            {"updated_at": datetime(1970, 1, 1, tzinfo=UTC)},
            id="a null cursor is lowest",
        ),
        pytest.param({**meta("z", None)}, {**meta("a", 0)}, id="a null sync is lowest"),
    ],
)
@pytest.mark.parametrize("winner_lands_first", [True, False])
def test_latest_version(
    tmp_path: Path, write: Write, loser: Row, winner: Row, winner_lands_first: bool
) -> None:
    versions = [{**order(1, name="old"), **loser}, {**order(1, name="new"), **winner}]
    if winner_lands_first:
        versions.reverse()
    for day, version in enumerate(versions, start=1):
        write("shopify/orders", version, day=day)
    assert one(tmp_path, "int_shopify__orders")["order_name"] == "new"


def test_lines_are_those_of_the_newest_version(tmp_path: Path, write: Write) -> None:
    write("shopify/orders", order(1, updated_at=at(hours=2), line_items=[line(2, quantity=0)]))
    write("shopify/orders", order(1, line_items=[line(1), line(2)]), day=2)
    found = one(tmp_path, "int_shopify__order_lines")
    assert (found["order_line_id"], found["quantity"]) == (2, 0)


def test_metrics_are_those_of_the_newest_generation(tmp_path: Path, write: Write) -> None:
    old = {"id": "gone", **meta(), "updated": at(days=9), "attributes": {"name": "Gone"}}
    kept = {**old, "id": "kept", "attributes": {"name": "Old name"}}
    integration = json.dumps({"name": "Shopify"})
    new = {
        **kept,
        **meta(_airbyte_generation_id=1),
        "updated": NOON,
        "attributes": {"name": "New name", "integration": integration, "created": NOON},
    }
    write("klaviyo/metrics", new)
    write("klaviyo/metrics", old, kept, day=2)
    assert one(tmp_path, "int_klaviyo__metrics") == {
        "metric_id": "kept",
        "name": "New name",
        "integration_name": "Shopify",
        "created_at": NOON,
        "updated_at": NOON,
    }


# --- deletions --------------------------------------------------------------------------------


def tombstone(order_id: int, deleted_at: datetime, updated_at: datetime | None = None) -> Row:
    """Return what Shopify's deletion of an order lands as."""
    return {"id": order_id, "deleted_at": deleted_at, "updated_at": updated_at, **meta("t")}


@pytest.mark.parametrize("updated_at", [None, at(hours=3)])
def test_tombstone_keeps_the_last_values(
    tmp_path: Path, write: Write, updated_at: datetime | None
) -> None:
    write("shopify/orders", tombstone(1, at(hours=3), updated_at))
    write("shopify/orders", order(1, name="first"), day=2)
    write("shopify/orders", order(1, name="last", updated_at=at(hours=1)), day=3)
    found = one(tmp_path, "int_shopify__orders")
    assert (found["is_deleted"], found["order_name"]) == (True, "last")
    assert (found["gross_sales"], found["order_updated_at"]) == (10, at(hours=1))
    assert len(rows(tmp_path, "int_shopify__order_lines")) == 1
    for name in ("fct_sales", "fct_daily_sales", "fct_customer_cohorts", "dim_products"):
        assert rows(tmp_path, name) == []


def test_tombstone_alone_is_a_row_of_nulls(tmp_path: Path, write: Write) -> None:
    write("shopify/orders", tombstone(1, NOON))
    found = one(tmp_path, "int_shopify__orders")
    known = {name: value for name, value in found.items() if value is not None}
    assert known == {"order_id": 1, "is_deleted": True}


def test_a_later_full_version_restores_the_order(tmp_path: Path, write: Write) -> None:
    write("shopify/orders", order(1, updated_at=at(hours=4)))
    write("shopify/orders", tombstone(1, at(hours=3)), day=2)
    assert one(tmp_path, "int_shopify__orders")["is_deleted"] is False
    assert one(tmp_path, "fct_sales")["order_id"] == 1


def test_a_full_version_can_say_it_is_deleted(tmp_path: Path, write: Write) -> None:
    write("shopify/orders", order(1, name="last", deleted_at=at(hours=1)))
    found = one(tmp_path, "int_shopify__orders")
    assert (found["is_deleted"], found["order_name"]) == (True, "last")


# --- money ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([0.005], "0.01"),
        ([1.005], "1.01"),  # the double is a little below, its shortest spelling is not
        (["-0.005"], "-0.01"),
        (["-2.675"], "-2.68"),
        ([0.004, 0.004], "0.01"),  # 0.008: rounding each would give 0.00
        ([10.005, 10.005], "20.01"),  # rounding each would give 20.02
        ([0.1] * 3, "0.30"),
        ([-0.001], "0.00"),
        ([None], "0.00"),
    ],
)
def test_sum_first_then_round_half_away(
    tmp_path: Path, write: Write, prices: list[Any], expected: str
) -> None:
    lines = [line(number, price) for number, price in enumerate(prices)]
    write("shopify/orders", order(1, line_items=lines))
    found = one(tmp_path, "int_shopify__orders")["gross_sales"]
    assert str(found) == expected
    assert one(tmp_path, "dim_products")["gross_sales"] == found


def test_taxes_included(tmp_path: Path, write: Write) -> None:
    """2 x 12.00 with 4.00 of tax in it, 6.00 shipping with 1.00 of tax in it.

    Of 3.00 discount 0.50 are tax (rate 20 %); of 4.00 in all, 1.00 is on shipping.
    """
    landed = order(
        1,
        taxes_included=True,
        total_tax=5.0,
        total_discounts="4.00",
        total_price=26.0,
        total_shipping_price_set={"shop_money": {"amount": 6.0}},
        shipping_lines=[{"discount_allocations": [{"amount": "1.00"}]}],
        line_items=[
            {
                **line(1, 12.0, 2, discount_allocations=[{"amount": "3.00"}]),
                "tax_lines": [{"price": 2.5, "rate": 0.125}, {"price": 1.5, "rate": 0.075}],
            }
        ],
    )
    write("shopify/orders", landed, {**landed, "id": 2, "taxes_included": False})
    included, added = rows(tmp_path, "int_shopify__orders")
    parts = ("gross_sales", "discounts", "shipping", "taxes")
    assert [included[name] for name in parts] == [Decimal("19.5"), Decimal("2.5"), 4, 5]
    assert sum(included[name] for name in parts) - 2 * Decimal("2.5") == included["total_price"]
    assert [added[name] for name in parts] == [24, 3, 5, 5]
    lines = rows(tmp_path, "int_shopify__order_lines")
    assert [(row["discount"], row["tax"]) for row in lines] == [(Decimal("2.5"), 4), (3, 4)]


def test_line_discount_prefers_allocations(tmp_path: Path, write: Write) -> None:
    lines = [
        line(1, total_discount=9.0, discount_allocations=[{"amount": "1.10"}, {"amount": "0.2"}]),
        line(2, total_discount=0.5, discount_allocations=[]),
        line(3, total_discount=0.5, discount_allocations=None, gift_card=True, tax=0.25),
    ]
    write("shopify/orders", order(1, line_items=lines))
    found = rows(tmp_path, "int_shopify__order_lines")
    assert [str(row["discount"]) for row in found] == ["1.30", "0.50", "0.50"]
    assert [str(row["tax"]) for row in found] == ["0.00", "0.00", "0.25"]
    assert [row["is_gift_card"] for row in found] == [False, False, True]


def refund(refund_id: int, *lines: tuple[int, int, float, float], **others: Any) -> Row:
    """Return a refund of order 1; ``lines`` are (order line, quantity, subtotal, tax)."""
    names = ("line_item_id", "quantity", "subtotal", "total_tax")
    found = {
        **meta(),
        "id": refund_id,
        "order_id": 1,
        "created_at": at(days=1),
        "refund_line_items": [dict(zip(names, line, strict=True)) for line in lines],
        "order_adjustments": [],
    }
    return {**found, **others}


def adjusted(kind: str, amount: str, tax: str = "0") -> Row:
    """Return an order adjustment."""
    return {"kind": kind, "amount": amount, "tax_amount": tax}


def test_refunds_add_up_per_order(tmp_path: Path, write: Write) -> None:
    """30.00 gross, 2 x 10.00 returned and 3.00 more kept back than the goods were worth."""
    write("shopify/orders", order(1, total_tax=2.0, line_items=[line(1, 10.0, 3)]))
    first = refund(
        *(1, (1, 1, 10.0, 0.5)),
        processed_at=at(days=2),
        order_adjustments=[
            adjusted("shipping_refund", "-3.00", "-0.30"),
            adjusted("refund_discrepancy", "1.00", "0.10"),
            adjusted("pending_refund_discrepancy", "2.00"),
        ],
        transactions=[
            {"kind": "refund", "status": "success", "amount": "13.80"},
            {"kind": "refund", "status": "failure", "amount": "99"},
            {"kind": "sale", "status": "success", "amount": "99"},
        ],
    )
    second = {**first, "id": 2, "processed_at": None, "order_adjustments": [], "transactions": []}
    elsewhere = {**first, "id": 3, "order_id": 404, "refund_line_items": None}
    write("shopify/order_refunds", first, second)
    write("shopify/order_refunds", second, elsewhere, day=2)
    refunds = compute(tmp_path)["int_shopify__order_refunds"]
    tenths = Decimal("0.1")
    assert refunds.columns[3:] == (
        *("returned_quantity", "returned_merchandise", "returned_taxes", "returned_line_taxes"),
        *("returned_shipping", "refund_discrepancy", "refund_discrepancy_taxes"),
        "refunded_amount",
    )
    assert refunds.rows == [
        (1, 1, at(days=2), 1, 10, 8 * tenths, 5 * tenths, 3, -3, -tenths, 138 * tenths),
        (2, 1, at(days=1), 1, 10, 5 * tenths, 5 * tenths, 0, 0, 0, 0),
        (3, 404, at(days=2), 0, 0, 3 * tenths, 0, 3, -3, -tenths, 138 * tenths),
    ]
    sale = one(tmp_path, "fct_sales")
    assert (sale["units"], sale["returns"], sale["net_sales"]) == (3, 17, 13)
    assert (sale["shipping"], sale["taxes"]) == (-3, 8 * tenths)
    assert (sale["total_sales"], sale["refunded_amount"]) == (108 * tenths, 138 * tenths)


def cents(*amounts: int | str | None) -> tuple[Any, ...]:
    """Return amounts as they are compared: text as exact money."""
    return tuple(Decimal(value) if isinstance(value, str) else value for value in amounts)


def booked(movement: str, line_type: str, line_id: int | None, *figures: int | str) -> Row:
    """Return quantity, gross sales, discounts, returns, shipping, taxes and tips of a movement."""
    names = ("quantity", "gross_sales", "discounts", "returns", "shipping", "taxes", "tips")
    amounts = cents(*figures, *[0] * (len(names) - len(figures)))
    where = {"movement": movement, "line_type": line_type, "order_line_id": line_id}
    return {**where, **dict(zip(names, amounts, strict=True))}


SHIPPED = {"total_shipping_price_set": {"shop_money": {"amount": 5.0}}}
CANCELLED = {"cancelled_at": at(days=2)}
FULLY = refund(1, (1, 1, 10.0, 0.0))
SOLD = booked("sale", "product", 1, 1, 10)
RETURNED = booked("return", "product", 1, -1, 0, 0, 10)
LEDGER = {
    # 119.00 less 11.90, both with 19 % of tax: 100.00 less 10.00, and 17.10 of tax. Shipping is
    # 5.00 and 0.95 of tax. Everything comes back.
    "tax-inclusive, refunded in full": (
        order(
            1,
            taxes_included=True,
            total_tax=18.05,
            total_discounts=11.9,
            total_shipping_price_set={"shop_money": {"amount": 5.95}},
            line_items=[
                {
                    **line(1, 119.0, discount_allocations=[{"amount": "11.90"}]),
                    "tax_lines": [{"price": 17.1, "rate": 0.19}],
                }
            ],
        ),
        [
            refund(
                *(1, (1, 1, 107.1, 17.1)),
                order_adjustments=[adjusted("shipping_refund", "-5.00", "-0.95")],
            )
        ],
        [
            booked("sale", "product", 1, 1, 100, 10, 0, 0, "17.1"),
            booked("sale", "shipping", None, 0, 0, 0, 0, 5, "0.95"),
            booked("return", "product", 1, -1, 0, 0, 90, 0, "-17.1"),
            booked("return", "shipping", None, 0, 0, 0, 0, -5, "-0.95"),
        ],
        0,
    ),
    # Of 3 x 10.00 and 3.00 of tax, one comes back on one day and two on another.
    "partial and repeated refunds": (
        order(1, total_tax=3.0, line_items=[line(1, 10.0, 3, 3.0)]),
        [
            refund(1, (1, 1, 10.0, 1.0)),
            refund(2, (1, 2, 20.0, 2.0)),
            FULLY | {"id": 3, "order_id": 404},
        ],
        [
            booked("sale", "product", 1, 3, 30, 0, 0, 0, 3),
            booked("return", "product", 1, -2, 0, 0, 20, 0, -2),
            booked("return", "product", 1, -1, 0, 0, 10, 0, -1),
        ],
        0,
    ),
    # Of 10.00 that come back, 4.00 are kept; then 1.00 is given for a line that is not the order's.
    "discrepancy": (
        order(1),
        [
            {**FULLY, "order_adjustments": [adjusted("refund_discrepancy", "4.00", "0.40")]},
            refund(2, (9, 0, 1.0, 0.0)),
        ],
        [
            SOLD,
            RETURNED,
            booked("return", "adjustment", None, 0, 0, 0, -4, 0, "0.4"),
            booked("return", "product", 9, 0, 0, 0, 1),
        ],
        "3.4",
    ),
    "cancellation after a full refund": (order(1, **CANCELLED), [FULLY], [SOLD, RETURNED], 0),
    # 10.00, 5.00 of shipping with 1.00 of tax and a tip of 2.00.
    "cancellation without a refund": (
        order(1, **CANCELLED, **SHIPPED, total_tax=1.0, total_tip_received=2.0),
        [],
        [
            SOLD,
            booked("sale", "shipping", None, 0, 0, 0, 0, 5, 1),
            booked("sale", "tip", None, 0, 0, 0, 0, 0, 0, 2),
            booked("cancellation", "product", 1, -1, 0, 0, 10),
            booked("cancellation", "shipping", None, 0, 0, 0, 0, -5, -1),
            booked("cancellation", "tip", None, 0, 0, 0, 0, 0, 0, -2),
        ],
        0,
    ),
    # 12.00 are returned for 10.00.
    "cancellation after too much of a refund": (
        order(1, **CANCELLED),
        [refund(1, (1, 1, 12.0, 0.0))],
        [
            SOLD,
            booked("return", "product", 1, -1, 0, 0, 12),
            booked("cancellation", "product", 1, 0, 0, 0, -2),
        ],
        0,
    ),
    # 6.00 of 7.00 discount are on shipping; of 6.00 of shipping nothing is left.
    "shipping discount": (
        order(
            1,
            total_discounts=7.0,
            total_shipping_price_set={"shop_money": {"amount": 6.0}},
            shipping_lines=[{"discount_allocations": [{"amount": "6.00"}]}],
            line_items=[line(1, total_discount=1.0)],
        ),
        [],
        [booked("sale", "product", 1, 1, 10, 1)],
        9,
    ),
    # 2 x 0.335 are 0.67, and not 2 x 0.34; no line carries the discount of 0.10. All comes back.
    "remainders": (
        order(1, total_discounts=0.1, line_items=[line(2, 0.335), line(1, 0.335)]),
        [refund(1, (1, 1, 0.335, 0.0), (2, 1, 0.335, 0.0))],
        [
            booked("sale", "product", 1, 1, "0.33", "0.1"),
            booked("sale", "product", 2, 1, "0.34"),
            booked("return", "product", 1, -1, 0, 0, "0.33"),
            booked("return", "product", 2, -1, 0, 0, "0.34"),
        ],
        "-0.1",
    ),
    "order without lines": (
        order(1, line_items=[], total_discounts=3.0),
        [],
        [booked("sale", "adjustment", None, 0, 0, 3)],
        -3,
    ),
    "gift card": (
        order(1, line_items=[line(1, 50.0, gift_card=True)]),
        [refund(1, (1, 1, 50.0, 0.0))],
        [
            booked("sale", "gift_card", 1, 1, 50),
            booked("return", "gift_card", 1, -1, 0, 0, 50),
        ],
        0,
    ),
}


@pytest.mark.parametrize(
    ("sold", "refunds", "expected", "total_sales"), LEDGER.values(), ids=LEDGER
)
def test_ledger(
    tmp_path: Path,
    write: Write,
    sold: Row,
    refunds: list[Row],
    expected: list[Row],
    total_sales: int | str,
) -> None:
    """The ledger adds up to the order's sale, or to nothing if it is cancelled."""
    write("shopify/orders", sold, {**sold, "id": 2, "test": True})
    if refunds:
        write("shopify/order_refunds", *refunds)
    found = rows(tmp_path, "fct_sales_ledger")

    def content(row: Row) -> list[str]:
        return [str(row[name] or 0) for name in expected[0]]

    def plain(row: Row) -> Row:
        return {name: row[name] for name in expected[0]}

    assert sorted(map(plain, found), key=content) == sorted(expected, key=content)
    days = {"sale": 1, "return": 2, "cancellation": 3}
    assert all(row["sale_day"] == date(2024, 3, days[row["movement"]]) for row in found)
    sale, _ = rows(tmp_path, "fct_sales")
    is_cancelled = sold.get("cancelled_at") is not None
    names = ["gross_sales", "discounts", "returns", "net_sales", "shipping", "taxes", "total_sales"]
    for name in names[3:] if is_cancelled else names:
        assert sum(row[name] for row in found) == (0 if is_cancelled else sale[name]), name
    assert cents(total_sales) == (sum(row["total_sales"] for row in found),)


# --- days, customers and products -------------------------------------------------------------


def columns_of(landing: Path, name: str, *columns: str, **options: Any) -> list[tuple[Any, ...]]:
    """Return some columns of a table's rows."""
    return [tuple(row[column] for column in columns) for row in rows(landing, name, **options)]


def test_what_counts_and_currencies(tmp_path: Path, write: Write) -> None:
    """Of six orders of 10.00, one is a test, one is cancelled, one a guest's and one in euros."""
    codes = [{"code": "B"}, {"code": "A"}, {"code": "B"}]
    write(
        "shopify/orders",
        order(1, discount_codes=codes, shipping_address={"country_code": "BE"}),
        order(2, test=True),
        order(3, cancelled_at=at(hours=1), cancel_reason="fraud"),
        order(4, customer=None, discount_codes=codes[:1]),
        order(5, currency="EUR", created_at=at(days=9), processed_at=at(hours=-1)),
        order(6, created_at=at(days=1, hours=12)),
    )
    consent = {"email_marketing_consent": {"state": "unsubscribed"}, "accepts_marketing": True}
    write(
        "shopify/customers",
        {"id": 7, **consent, **meta()},
        {"id": 8, **meta(), "accepts_marketing": True},
    )
    sales = columns_of(tmp_path, "fct_sales", "order_id", "shipping_country", "discount_codes")
    given = {1: ("BE", ["B", "A", "B"]), 4: (None, ["B"])}
    assert sales == [(number, *given.get(number, (None, None))) for number in range(1, 7)]
    figures = ("orders", "net_sales", "new_customers", "returning_customers")
    first, second = date(2024, 3, 1), date(2024, 3, 3)
    # The cancelled order counts as an order, and its sale is reversed on the same day.
    assert columns_of(tmp_path, "fct_daily_sales", "sale_day", "currency", *figures) == [
        (first, "EUR", 1, 10, 1, 0),
        (first, "USD", 3, 20, 1, 0),
        (date(2024, 3, 3), "USD", 1, 10, 0, 1),
    ]
    assert columns_of(tmp_path, "fct_daily_orders", "order_day", "currency", *figures) == [
        (first, "EUR", 1, 10, 1, 0),
        (first, "USD", 2, 20, 1, 0),
        (second, "USD", 1, 10, 0, 1),
    ]
    cohorts = ("currency", "customers", "active_customers", "orders", "retention_rate")
    assert columns_of(tmp_path, "fct_customer_cohorts", *cohorts) == [
        ("EUR", 1, 1, 1, 1.0),
        ("USD", 1, 1, 2, 1.0),
    ]
    customer = ("customer_id", "currency", "orders", "net_sales", "average_days_between_orders")
    more = ("first_discount_code", "first_product_id", "accepts_email_marketing")
    assert columns_of(tmp_path, "dim_customers", *customer, *more) == [
        (7, "EUR", 1, 10, None, None, 5, False),
        (7, "USD", 2, 20, 1.5, "B", 5, False),
        (8, None, 0, 0, None, None, None, True),
    ]
    write(
        "shopify/abandoned_checkouts",
        {"id": 1, **meta(), "currency": "USD", "discount_codes": codes[:2]},
    )
    code = ("code", "currency", "orders", "new_customer_orders", "average_order_value")
    assert columns_of(tmp_path, "fct_discount_codes", *code, "abandoned_checkouts") == [
        ("A", "USD", 1, 0, 10, 1),  # the customer's first order was the one in euros
        ("B", "USD", 2, 0, 10, 1),
    ]


def test_gift_cards_and_tips_stand_beside_the_sales(tmp_path: Path, write: Write) -> None:
    """10.00 of goods, 50.00 of gift cards and 2.00 of tips; the goods come back on the next day.

    The margin of the line and of the days is after a unit cost of 4.00.
    """
    lines = [line(1, variant_id=3), line(2, 50.0, gift_card=True)]
    write("shopify/orders", order(1, total_tip_received=2.0, line_items=lines))
    write("shopify/order_refunds", FULLY)
    write("shopify/product_variants", {"id": 3, **meta(), "inventory_item_id": 4})
    write("shopify/inventory_items", {"id": 4, **meta(), "cost": 4.0})
    spend = "date,platform,campaign,currency,cost,impressions,clicks\n2024-03-01,x,a,USD,"
    put(tmp_path, "ads/spend/year=2024/month=03/day=01/1.csv", f"{spend}9,1,1\n".encode())
    put(tmp_path, "ads/spend/year=2024/month=03/day=02/1.csv", f"{spend}2.5,8,2\n".encode())
    day = ("orders", "units", "returned_units", "net_sales", "tips", "gift_card_sales")
    assert columns_of(tmp_path, "fct_daily_sales", *day, "average_order_value") == [
        (1, 1, 0, 10, 2, 50, 10),
        (0, 0, 1, -10, 0, 0, None),
    ]
    margin = ("returned_quantity", "net_sales", "unit_cost", "cost", "gross_margin")
    assert columns_of(tmp_path, "fct_order_lines", *margin) == [
        (1, 0, 4, 0, 0),
        (0, 50, None, None, None),
    ]
    assert compute(tmp_path)["fct_daily_marketing"].rows == [
        (date(2024, 3, 1), "x", "USD", Decimal("2.5"), 8, 2)
    ]
    profit = ("cost_of_goods", "gross_margin", "contribution_margin", "customer_acquisition_cost")
    assert columns_of(tmp_path, "fct_daily_profit", *profit, "marketing_efficiency_ratio") == [
        (4, 6, Decimal("3.5"), Decimal("2.5"), 4.0),
        (-4, -6, -6, None, None),
    ]


def test_days_and_months_are_the_shop_s(tmp_path: Path, write: Write) -> None:
    """01:30 UTC on 1 March is still February in New York, and 05:30 UTC no longer is."""
    evening = datetime(2024, 3, 1, 1, 30, tzinfo=UTC)
    night = datetime(2024, 3, 1, 5, 30, tzinfo=UTC)
    write("shopify/orders", order(1, created_at=night), order(2, created_at=evening))
    for name, day in (("fct_daily_sales", "sale_day"), ("fct_daily_orders", "order_day")):
        figures = (day, "new_customers", "returning_customers")
        assert columns_of(tmp_path, name, *figures) == [(date(2024, 3, 1), 1, 0)]
        assert columns_of(tmp_path, name, *figures, timezone="America/New_York") == [
            (date(2024, 2, 29), 1, 0),
            (date(2024, 3, 1), 0, 1),
        ]
    cohorts = rows(tmp_path, "fct_customer_cohorts", timezone="America/New_York")
    assert [(row["cohort_month"], row["months_since_first"]) for row in cohorts] == [
        (date(2024, 2, 1), 0),
        (date(2024, 2, 1), 1),
    ]


def test_cohorts_over_a_year(tmp_path: Path, write: Write) -> None:
    def on(year: int, month: int) -> datetime:
        return datetime(year, month, 15, tzinfo=UTC)

    write(
        "shopify/orders",
        order(1, customer={"id": 7}, created_at=on(2023, 11)),
        order(2, customer={"id": 8}, created_at=on(2023, 11)),
        order(3, customer={"id": 7}, created_at=on(2024, 1)),
        order(4, customer={"id": 7}, created_at=on(2024, 1)),
        order(5, customer={"id": 9}, created_at=on(2024, 1)),
    )
    assert compute(tmp_path)["fct_customer_cohorts"].rows == [
        # gross sales, returns, net sales, cumulative, for each customer, retention
        (date(2023, 11, 1), 0, "USD", 2, 2, 2, 20, 0, 20, 20, 10, 1.0),
        (date(2023, 11, 1), 2, "USD", 2, 1, 2, 20, 0, 20, 40, 20, 0.5),
        (date(2024, 1, 1), 0, "USD", 1, 1, 1, 10, 0, 10, 10, 10, 1.0),
    ]


def test_average_order_value_rounds_half_away(tmp_path: Path, write: Write) -> None:
    write(
        "shopify/orders",
        order(1, line_items=[line(1, 0.01)]),
        order(2, line_items=[line(2, 0.01, 2)], total_discounts=0.02),
    )
    for name in ("fct_daily_sales", "fct_daily_orders"):
        found = one(tmp_path, name)
        assert (found["orders"], found["units"]) == (2, 3)
        # (0.03 - 0.02) / 2 = 0.005
        assert found["average_order_value"] == Decimal("0.01")


def test_scores_are_quintiles(tmp_path: Path, write: Write) -> None:
    """Of seven buyers the two lowest parts have two; equals are cut by their ids."""
    write("shopify/customers", *({"id": number, **meta()} for number in range(1, 9)))
    spent = [10.0, 10.0, 10.0, 10.0, 40.0, 30.0, 20.0]
    write(
        "shopify/orders",
        *(
            order(number, customer={"id": number}, line_items=[line(number, price)])
            for number, price in enumerate(spent, start=1)
        ),
    )
    scores = ("recency_score", "frequency_score", "monetary_score")
    assert columns_of(tmp_path, "dim_customers", *scores) == [
        *((1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2), (3, 3, 5), (4, 4, 4), (5, 5, 3)),
        (None, None, None),
    ]


def test_customer_gets_the_latest_profile_of_the_same_email(tmp_path: Path, write: Write) -> None:
    write(
        "shopify/customers",
        {"id": 7, "email": "Ann@Example.com "},
        {"id": 8, "email": ""},
        {"id": 9, "email": None},
    )

    def profile(profile_id: str, email: str, updated: datetime) -> Row:
        consent = {"email": {"marketing": {"consent": f"consent of {profile_id}"}}}
        predictions = {"predicted_clv": 12.345}
        attributes = {"email": email, "updated": updated, "subscriptions": consent}
        return {
            **meta(),
            "id": profile_id,
            "updated": updated,
            "attributes": {
                **attributes,
                "predictive_analytics": predictions,
                "last_event_date": NOON,
            },
        }

    write(
        "klaviyo/profiles",
        profile("A", "ann@example.com", at(hours=1)),
        profile("B", " ANN@example.com", at(hours=1)),
        profile("C", "ann@example.com", NOON),
        profile("D", "", at(days=9)),
    )
    ann, *others = rows(tmp_path, "dim_customers")
    assert (ann["klaviyo_profile_id"], ann["email_consent"]) == ("B", "consent of B")
    assert (ann["predicted_clv"], ann["last_event_at"]) == (Decimal("12.35"), NOON)
    assert [row["klaviyo_profile_id"] for row in others] == [None, None]


def test_products_variants_and_stock(tmp_path: Path, write: Write) -> None:
    """Title and vendor are the latest line's; of 6 units one comes back; 7 are left of variant 3.

    In the 28 days up to the newest order, which is a test, 4 units of variant 3 were sold: 7 * 28
    / 4 = 49 days of cover.
    """
    old, new = line(1, title="Old"), line(9, title="New", variant_id=3)
    write(
        "shopify/orders",
        order(1, created_at=at(hours=1), line_items=[old, {**new, "quantity": 1}]),
        order(2, line_items=[line(99, quantity=4), line(100, product_id=None)]),
        order(3, created_at=at(days=26), test=True, line_items=[line(101, title="Test")]),
        order(4, created_at=at(days=-1), currency="EUR", line_items=[{**new, "quantity": 3}]),
        order(5, created_at=at(days=-2), currency="EUR", line_items=[{**new, "quantity": 8}]),
    )
    write("shopify/order_refunds", FULLY)
    write("shopify/products", {"id": 5, **meta(), "status": "active", "tags": "a, b"})
    write(
        "shopify/product_variants",
        {"id": 3, **meta(), "product_id": 5, "inventory_item_id": 4, "compare_at_price": "12.5"},
        {"id": 6, **meta(), "product_id": 5, "inventory_item_id": 8},
    )
    level = {**meta(), "inventory_item_id": 4, "updated_at": NOON}
    write(
        "shopify/inventory_levels",
        {"id": "4|1", **level, "location_id": 1, "available": 9},
        {"id": "4|2", **level, "location_id": 2, "available": -2},
        {"id": "5|2", **level, "location_id": 2, "available": 99, "inventory_item_id": 5},
    )
    write(
        "shopify/locations",
        {"id": 1, **meta(_airbyte_generation_id=2), "name": "Shop"},
        {"id": 2, **meta(_airbyte_generation_id=1), "name": "Closed"},
    )
    own = ("currency", "title", "first_sold_at", "last_sold_at", "units_sold", "returned_units")
    amounts = ("gross_sales", "net_sales", "return_rate", "status", "on_hand")
    assert columns_of(tmp_path, "dim_products", *own, *amounts) == [
        ("EUR", "New", at(days=-2), at(days=-1), 11, 0, 110, 110, 0.0, "active", 7),
        ("USD", "New", NOON, at(hours=1), 6, 1, 60, 50, 1 / 6, "active", 7),
    ]
    variant = ("variant_id", "compare_at_price", "on_hand", "units_sold", "last_sold_at")
    assert columns_of(tmp_path, "dim_product_variants", *variant, "days_of_cover") == [
        (3, Decimal("12.5"), 7, 12, at(hours=1), 49),
        (6, None, None, 0, None, None),
    ]
    assert compute(tmp_path)["fct_inventory"].rows == [
        (3, 1, "Shop", 9, NOON),
        (3, 2, None, -2, NOON),
    ]


def test_payments_fulfilments_and_checkouts(tmp_path: Path, write: Write) -> None:
    write(
        "shopify/orders",
        order(1, checkout_id=8, deleted_at=NOON),
        order(2, checkout_id=8),
        order(3, checkout_id=8),
    )
    paid = {**meta(), "processed_at": NOON, "gateway": "card", "currency": "USD", "order_id": 2}
    success = {**paid, "status": "success"}
    write(
        "shopify/transactions",
        {**success, "id": 1, "kind": "authorization", "amount": 9.0},
        {**success, "id": 2, "kind": "CAPTURE", "amount": 9.0, "status": "SUCCESS"},
        {**success, "id": 3, "kind": "refund", "amount": 2.5},
        {**paid, "id": 4, "kind": "refund", "amount": 9.0, "status": "failure"},
    )
    assert columns_of(tmp_path, "fct_payments", "transaction_id", "amount") == [
        (1, 9),
        (2, 9),
        (3, Decimal("-2.5")),
    ]
    assert compute(tmp_path)["fct_daily_payments"].rows == [
        (date(2024, 3, 1), "card", "USD", 9, Decimal("2.5"), Decimal("6.5"), 2)
    ]
    profit = one(tmp_path, "fct_daily_profit")
    assert (profit["payment_refunds"], profit["net_sales"]) == (Decimal("2.5"), 20)

    units = {"line_items": [{"quantity": 2}, {"quantity": 1}], "created_at": at(minutes=90)}
    write("shopify/fulfillments", {"id": 1, "order_id": 2, **units}, {"id": 2, "order_id": 404})
    fulfilment = ("fulfillment_id", "units", "hours_to_fulfil")
    assert columns_of(tmp_path, "fct_fulfillments", *fulfilment) == [(1, 3, 1.5), (2, 0, None)]

    write(
        "shopify/abandoned_checkouts",
        {"id": 8, "customer": {"id": 7}, "completed_at": None},
        {"id": 9, "completed_at": NOON},
        {"id": 10},
    )
    recovered = ("checkout_id", "customer_id", "is_recovered", "recovered_order_id")
    assert columns_of(tmp_path, "fct_abandoned_checkouts", *recovered) == [
        (8, 7, True, 2),
        (9, None, True, None),
        (10, None, False, None),
    ]


# --- e-mail -----------------------------------------------------------------------------------

METRICS = {
    **{"R": "Received Email", "O": "Opened Email", "C": "Clicked Email", "P": "Placed Order"},
    **{"B": "Bounced Email", "X": "Marked Email as Spam", "S": "Received SMS", "T": "Clicked SMS"},
}


def event(
    event_id: str, metric: str, when: datetime, /, profile: str | None = "A", **more: Any
) -> Row:
    """Return an event whose properties are ``more``, each name with a dollar sign before it."""
    properties = {f"${name}": value for name, value in more.items()}
    return {
        **meta(),
        "id": event_id,
        "datetime": when,
        "attributes": {"datetime": when, "event_properties": json.dumps(properties)},
        "relationships": {
            "metric": {"data": {"id": metric}},
            "profile": {"data": {"id": profile}},
        },
    }


@pytest.fixture
def email(write: Write) -> None:
    """Land the metrics, and two campaigns with the messages ``m1`` and ``m2``."""
    write(
        "klaviyo/metrics",
        *({"id": key, **meta(), "attributes": {"name": name}} for key, name in METRICS.items()),
    )
    messages = {"campaign_messages": {"data": [{"id": "m2"}, {"id": "m3"}]}}
    first = {"name": "First", "message": "m1", "send_time": NOON, "archived": False}
    write(
        "klaviyo/campaigns",
        {"id": "k1", **meta(), "updated_at": NOON, "attributes": first},
        {
            **{"id": "k2", **meta(), "updated_at": at(hours=1), "relationships": messages},
            "attributes": {**first, "name": "Second", "message": None},
        },
    )


def performance(landing: Path, **options: Any) -> list[tuple[Any, ...]]:
    """Return campaign, recipients, opens, clicks, orders, revenue."""
    figures = ("recipients", "unique_opens", "unique_clicks", "attributed_orders")
    columns = ("campaign_id", *figures, "attributed_revenue")
    return columns_of(landing, "fct_campaign_performance", *columns, **options)


@pytest.mark.usefixtures("email")
def test_campaign_message_and_root_timestamps(tmp_path: Path) -> None:
    first, second = rows(tmp_path, "int_klaviyo__campaigns")
    assert (first["message_id"], second["message_id"]) == ("m1", "m2")
    assert (second["updated_at"], second["created_at"]) == (at(hours=1), None)
    assert (first["sent_at"], first["is_archived"]) == (NOON, False)


@pytest.mark.usefixtures("email")
def test_profiles_are_counted_once(tmp_path: Path, write: Write) -> None:
    write(
        "klaviyo/events",
        event("1", "R", NOON, message="m1"),
        event("2", "R", NOON, profile="C", message="k1"),
        event("3", "R", NOON, profile="B", message="m1"),
        event("3b", "R", NOON, profile="B", message="m1"),
        event("4", "R", NOON, profile=None, message="m1"),
        event("5", "O", NOON, message="m1"),
        event("5", "O", NOON, message="m1"),
        event("6", "C", NOON, message="elsewhere"),
        event("7", "C", NOON),
    )
    assert performance(tmp_path) == [("k1", 3, 1, 0, 0, 0), ("k2", 0, 0, 0, 0, 0)]


@pytest.mark.usefixtures("email")
def test_channels_flows_and_all_messages(tmp_path: Path, write: Write) -> None:
    """A message of a campaign is the campaign's, whatever flow it names; k2 has two messages."""
    flow = {"name": "Welcome", "updated": NOON}
    write("klaviyo/flows", *({"id": name, **meta(), "attributes": flow} for name in ("f1", "f2")))
    write(
        "klaviyo/events",
        event("1", "R", at(hours=-5), message="m3", flow="f1"),
        event("2", "B", at(hours=-5), message="m2", profile="B"),
        event("3", "X", at(hours=-5), message="k2"),
        event("4", "T", at(hours=-4), message="m3"),
        event("5", "O", at(hours=-3), message="n", flow="f1"),
        event("6", "S", at(hours=-3), message="n", flow="f1"),
        event("7", "P", NOON, value=5, currency_code="EUR", event_id="12"),
        event("8", "P", NOON, value=6),
    )
    counts = ("received", "unique_opens", "unique_clicks", "bounces", "spam_complaints")
    columns = ("channel", "currency", *counts, "attributed_orders", "attributed_revenue")
    assert columns_of(tmp_path, "fct_campaign_performance", "campaign_id", *columns) == [
        ("k1", "email", None, 0, 0, 0, 0, 0, 0, 0),
        ("k2", "email", None, 1, 0, 0, 1, 1, 0, 0),
        ("k2", "sms", None, 0, 0, 1, 0, 0, 1, 6),
        ("k2", "sms", "EUR", 0, 0, 1, 0, 0, 1, 5),
    ]
    assert columns_of(tmp_path, "fct_flow_performance", "flow_id", *columns) == [
        ("f1", "email", None, 0, 1, 0, 0, 0, 1, 6),
        ("f1", "email", "EUR", 0, 1, 0, 0, 0, 1, 5),
        ("f1", "sms", None, 1, 0, 0, 0, 0, 0, 0),
        ("f2", None, None, 0, 0, 0, 0, 0, 0, 0),
    ]


# For 10.01: weight and amount of each touch, by model.
FIRST_OF_TWO, LAST_OF_TWO = [("1", "10.01"), ("0", "0")], [("0", "0"), ("1", "10.01")]
HALVES = [("0.5", "5.01"), ("0.5", "5.00")]  # 5.005 each, half away from zero
MODELS = {
    1: {model: [("1", "10.01")] for model in ("first", "last", "linear", "position")},
    2: {"first": FIRST_OF_TWO, "last": LAST_OF_TWO, "linear": HALVES, "position": HALVES},
    3: {
        "first": [*FIRST_OF_TWO, ("0", "0")],
        "last": [("0", "0"), *LAST_OF_TWO],
        # A third of 10.01 is 3.337.
        "linear": [("0.33333333", "3.34"), ("0.33333333", "3.34"), ("0.33333334", "3.33")],
        # 4.004, 2.002 and what is left
        "position": [("0.4", "4.00"), ("0.2", "2.00"), ("0.4", "4.01")],
    },
}


@pytest.mark.usefixtures("email")
@pytest.mark.parametrize("touches", MODELS)
def test_attribution_models(tmp_path: Path, write: Write, touches: int) -> None:
    """Of order 12, in the order's currency; the order of nobody is direct."""
    write("shopify/orders", order(12, currency="CHF"))
    of_flow = event("t0", "O", at(hours=-9), message="n", flow="f1")
    others = [event(f"t{number}", "C", at(hours=-number), message="m1") for number in (2, 1)]
    placed = event("p", "P", NOON, value="10.01", event_id="12")
    write("klaviyo/events", *[of_flow, *others][:touches], placed)
    write("klaviyo/events", event("q", "P", NOON, profile=None, value=1), day=2)
    columns = ("placed_event_id", "order_id", "currency", "touch_event_id", "source_type")
    found = rows(tmp_path, "fct_attribution")
    assert {tuple(row[name] for name in (*columns, "source_id")) for row in found} == {
        ("q", None, None, None, "direct", None),
        ("p", 12, "CHF", "t0", "flow", "f1"),
        *[("p", 12, "CHF", f"t{number}", "campaign", "k1") for number in (2, 1)][: touches - 1],
    }
    order_of = ["t0", "t2", "t1"]
    for model, expected in MODELS[touches].items():
        own = [row for row in found if row["attribution_model"] == model]
        own.sort(key=lambda row: order_of.index(row["touch_event_id"] or "t0"))
        given = [
            (row["weight"], row["attributed_revenue"])
            for row in own
            if row["placed_event_id"] == "p"
        ]
        assert given == [cents(*pair) for pair in expected], model
        direct = [row["weight"] for row in own if row["placed_event_id"] == "q"]
        assert direct == [1]


@pytest.mark.usefixtures("email")
@pytest.mark.parametrize(
    ("touches", "credited"),
    [
        ([event("1", "O", at(hours=-120), message="m1")], "k1"),
        ([event("1", "O", at(hours=-120, microseconds=-1), message="m1")], None),
        ([event("1", "O", NOON, message="m1")], "k1"),
        ([event("1", "O", at(microseconds=1), message="m1")], None),
        ([event("1", "R", at(hours=-1), message="m1")], None),
        ([event("1", "O", at(hours=-1), profile="B", message="m1")], None),
        ([event("1", "O", at(hours=-1), message="elsewhere")], None),
        (
            [
                event("1", "C", at(hours=-2), message="m1"),
                event("2", "O", at(hours=-1), message="m2"),
            ],
            "k2",
        ),
        (
            [
                event("9", "O", at(hours=-1), message="m1"),
                event("10", "C", at(hours=-1), message="m2"),
            ],
            "k1",
        ),
        (
            [
                event("1", "O", at(hours=-2), message="m2"),
                event("2", "O", at(hours=-1), message="elsewhere"),
            ],
            "k2",
        ),
    ],
)
def test_attribution(
    tmp_path: Path, write: Write, touches: list[Row], credited: str | None
) -> None:
    write("klaviyo/events", event("0", "P", NOON, value=19.99), *touches)
    expected: dict[str, tuple[Any, ...]] = {"k1": (0, 0), "k2": (0, 0)}
    if credited:
        expected[credited] = (1, Decimal("19.99"))
    assert {row[0]: (row[4], row[5]) for row in performance(tmp_path)} == expected


@pytest.mark.usefixtures("email")
def test_attribution_window_and_missing_values(tmp_path: Path, write: Write) -> None:
    write(
        "klaviyo/events",
        event("1", "O", at(hours=-3), message="m1"),
        event("2", "P", NOON),
        event("3", "P", NOON, value="5.004"),
        event("4", "P", NOON, value="5.004"),
        event("5", "P", NOON, value="a lot"),
    )
    # 10.008, rounded once.
    assert performance(tmp_path)[0] == ("k1", 0, 1, 0, 4, Decimal("10.01"))
    assert performance(tmp_path, attribution_hours=2)[0] == ("k1", 0, 1, 0, 0, Decimal("0.00"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1.00"),
        ("12.345", "12.35"),
        (-0.005, "-0.01"),
        ("1e2", "100.00"),
        (True, None),
        ("", None),
        ("1_000", None),
        ("NaN", None),
        (1e17, None),
        (None, None),
    ],
)
def test_event_value(tmp_path: Path, write: Write, value: Any, expected: str | None) -> None:
    write("klaviyo/events", event("1", "P", NOON, value=value, flow="f", message="m"))
    found = one(tmp_path, "int_klaviyo__events")
    assert (None if found["event_value"] is None else str(found["event_value"])) == expected
    assert (found["flow_id"], found["message_id"]) == ("f", "m")
    assert json.loads(found["properties"])["$value"] == value


def test_event_properties_as_a_struct(tmp_path: Path, write: Write) -> None:
    landed = event("1", "P", NOON)
    landed["attributes"] = {"event_properties": {"_value": 2.5, "_message": "m", "_flow": "f"}}
    write("klaviyo/events", landed)
    found = one(tmp_path, "int_klaviyo__events")
    assert (found["event_value"], found["message_id"], found["flow_id"]) == (
        Decimal("2.50"),
        "m",
        "f",
    )
    assert found["event_at"] == NOON  # from the root, the attributes lack it
    assert found["properties"] == '{"_value":2.5,"_message":"m","_flow":"f"}'


def test_profiles_flows_and_lists(tmp_path: Path, write: Write) -> None:
    predictions = {
        "historic_clv": "1.005",
        "total_clv": {"type": "number", "number": 2.5, "string": None},
        "churn_probability": 0.123456,
        "historic_number_of_orders": 3.0,
    }
    attributes = {
        "location": json.dumps({"city": "Ghent", "zip": "9000"}),
        "predictive_analytics": predictions,
        "created": NOON,
    }
    write("klaviyo/profiles", {"id": "A", "updated": NOON, "attributes": attributes})
    found = one(tmp_path, "int_klaviyo__profiles")
    assert (found["city"], found["postal_code"], found["region"]) == ("Ghent", "9000", None)
    assert (found["historic_clv"], found["total_clv"]) == (Decimal("1.01"), Decimal("2.50"))
    assert (found["churn_probability"], found["historic_orders"]) == (0.123456, 3)
    assert (found["created_at"], found["updated_at"]) == (NOON, NOON)

    common = {"name": "N", "created": NOON, "updated": at(hours=1)}
    flow = {**common, "status": "live", "trigger_type": "Metric", "archived": True}
    write("klaviyo/flows", {"id": "F", "attributes": json.dumps(flow, default=str)})
    write("klaviyo/lists", {"id": "L", "attributes": {**common, "opt_in_process": "single_opt_in"}})
    tables = compute(tmp_path)
    assert tables["int_klaviyo__flows"].rows == [
        ("F", "N", "live", "Metric", True, NOON, at(hours=1))
    ]
    assert tables["int_klaviyo__lists"].rows == [("L", "N", "single_opt_in", NOON, at(hours=1))]


# --- comparing --------------------------------------------------------------------------------


def test_diff_names_key_column_and_values() -> None:
    """Neither the order of rows and columns counts, nor another zone, nor a column of its own."""
    name = "int_klaviyo__lists"
    rows = [(key, "N", None, NOON, NOON) for key in "ABCD"]
    expected = Table(name, *SPECIFICATIONS[name], rows)
    columns = ["extra", "created_at", "name", "opt_in_process", "updated_at", "list_id"]
    there = {key: ("x", NOON.astimezone(tz=None), "N", None, NOON, key) for key in "DCBA"}
    assert diff(expected, [*there.values()], columns) == []
    changed = ("x", NOON.replace(tzinfo=None), "N", "", NOON, "A")
    actual = [changed, there["B"], there["B"], there["C"], (*there["D"][:-1], "E")]
    assert diff(expected, actual, columns) == [
        f"{name}[list_id='A'].opt_in_process: expected null, actual ''",
        f"{name}[list_id='A'].created_at: expected {NOON}, actual 2024-03-01 12:00:00",
        f"{name}[list_id='B']: expected 1 rows with this key, actual 2",
        f"{name}[list_id='D']: row is missing",
        f"{name}[list_id='E']: row is not expected",
    ]
    money = Table(
        "t", ("id",), ("id", "price", "properties"), [("1", Decimal("1.50"), '{"a":1.0}')]
    )
    assert diff(money, [("1", Decimal("1.5"), '{"a": 1.0}')], money.columns) == []
    assert diff(money, [("1", 1.5, '{"a": 1.0}')], money.columns) == [
        "t[id='1'].price: expected 1.50, actual 1.5"
    ]
