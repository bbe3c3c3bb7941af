"""What landed beside what is declared, and new streams made of it, in a copy of the project."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sample import Delivery
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


def make(copy: Copy, arguments: str) -> str:
    """`make discover` in the copy."""
    return copy.run(f"make discover DISCOVER_ARGS='--project .' {arguments}")


@pytest.mark.slow
def test_new_streams_are_one_command_each(copy: Copy) -> None:
    """Parquet of Airbyte with a cursor and without one, CSV and JSON lines of a source that is new,
    with columns whose names are words of YAML and SQL: declared, fed, tested, with an int_ model of
    the newest versions; and `make lint` has nothing to say."""
    day = "year=2025/month=02/day=0"
    header = "sku,amount,updated_at,order,no,Größe (cm),code\n"
    land(
        copy,
        f"erp/stock/{day}1/a.csv",
        f"{header}x,9,2025-02-01,1,n,1.5,007\ny,5,2025-02-01,2,n,2,08\n".encode(),
    )
    land(copy, f"erp/stock/{day}2/a.csv", f"{header}x,10,2025-02-02,1,n,1.5,007\n".encode())
    visits = (
        b'{"id": 1, "at": "2025-02-01T10:00:00Z", "end": true, "page": {"id": 2, "from": "x"}}\n'
    )
    land(copy, f"erp/visits/{day}1/a.jsonl.gz", gzip.compress(visits))
    for number, path in enumerate(sorted((copy.lake.landing / "klaviyo/forms").rglob("*.parquet"))):
        whole = pq.read_table(path).drop_columns(["updated"])
        target = copy.lake.landing / f"klaviyo/kinds/{day}1/part_{number}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(whole, target)

    before = make(copy, "")
    for label in ("klaviyo.forms", "klaviyo.kinds", "erp.stock", "erp.visits"):
        assert f"make discover ADD={label}" in before
    assert "key id, newest by updated." in make(copy, "ADD=klaviyo.forms")
    assert "key id, sent whole" in make(copy, "ADD=klaviyo.kinds")
    assert "key sku, newest by updated_at" in make(copy, "ADD=erp.stock KEY=sku")
    assert "key id, newest by at" in make(copy, "ADD=erp.visits CURSOR=at")
    built = copy.run("dbt build --select stg_klaviyo__forms+ stg_klaviyo__kinds+ source:erp+")
    for model in ("klaviyo__forms", "klaviyo__kinds", "erp__stock", "erp__visits"):
        assert f"PASS int_{model}::int_{model}_newest_version" in built
    assert "WARN=0 ERROR=0" in built
    assert copy.lake.query(
        "select sku, amount, stock_order, code, no from int_erp__stock order by 1"
    ) == [
        ("x", 10, 1, "007", "n"),
        ("y", 5, 2, "08", "n"),
    ]
    assert copy.lake.query("select visit_id, visit_end, page_id, visit_from from int_erp__visits")
    for name in ("forms", "kinds"):
        assert copy.lake.value(f"select count(*) from int_klaviyo__{name}") == copy.lake.value(
            f"select count(distinct id) from staging.stg_klaviyo__{name}"
        )
    names = copy.lake.query("select name from int_klaviyo__forms where name is not null")
    assert names
    again = copy.run("dbt build --select stg_klaviyo__forms+ source:erp+")
    assert again.count("SKIP") >= 3, "nothing had landed since"

    written = sorted(copy.project.glob("models/processed/*/int_*__[fksv][oit]*"))
    models = " ".join(str(path) for path in written if path.suffix == ".sql")
    copy.run(f"make .lint-sql LINT_FILES='{models}'; make .lint-dbt")
    copy.run("yamllint --strict models; make airbyte-catalog CHECK=1")
    catalog = (copy.project / "deploy/airbyte/catalogs/klaviyo.json").read_text()
    assert '"name": "forms"' in catalog and '"name": "kinds"' in catalog
    assert "forms" not in make(copy, "STREAM=klaviyo.forms")
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
    yaml_text = printed.split("_klaviyo__sources.yml:")[1]
    assert "- name: colour" in yaml_text and "data_type: varchar" in yaml_text
    assert "size bigint" in yaml_text
    copy.run(f"{DISCOVER} klaviyo.lists --check  # has to fail")
    assert "There is no stream klaviyo.nothing" in copy.run(
        f"{DISCOVER} klaviyo.nothing  # has to fail"
    )
    assert "never landed" in copy.run(f"{DISCOVER} shopify.orders")
    # What is offered can be pasted: new columns as they stand, grown types in place of the old.
    sources = copy.project / "models/landing/klaviyo/_klaviyo__sources.yml"
    declared = yaml.safe_load(sources.read_text())
    (table,) = [one for one in declared["sources"][0]["tables"] if one["name"] == "lists"]
    columns = {one["name"]: one for one in table["columns"]}
    offered = {one["name"]: one for one in yaml.safe_load(yaml_text)}
    assert "description" not in offered["attributes"]
    columns |= {name: columns.get(name, {}) | one for name, one in offered.items()}
    table["columns"] = list(columns.values())
    sources.write_text(yaml.safe_dump(declared))
    after = copy.run(f"dbt --quiet parse; {DISCOVER} klaviyo.lists")
    assert "not declared" not in after


def test_a_landing_zone_that_cannot_be_reached(copy: Copy) -> None:
    """It has an exit code of its own, so that a schedule tells it from a typing error."""
    copy.environment |= {
        "LAKE_LANDING_URL": "s3://landing/raw",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_MAX_ATTEMPTS": "1",
    }
    assert "code 40" in copy.run(f"{DISCOVER} || echo code $?")
    assert "code 64" in copy.run(f"{DISCOVER} --files 0 || echo code $?")
    assert "code 64" in copy.run(f"{DISCOVER} --key id || echo code $?")
