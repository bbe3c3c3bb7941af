"""The checks that watch the data: silent while all is usual, and clear when something is not.

A shop of orders only, 40 a day, one file a day: what is wrong with a day is then known exactly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.system.lake import Build, Lake

pytestmark = pytest.mark.nightly

START = date(2025, 3, 3)
USUAL_DAYS = 42
ORDERS = 40
WATCHING = ("--select", "tag:watching")
SCHEMA = "select change, column_name, type_before, type_after, path from meta.schema_changes"

Order = dict[str, Any]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, parsed: Path) -> Lake:
    """A lake with six weeks of usual days. To be copied, not changed."""
    lake = Lake(tmp_path_factory.mktemp("usual"), parsed=parsed)
    for day in range(USUAL_DAYS):
        land(lake, day, orders(day))
    build = lake.build_quickly()
    assert build.ok, build
    return lake


@pytest.fixture
def shop(usual: Lake, new_lake: Callable[..., Lake]) -> Lake:
    """A copy of it."""
    lake: Lake = new_lake()
    lake.copy_of(usual)
    return lake


def orders(day: int) -> Iterator[Order]:
    """The orders of a day, a few more on some days."""
    placed = datetime.combine(START + timedelta(days=day), time(12), UTC).isoformat()
    for number in range(ORDERS + day * 7 % 5):
        order_id = day * 1000 + number
        yield {
            "id": order_id,
            "name": f"#{order_id}",
            "email": f"{order_id}@example.com",
            "customer": {"id": order_id % 97},
            "created_at": placed,
            "updated_at": placed,
            "currency": "EUR",
            "financial_status": "paid",
            "total_price": 10.0,
            "total_tax": 0.0,
            "line_items": [{"id": order_id, "quantity": 1, "price": 10.0}],
        }


def land(lake: Lake, day: int, rows: Iterator[Order], stream: str = "orders") -> str:
    """Let a day's file land, in the folder of the next day, as a sync at night has it."""
    folder = f"{START + timedelta(days=day + 1):year=%Y/month=%m/day=%d}"
    path = f"shopify/{stream}/{folder}/part_0.parquet"
    file = lake.landing / path
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return path


def warnings(build: Build) -> dict[str, str]:
    """What the closing lines say of each check."""
    told: dict[str, str] = {}
    for line in build.output.splitlines():
        words = line.split("  ", 1)[-1].split(" ", 3)
        if len(words) == 4 and words[0] in ("WARN", "FAIL") and words[2].startswith("("):
            told[words[1]] = told.get(words[1], "") + f"{words[2]} {words[3]}\n"
    return told


def test_a_bad_day_is_told(shop: Lake) -> None:
    """A usual history is silent. Then half of the orders, without their e-mail, and with a column
    that is new; and a refund of more than was paid. Every message names what and when, and whose it
    is."""
    silent = shop.build(*WATCHING, command="test")
    assert silent.ok, silent
    assert warnings(silent) == {}
    bad = START + timedelta(days=USUAL_DAYS)
    landed = bad + timedelta(days=1)
    spoilt = islice(orders(USUAL_DAYS), ORDERS // 2)
    first = land(shop, USUAL_DAYS, ({**order, "email": None, "gift_note": "n"} for order in spoilt))
    for day in range(USUAL_DAYS + 1, USUAL_DAYS + 4):
        land(shop, day, ({**order, "gift_note": "n"} for order in orders(day)))
    land(shop, USUAL_DAYS, iter([refund(1, 30_000, "25.00"), refund(2, 30_001, "12.50", "-2.50")]),
         "order_refunds")  # fmt: skip
    assert shop.build_quickly().ok
    told = warnings(shop.build(*WATCHING, command="test"))
    assert set(told) == {
        "stream_volumes_are_usual",
        "daily_orders_are_usual",
        "null_rates_of_orders_are_usual",
        "schema_has_not_drifted",
        "refunds_are_within_sales",
    }
    volume = told["stream_volumes_are_usual"]
    assert volume.startswith("(data_platform): shopify.orders: 20 rows landed")
    assert f"{landed:%A} {landed}, usually 4" in volume
    assert "docs/checks.md" in volume
    assert f"20 orders on {bad:%A} {bad}, usually 4" in told["daily_orders_are_usual"]
    assert told["daily_orders_are_usual"].startswith("(shop_analytics)")
    empty = told["null_rates_of_orders_are_usual"]
    assert "int_shopify__orders.email: null in 20 of 20 rows (100 %)" in empty
    assert f"{bad:%A} {bad}, usually 0 %" in empty
    drift = told["schema_has_not_drifted"]
    assert f"shopify.orders: gift_note is new, VARCHAR. First file {first}, first seen 20" in drift
    refunded = told["refunds_are_within_sales"]
    assert "order #30000: 25.00 refunded of 10.00 paid" in refunded
    assert "as staff decided" in refunded.split("#30001")[1]

    # It is told as long as the day is among the last ones, and the change is recorded once.
    changes = shop.query(SCHEMA.replace(" from", ", seen_at from"))
    path = shop.landing / first
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 60))
    for day in range(USUAL_DAYS + 4, USUAL_DAYS + 7):
        land(shop, day, ({**order, "gift_note": "n"} for order in orders(day)))
    assert shop.build_quickly().ok
    told = warnings(shop.build(*WATCHING, command="test"))
    assert set(told) == {"schema_has_not_drifted", "refunds_are_within_sales"}
    assert shop.query(SCHEMA.replace(" from", ", seen_at from")) == changes


def refund(number: int, order_id: int, amount: str, discrepancy: str = "0.00") -> Order:
    """A refund, with what staff gave on top of it."""
    refunded = datetime.combine(START + timedelta(days=USUAL_DAYS), time(13), UTC).isoformat()
    return {
        "id": number,
        "order_id": order_id,
        "created_at": refunded,
        "order_adjustments": [
            {"kind": "refund_discrepancy", "amount": discrepancy, "tax_amount": "0.00"}
        ],
        "transactions": [{"kind": "refund", "status": "success", "amount": amount}],
    }


def test_figures_that_cannot_be_are_told(shop: Lake) -> None:
    """A row changed by hand breaks an identity; another has a currency that nobody knows."""
    shop.change("update main.fct_sales set net_sales = net_sales + 1 where order_id = 41003")
    shop.change("update main.fct_sales set currency = 'XXQ' where order_id = 41004")
    shop.change("update main.fct_daily_sales set taxes = 1 where sale_day = '2025-03-05'")
    build = shop.build(*WATCHING, command="test", variables={"shop_currencies": ["USD"]})
    told = warnings(build)
    assert build.code == 1
    assert set(told) == {"sales_add_up", "currencies_are_known"}
    assert "order 41003: net_sales is 11.00, its parts make 10.00" in told["sales_add_up"]
    assert "fct_daily_sales, 2025-03-05 in EUR" in told["sales_add_up"]
    currencies = told["currencies_are_known"]
    assert "1 orders, XXQ, is no currency of ISO 4217" in currencies
    assert "EUR, is none of shop_currencies" in currencies
