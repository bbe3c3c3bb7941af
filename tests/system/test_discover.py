"""What landed beside what is declared, and new streams made of it, in a copy of the project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lotus_lake.sample import Delivery
from tests.system.lake import Lake
from tests.system.test_recipes import Copy

DISCOVER = "python scripts/discover.py --project . "


@pytest.fixture
def copy(new_lake: Callable[..., Lake], sample: Delivery, tmp_path: Path) -> Copy:
    """A copy of the project whose landing zone has lists of Klaviyo, and a stream made of them."""
    lake = new_lake("discover")
    files = [one.path for one in sample.files if one.path.startswith("klaviyo/lists/")]
    lake.deliver(files, sample.out)
    for path in files:
        target = lake.landing / path.replace("klaviyo/lists/", "klaviyo/forms/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample.out / path, target)
    copy = Copy(tmp_path / "project", lake)
    copy.run("dbt --quiet parse")
    return copy


def land(copy: Copy, path: str, content: bytes) -> None:
    target = copy.lake.landing / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


@pytest.mark.slow
def test_new_streams_are_one_command_each(copy: Copy) -> None:
    """One that Airbyte delivers, and a CSV of a source that is new: declared, fed, tested, with an
    int_ model of the newest versions; and the project keeps its conventions."""
    day = "year=2025/month=02/day=0"
    land(
        copy, f"erp/stock/{day}1/a.csv", b"sku,amount,updated_at\nx,1,2025-02-01\ny,5,2025-02-01\n"
    )
    land(copy, f"erp/stock/{day}2/a.csv", b"sku,amount,updated_at\nx,3,2025-02-02\n")
    before = copy.run(DISCOVER)
    assert "klaviyo.forms" in before and "erp.stock" in before and "--add" in before
    added = copy.run(f"{DISCOVER} --add klaviyo.forms; {DISCOVER} --add erp.stock --key sku")
    assert "key id, newest by updated" in added
    assert "key sku, newest by updated_at" in added
    built = copy.run("dbt build --select stg_klaviyo__forms+ stg_erp__stock+")
    assert "PASS int_klaviyo__forms::int_klaviyo__forms_newest_version" in built
    assert "PASS int_erp__stock::int_erp__stock_newest_version" in built
    assert "WARN=0 ERROR=0" in built
    assert copy.lake.query("select sku, amount from int_erp__stock order by all") == [
        ("x", "3"),
        ("y", "5"),
    ]
    assert copy.lake.value("select count(*) from int_klaviyo__forms") == copy.lake.value(
        "select count(distinct id) from staging.stg_klaviyo__forms"
    )
    names = copy.lake.query("select name from int_klaviyo__forms where name is not null")
    assert names
    again = copy.run("dbt build --select stg_klaviyo__forms+ stg_erp__stock+")
    assert again.count("SKIP") >= 2, "nothing had landed since"
    copy.run("make .lint-dbt")
    assert "forms" not in copy.run(f"dbt --quiet parse; {DISCOVER} klaviyo.forms erp.stock")
    refused = copy.run(f"{DISCOVER} --add erp.stock  # has to fail")
    assert "erp.stock is declared already" in refused


def test_what_is_not_in_step_is_named(copy: Copy) -> None:
    """Columns and nested fields that nobody declared, types that differ, files that cannot be fed,
    what never landed; the YAML to add; and an exit code for a check."""
    table = pa.table(
        {
            "id": pa.array(["l9"]),
            "updated": pa.array(["soon"]),
            "colour": pa.array(["red"]),
            "attributes": pa.array([{"name": "n", "size": 3}]),
        }
    )
    path = copy.lake.landing / "klaviyo/lists/year=2025/month=03/day=01/new.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    land(copy, "klaviyo/lists/year=2025/month=03/day=02/bad.parquet", b"PAR1 and no more")
    printed = copy.run(f"{DISCOVER} klaviyo.lists --yaml")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "colour not declared varchar" in lines
    assert "attributes.size not declared bigint" in lines
    assert any("bad.parquet cannot be fed" in line for line in lines)
    yaml = printed.split("_klaviyo__sources.yml:")[1]
    assert "- name: colour" in yaml and "data_type: varchar" in yaml
    assert "size bigint" in yaml
    copy.run(f"{DISCOVER} klaviyo.lists --check  # has to fail")
    assert "There is no stream klaviyo.nothing" in copy.run(
        f"{DISCOVER} klaviyo.nothing  # has to fail"
    )
    assert "never landed" in copy.run(f"{DISCOVER} shopify.orders")
