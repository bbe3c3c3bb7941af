"""`lake discover` in a copy of the project: what landed beside what is declared; new streams."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sample import Delivery
from tests.system.lake import Lake
from tests.system.test_recipes import Copy

DISCOVER = "python -m lotus_lake discover "


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
    return Copy(tmp_path / "project", lake)


def land(copy: Copy, path: str, content: bytes | pa.Table) -> None:
    target = copy.lake.landing / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        pq.write_table(content, target)


@pytest.mark.nightly
def test_new_streams_are_one_command_each(copy: Copy) -> None:
    """Parquet of Airbyte with a cursor and without one, CSV of a new source with odd names, a key
    of two columns or none: declared, fed, tested, with an int_ model of the newest versions;
    `make lint` accepts them. When the key does not hold, a test fails and names two records."""
    header, prices = "sku,amount,updated_at,order,no,Größe (cm)\n", "date,sku,price\n"
    for day, amount in (("01", 9), ("02", 10)):
        rows = f"{header}x,{amount},2025-02-{day},1,n,1.5\n"
        land(copy, f"erp/stock/year=2025/month=02/day={day}/a.csv", rows.encode())
        rows = "".join(f"2025-02-{day},s{number},{number}.5\n" for number in range(12))
        land(copy, f"erp/prices/year=2025/month=02/day={day}/a.csv", f"{prices}{rows}".encode())
    land(copy, "erp/logs/year=2025/month=02/day=01/a.csv", b"what,who\na,x\n")
    for number, path in enumerate(sorted((copy.lake.landing / "klaviyo/forms").rglob("*.parquet"))):
        whole = pq.read_table(path).drop_columns(["updated"])
        land(copy, f"klaviyo/kinds/year=2025/month=02/day=01/{number}.parquet", whole)

    before = copy.run(DISCOVER)
    for label in ("klaviyo.forms", "klaviyo.kinds", "erp.stock"):
        assert f"lake discover --add {label}" in before
    assert "key id, newest by updated." in copy.run(f"{DISCOVER} --add klaviyo.forms")
    assert "key id, sent whole" in copy.run(f"{DISCOVER} --add klaviyo.kinds")
    assert "key sku, newest by updated_at" in copy.run(f"{DISCOVER} --add erp.stock --key sku")
    assert "sku is no key" in copy.run(f"{DISCOVER} --add erp.prices --key sku  # has to fail")
    assert "key date, sku, newest by the file" in copy.run(f"{DISCOVER} --add erp.prices")
    assert "--no-key" in copy.run(f"{DISCOVER} --add erp.logs  # has to fail")
    assert "there is no int_ model" in copy.run(f"{DISCOVER} --add erp.logs --no-key")
    built = copy.run("dbt build --select stg_klaviyo__forms+ stg_klaviyo__kinds+ source:erp+")
    for model in ("klaviyo__forms", "klaviyo__kinds", "erp__stock", "erp__prices"):
        assert f"PASS int_{model}::int_{model}_newest_version" in built
    assert "WARN=0 ERROR=0" in built
    assert copy.lake.query("select sku, amount, no from int_erp__stock") == [("x", "10", "n")]
    for name in ("forms", "kinds"):
        assert copy.lake.value(f"select count(*) from int_klaviyo__{name}") == copy.lake.value(
            f"select count(distinct id) from staging.stg_klaviyo__{name}"
        )
    assert copy.lake.query("select name from int_klaviyo__forms where name is not null")

    assert copy.lake.value("select count(*) from int_erp__prices") == 24

    models = "models/processed/*/int_*__forms.sql models/processed/*/int_erp__*.sql"
    copy.run(f'make .lint-sql LINT_FILES="$(echo {models})"; make .lint-dbt')
    copy.run("yamllint --strict models; make .lint-declared")
    catalog = (copy.project / "deploy/airbyte/catalogs/klaviyo.json").read_text()
    assert '"name": "forms"' in catalog and '"name": "kinds"' in catalog
    assert "forms" not in copy.run(f"{DISCOVER} klaviyo.forms")

    rows = b"date,sku,price\n2025-02-03,x,1\n2025-02-03,x,2\n"
    land(copy, "erp/prices/year=2025/month=02/day=03/a.csv", rows)
    failed = copy.run("dbt build --select source:erp+  # has to fail")
    place = "erp/prices/year=2025/month=02/day=03/a.csv"
    both = [f"row {one} of {place} and row {1 - one} of {place}" for one in (0, 1)]
    assert any(f"erp.prices: date, sku is no key: {rows}" in failed for rows in both), failed


@pytest.mark.slow
def test_what_is_not_as_declared_is_named(copy: Copy) -> None:
    """With the YAML to add, and exit codes that tell a schedule what is wrong."""
    table = pa.table({"id": ["l9"], "colour": ["red"], "attributes": [{"name": "n", "size": 3}]})
    land(copy, "klaviyo/lists/year=2025/month=03/day=01/new.parquet", table)
    land(copy, "klaviyo/lists/year=2025/month=03/day=02/bad.parquet", b"PAR1 and no more")
    printed = copy.run(f"{DISCOVER} klaviyo.lists --yaml")
    assert "  colour not declared varchar\n" in printed
    assert "  attributes.size not declared bigint\n" in printed
    assert "bad.parquet cannot be fed:" in printed
    copy.run(f"{DISCOVER} klaviyo.lists --check  # has to fail")
    assert "code 64" in copy.run(f"{DISCOVER} klaviyo.nothing || echo code $?")
    unreachable = "LAKE_LANDING_URL=s3://landing AWS_ENDPOINT_URL_S3=http://127.0.0.1:1"
    keys = "AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_MAX_ATTEMPTS=1"
    assert "code 40" in copy.run(f"{unreachable} {keys} {DISCOVER} || echo code $?")


@pytest.mark.slow
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
    printed = copy.run("make .lint-declared  # has to fail")
    for name, (_, _, field) in reads.items():
        _, _, told = printed.partition(f"Runtime Error in model {name} ")
        assert field in told.partition("Runtime Error in model")[0]
    assert "Declare what they read in their source's YAML" in printed
