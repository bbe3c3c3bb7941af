"""The sample landing zone: the same on every run, and awkward as promised."""

from __future__ import annotations

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


def contents(landing: Path) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(landing)): (path.read_bytes(), path.stat().st_mtime)
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


@pytest.mark.parametrize(
    "rows",
    [
        # Repeated, with another raw id, and old versions in a later sync than newer ones.
        "orders group by _airbyte_raw_id having count(*) > 1",
        "orders group by id, updated_at, _airbyte_extracted_at"
        " having count(distinct _airbyte_raw_id) > 1",
        "orders as old join orders as new using (id) where old.updated_at < new.updated_at"
        " and old._airbyte_meta.sync_id > new._airbyte_meta.sync_id",
        "orders where deleted_at is not null and updated_at is null and created_at is null",
        "orders where customer is null",
        "orders where test",
        "orders where cancelled_at is not null",
        "orders where taxes_included and currency = 'EUR'",
        "orders where total_discounts > 0 and total_price = total_tip_received",
        "(select unnest(line_items) as line from orders) where line.gift_card",
        "order_refunds where order_id not in (select id from orders)",
        "order_refunds where refund_line_items = [] and order_adjustments <> []",
        "customers where email is null",
        "profiles group by lower(trim(attributes.email)) having count(distinct id) > 1",
        "metrics where id = 'Mt0009' group by id having max(_airbyte_generation_id) < 3",
    ],
)
def test_awkward_records(lake: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Without one of them, tests on the sample would show less than they say."""
    assert lake.execute(f"select 1 from {rows} limit 1").fetchone()


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
