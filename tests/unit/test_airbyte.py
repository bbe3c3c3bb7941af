"""Airbyte's configuration: in step with the declarations, the models and the contract."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from lotus_lake.airbyte.catalog import configured_catalog, differences
from lotus_lake.airbyte.declared import airbyte_streams, cursor_of
from lotus_lake.airbyte.reads import Read, reads, undeclared
from lotus_lake.config import LakeError
from lotus_lake.schema import Type
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

ROOT = Path(__file__).parents[2]
AIRBYTE = ROOT / "deploy/airbyte"
CATALOGS = AIRBYTE / "catalogs"
SCRIPT = ROOT / "scripts/airbyte_catalog.py"

Manifest = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The project as dbt compiles it, on a lake that has nothing. Only to be read."""
    home = tmp_path_factory.mktemp("compile")
    environment = os.environ | {
        "DBT_TARGET": "local",
        "LAKE_LANDING_URL": str(home / "raw"),
        "LAKE_CATALOG": f"sqlite:{home / 'catalog.sqlite'}",
        "LAKE_DATA_URL": f"{home / 'data'}/",
    }
    selected = ["resource_type:model", "resource_type:snapshot", "resource_type:analysis"]
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", "compile"),
            *("--select", *selected, "--indirect-selection", "empty"),
            *("--target-path", str(home), "--log-path", str(home)),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: Manifest = json.loads((home / "manifest.json").read_text())
    return found


@pytest.fixture
def changed(compiled: Manifest) -> Manifest:
    """The same, to be changed."""
    return {part: copy.deepcopy(compiled[part]) for part in ("sources", "nodes")}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script on a manifest, with catalogs in a folder of their own."""

    def runs(manifest: Manifest | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "manifest.json"
        if manifest is not None:
            file.write_text(json.dumps(manifest))
        places = ["--manifest", str(file), "--out", str(tmp_path / "catalogs")]
        return subprocess.run(
            [sys.executable, str(SCRIPT), *places, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    return runs


def source(manifest: Manifest, stream: str) -> dict[str, Any]:
    """A stream's declaration."""
    found: dict[str, Any] = manifest["sources"][f"source.lotus_lake.{stream}"]
    return found


def all_streams(manifest: Manifest) -> list[Stream]:
    return [stream for some in airbyte_streams(manifest).values() for stream in some]


def fields(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    """Every field of a stream in a catalog, by its path."""

    def inside(schema: dict[str, Any], path: str) -> dict[str, Any]:
        found = {path: schema} if path else {}
        for name, child in schema.get("properties", {}).items():
            found |= inside(child, f"{path}.{name}".lstrip("."))
        return found | (inside(schema["items"], f"{path}[]") if "items" in schema else {})

    (one,) = [one["stream"] for one in catalog["streams"] if one["stream"]["name"] == stream]
    return inside(one["json_schema"], "")


# -- catalogs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shopify", "klaviyo"])
def test_catalogs_are_fresh(compiled: Manifest, name: str) -> None:
    catalog = configured_catalog(airbyte_streams(compiled)[name])
    assert differences(CATALOGS / f"{name}.json", catalog) == [], "run: make airbyte-catalog"


def test_every_source_of_airbyte_has_a_catalog_and_no_other(compiled: Manifest) -> None:
    assert {file.stem for file in CATALOGS.iterdir()} == set(airbyte_streams(compiled))
    assert "jaffle_shop" not in airbyte_streams(compiled)


def test_sync_modes() -> None:
    """Of the streams that the contract names; there may be more."""
    modes = {
        f"{source}.{one['stream']['name']}": (one["sync_mode"], one["destination_sync_mode"])
        for source in ("shopify", "klaviyo")
        for one in json.loads((CATALOGS / f"{source}.json").read_text())["streams"]
    }
    whole = {label for label in FORMULAS if modes[label] == ("full_refresh", "overwrite")}
    assert whole == {"klaviyo.metrics"}
    assert {modes[label] for label in FORMULAS.keys() - whole} == {("incremental", "append")}


# What the contract's formulas take from each stream (section 4), without a look at the models.
FORMULAS = {
    "shopify.orders": """id name email customer.id created_at updated_at deleted_at cancelled_at
        cancel_reason test financial_status fulfillment_status currency taxes_included
        total_discounts total_tax total_tip_received total_price source_name
        total_shipping_price_set.shop_money.amount line_items[].id line_items[].product_id
        line_items[].variant_id line_items[].sku line_items[].title line_items[].variant_title
        line_items[].vendor line_items[].quantity line_items[].price line_items[].total_discount
        line_items[].gift_card line_items[].tax_lines[].price""",
    "shopify.order_refunds": """id order_id created_at refund_line_items[].quantity
        refund_line_items[].subtotal refund_line_items[].total_tax order_adjustments[].kind
        order_adjustments[].amount order_adjustments[].tax_amount transactions[].kind
        transactions[].status transactions[].amount""",
    "shopify.customers": """id email first_name last_name created_at updated_at orders_count
        total_spent tags state default_address.city default_address.country""",
    "klaviyo.profiles": """id updated attributes.email attributes.phone_number
        attributes.location.zip attributes.predictive_analytics.predicted_clv
        attributes.predictive_analytics.churn_probability
        attributes.subscriptions.email.marketing.consent""",
    "klaviyo.events": """id datetime attributes.event_properties relationships.profile.data.id
        relationships.metric.data.id""",
    "klaviyo.campaigns": """id updated_at attributes.name attributes.status attributes.send_time
        relationships.campaign_messages.data[].id""",
    "klaviyo.flows": "id updated attributes.trigger_type",
    "klaviyo.metrics": "id updated attributes.name attributes.integration",
    "klaviyo.lists": "id updated attributes.opt_in_process",
}


@pytest.mark.parametrize("label", FORMULAS)
def test_what_the_formulas_need_is_selected(label: str) -> None:
    name, stream = label.split(".")
    selected = fields(json.loads((CATALOGS / f"{name}.json").read_text()), stream)
    assert [path for path in FORMULAS[label].split() if path not in selected] == []
    assert not set(selected) & set(AIRBYTE_COLUMNS)  # the destination adds them by itself


@pytest.mark.parametrize(
    ("expression", "cursor"),
    [
        ("updated_at", ("updated_at",)),
        ("coalesce(updated_at, deleted_at)", ("updated_at",)),
        ("greatest(cast(deleted_at as timestamptz), updated_at)", ("deleted_at",)),
        ("nested.changed", ("nested", "changed")),
        ('"updated_at"', ("updated_at",)),
        ("case when deleted_at is null then updated_at end", ("deleted_at",)),
    ],
)
def test_the_cursor_is_the_first_column(expression: str, cursor: tuple[str, ...]) -> None:
    columns = {
        "updated_at": Type.parse("timestamptz"),
        "deleted_at": Type.parse("timestamptz"),
        "nested": Type.parse("struct(changed timestamptz)"),
    }
    assert cursor_of(Stream("s", "t", "t", columns, source_cursor=expression)) == cursor


def test_types_as_airbyte_has_them() -> None:
    columns = {
        "id": Type.parse("bigint"),
        "at": Type.parse("timestamp with time zone"),
        "local": Type.parse("timestamp"),
        "day": Type.parse("date"),
        "price": Type.parse("decimal(18, 2)"),
        "lines": Type.parse("struct(tags varchar[], test boolean)[]"),
    }
    stream = Stream("s", "t", "t", columns, source_cursor="at", primary_key="id")
    found = fields(configured_catalog([stream]), "t")
    assert found["id"] == {"type": ["null", "integer"]}
    assert found["at"]["airbyte_type"] == "timestamp_with_timezone"
    assert found["local"]["airbyte_type"] == "timestamp_without_timezone"
    assert found["day"]["format"] == "date"
    assert found["price"] == {"type": ["null", "number"]}
    assert found["lines"]["type"] == ["null", "array"]
    assert found["lines[].tags[]"] == {"type": ["null", "string"]}


# -- the script ------------------------------------------------------------------------------------


def test_what_it_writes_is_fresh_and_always_the_same(compiled: Manifest, run: Run) -> None:
    first = run(compiled)
    assert first.returncode == 0, first.stderr
    files = [Path(line) for line in first.stdout.splitlines()]
    texts = [file.read_text() for file in files]
    assert all(text.endswith("}\n") for text in texts)
    run(compiled)
    assert [file.read_text() for file in files] == texts
    assert texts == [(CATALOGS / file.name).read_text() for file in files]
    check = run(compiled, "--check")
    assert (check.returncode, check.stderr) == (0, "")


def test_stale_catalogs_are_told(changed: Manifest, run: Run, tmp_path: Path) -> None:
    run(changed)
    orders = source(changed, "shopify.orders")
    orders["columns"]["tips"] = {**orders["columns"]["id"], "name": "tips"}
    orders["columns"]["name"]["data_type"] = "bigint"
    del source(changed, "klaviyo.lists")["columns"]["updated"]
    source(changed, "klaviyo.lists")["config"]["meta"]["feeder"]["source_cursor"] = "id"
    (tmp_path / "catalogs/amazon.json").write_text("{}")
    check = run(changed, "--check")
    assert check.returncode == 20
    klaviyo, shopify, amazon, *reading = check.stderr.splitlines()
    assert "shopify: " in shopify and shopify.endswith("Run: make airbyte-catalog")
    assert "field orders.tips is missing" in shopify
    assert 'field orders.name is {"type": ["null", "string"]}, declared is' in shopify
    assert "field lists.updated is no longer declared" in klaviyo
    assert 'cursor_field of lists is ["updated"], declared is ["id"]' in klaviyo
    assert "amazon.json belongs to no source" in amazon
    assert reading and all("int_klaviyo__lists" in line for line in reading)
    assert run(changed, "--check", "shopify").stderr.count("klaviyo") == 0
    run(changed)
    assert not (tmp_path / "catalogs/amazon.json").exists()


def test_missing_and_broken_catalogs_are_told(compiled: Manifest, run: Run, tmp_path: Path) -> None:
    assert "the file is missing" in run(compiled, "--check").stderr
    run(compiled)
    for text, told in (
        ("[", "no catalog"),
        ("{}", "no catalog"),
        (json.dumps(json.loads((CATALOGS / "shopify.json").read_text())), "another way"),
    ):
        (tmp_path / "catalogs/shopify.json").write_text(text)
        check = run(compiled, "--check")
        assert check.returncode == 20
        assert told in check.stderr
    (tmp_path / "catalogs/shopify.json").write_bytes(b"\xff\xfe{")
    check = run(compiled, "--check")
    assert (check.returncode, len(check.stderr.splitlines())) == (20, 1)
    assert "shopify.json is stale: the file is no catalog" in check.stderr


def broken(manifest: Manifest, case: str) -> None:
    """Make a declaration wrong."""
    orders = source(manifest, "shopify.orders")
    feeder = orders["config"]["meta"]["feeder"]
    match case:
        case "no type":
            orders["columns"]["email"]["data_type"] = None
        case "no settings":
            orders["config"]["meta"]["feeder"] = "append"
        case "no cursor":
            del feeder["source_cursor"]
        case "a cursor that is not declared":
            feeder["source_cursor"] = "coalesce(changed_at, updated_at)"
        case "a cursor that is no SQL":
            feeder["source_cursor"] = "coalesce(updated_at"
        case "a cursor without a column":
            feeder["source_cursor"] = "now()"
        case "a key that is not declared":
            feeder["primary_key"] = "order_number"
        case "a type that Airbyte has not":
            orders["columns"]["email"]["data_type"] = "struct(a blob)"
        case "no DuckDB type":
            orders["columns"]["email"]["data_type"] = "text of some kind"


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("no type", "column email is declared without a data_type"),
        ("no settings", "meta.feeder has to be a mapping"),
        ("no cursor", "without a source_cursor"),
        ("a cursor that is not declared", "its cursor, changed_at, is no column"),
        ("a cursor that is no SQL", "is no SQL expression"),
        ("a cursor without a column", "its cursor, now(), is no column"),
        ("a key that is not declared", "its primary_key, order_number, is no column"),
        ("a type that Airbyte has not", "column email.a is declared as blob"),
        ("no DuckDB type", "is no DuckDB type"),
    ],
)
def test_wrong_declarations(
    changed: Manifest, run: Run, tmp_path: Path, case: str, told: str
) -> None:
    broken(changed, case)
    done = run(changed)
    assert done.returncode == 64
    assert "shopify.orders" in done.stderr and told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "catalogs").exists()


def test_wrong_usage(compiled: Manifest, run: Run, tmp_path: Path) -> None:
    missing = run(None)
    assert missing.returncode == 64
    assert "There is no manifest at" in missing.stderr
    unknown = run(compiled, "jaffle_shop")
    assert unknown.returncode == 64
    assert "'jaffle_shop' is no source that Airbyte delivers" in unknown.stderr
    assert run(compiled, "--nonsense").returncode == 64
    assert run({"sources": {}}).returncode == 64
    parsed_only = copy.deepcopy(compiled)
    for node in parsed_only["nodes"].values():
        node.pop("compiled_code", None)
    assert run(parsed_only).returncode == 0
    check = run(parsed_only, "--check")
    assert check.returncode == 64 and "no compiled SQL" in check.stderr


# -- what models read ------------------------------------------------------------------------------


def test_models_read_what_is_declared_and_nothing_else(compiled: Manifest) -> None:
    assert [str(read) for read in undeclared(compiled, all_streams(compiled))] == []


def test_every_declared_field_is_followed_to_a_model(compiled: Manifest) -> None:
    """So that nothing of the models' SQL has escaped: each is declared because a model reads it."""
    streams = all_streams(compiled)
    read = {(one.stream.label, one.field) for one in reads(compiled, streams)}
    for label, needed in FORMULAS.items():
        assert [path for path in needed.split() if (label, path) not in read] == []
    inside = {path for label, path in read if label == "shopify.orders" and "[]" in path}
    assert len(inside) > 10


READS = {
    "a column": ("select no_such from {stg}", "no_such", "no_such"),
    "a condition": ("select id from {stg} where no_such > 1", "no_such", ""),
    "a nested field": (
        "select total_shipping_price_set.shop_money.tax as t from {stg}",
        "total_shipping_price_set.shop_money.tax",
        "t",
    ),
    "through an alias": (
        "with a as (select *, customer as who from {stg}), b as (select a.* from a join a as o "
        "using (id)) select b.who.phone from b",
        "customer.phone",
        "phone",
    ),
    "a lambda": (
        "select list_sum(list_transform(list_filter(line_items, lambda l: l.quantity > 0), "
        "lambda l: l.weight)) as w from {stg}",
        "line_items[].weight",
        "w",
    ),
    "a lambda in a lambda": (
        "select list_transform(line_items, lambda l: list_transform(l.tax_lines, lambda t: t.rate))"
        " as r from {stg}",
        "line_items[].tax_lines[].rate",
        "r",
    ),
    "a transformed list": (
        "select flatten(list_transform(line_items, lambda l: l.tax_lines))[1].rate as r from {stg}",
        "line_items[].tax_lines[].rate",
        "r",
    ),
    "an element": (
        "select line_items[1].tax_lines[1].rate as r from {stg}",
        "line_items[].tax_lines[].rate",
        "r",
    ),
    "unnest": (
        "with l as (select unnest(line_items) as line from {stg}) select line.grams as g from l",
        "line_items[].grams",
        "g",
    ),
    "unnest in from": (
        "select line.grams as g from {stg}, unnest(stg.line_items) as u(line)",
        "line_items[].grams",
        "g",
    ),
    "a comprehension": (
        "select [l.grams for l in line_items if l.quantity > 1] as g from {stg}",
        "line_items[].grams",
        "g",
    ),
    "a subscript": ("select customer['phone'] as p from {stg}", "customer.phone", "p"),
    "struct_extract": (
        "select struct_extract(customer, 'phone') as p from {stg}",
        "customer.phone",
        "p",
    ),
    "coalesce": ("select coalesce(customer, null).phone as p from {stg}", "customer.phone", "p"),
    "a conditional": (
        "select (case when test then customer end).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "an aggregate": (
        "select max_by(customer, updated_at).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "a subquery": (
        "select id from {stg} where id in (select inner_one.no_such from {table} as inner_one)",
        "no_such",
        "no_such",
    ),
    "a correlated subquery": (
        "select (select max(x.i) from range(3) as x(i) where x.i < stg.no_such) as m from {stg}",
        "no_such",
        "m",
    ),
    "a union": (
        "with u as (select customer as c from {stg} union all select customer from {stg}) "
        "select c.phone as p from u",
        "customer.phone",
        "p",
    ),
    "from first": ("from {stg} select customer.phone as p", "customer.phone", "p"),
    "a window": (
        "select row_number() over (partition by no_such order by id) as n from {stg}",
        "no_such",
        "n",
    ),
    "order and qualify": (
        "select id from {stg} qualify true order by customer.phone",
        "customer.phone",
        "",
    ),
    "replace": ("select * replace (customer.phone as email) from {stg}", "customer.phone", "email"),
    "rename": (
        "with a as (select * rename (customer as who) from {stg}) select who.phone as p from a",
        "customer.phone",
        "p",
    ),
    "a star of an object": (
        "with a as (select customer.* from {stg}) select phone from a",
        "customer.phone",
        "phone",
    ),
    "an unnested object": (
        "with a as (select unnest(customer) from {stg}) select phone from a",
        "customer.phone",
        "phone",
    ),
    "an object that is made": (
        "with a as (select {'c': customer, 'i': id} as r from {stg}) select r.c.phone as p from a",
        "customer.phone",
        "p",
    ),
    "an object with one more field": (
        "select struct_insert(customer, x := 1).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "objects that a lambda makes": (
        "with a as (select list_transform(line_items, lambda l: {'x': l}) as q from {stg}) "
        "select q[1].x.grams as g from a",
        "line_items[].grams",
        "g",
    ),
    "a whole row": (
        "with a as (select max_by(stg, updated_at) as r from {stg}) select r.customer.phone as p "
        "from a",
        "customer.phone",
        "p",
    ),
    "a window function": (
        "select (lag(customer) over (order by id)).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "an ordered aggregate": (
        "select list(customer order by id)[1].phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "a filtered aggregate": (
        "select (max_by(customer, id) filter (where test)).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "lists put together": (
        "select (line_items || list_append(line_items, null))[1].grams as g from {stg}",
        "line_items[].grams",
        "g",
    ),
    "zipped lists": (
        "select list_transform(list_zip(line_items, [1]), lambda z: z[1].grams) as g from {stg}",
        "line_items[].grams",
        "g",
    ),
    "a reduction": (
        "select list_reduce(line_items, lambda a, b: if(a.price > b.price, a, b)).grams as g "
        "from {stg}",
        "line_items[].grams",
        "g",
    ),
    "a map": ("select map([1], [customer])[1].phone as p from {stg}", "customer.phone", "p"),
    "a function after a dot": (
        "select customer.struct_extract('phone') as p from {stg}",
        "customer.phone",
        "p",
    ),
    "a function that nobody knows": (
        "select some_function(customer).phone as p from {stg}",
        "customer.phone",
        "p",
    ),
    "a cast": ("select customer::struct(phone varchar) as p from {stg}", "customer.phone", "p"),
    "a pivot": ("pivot {table} on no_such using sum(total_price)", "no_such", ""),
    "a pivot in from": (
        "from (pivot {table} on financial_status using sum(no_such) group by id)",
        "no_such",
        "",
    ),
    "what changed": (
        "select no_such from ducklake_table_changes('lakehouse', 'staging', 'stg_shopify__orders',"
        " 1, 2)",
        "no_such",
        "no_such",
    ),
}


def missing_in(compiled: Manifest, sql: str) -> list[Read]:
    """What int_shopify__orders would read undeclared if it were this SQL."""
    table = '"lakehouse"."staging"."stg_shopify__orders"'
    name = "model.lotus_lake.int_shopify__orders"
    text = sql.replace("{stg}", f"{table} as stg").replace("{table}", table)
    nodes = {
        key: node
        for key, node in compiled["nodes"].items()
        if node["resource_type"] == "model" and node["language"] == "python"
    }
    nodes[name] = {**compiled["nodes"][name], "compiled_code": text}
    return undeclared({"nodes": nodes}, all_streams(compiled))


@pytest.mark.parametrize("case", READS)
def test_an_undeclared_field_is_named_with_model_column_and_field(
    compiled: Manifest, case: str
) -> None:
    sql, path, column = READS[case]
    (read,) = missing_in(compiled, sql)
    assert (read.field, read.column, read.stream.label) == (path, column, "shopify.orders")
    assert str(read).startswith("int_shopify__orders (") and path in str(read)


def test_the_keys_of_recompute_are_followed(compiled: Manifest) -> None:
    """The macro runs that SQL by itself; what dbt compiles has it as a comment."""
    models = [
        node
        for node in compiled["nodes"].values()
        if node["resource_type"] == "model" and "recompute(" in node["raw_code"]
    ]
    assert len(models) > 10
    assert [one["name"] for one in models if "/* recompute: " not in one["compiled_code"]] == []
    (read,) = missing_in(compiled, "/* recompute: select no_such as id from {table} */ select 1")
    assert (read.field, read.column) == ("no_such", "id")


def test_an_undeclared_field_is_found_further_down(changed: Manifest, run: Run) -> None:
    """A model that hands an object on, and another one that reads a field of it."""
    nodes = changed["nodes"]
    nodes["model.lotus_lake.int_shopify__customers"]["compiled_code"] = (
        'select *, default_address as home from "lakehouse"."staging"."stg_shopify__customers"'
    )
    nodes["model.lotus_lake.dim_customers"]["compiled_code"] = (
        'select home.street as street from "lakehouse"."main"."int_shopify__customers"'
    )
    run(changed)
    check = run(changed, "--check", "shopify")
    assert check.returncode == 20
    assert (
        "dim_customers (column street) reads default_address.street of shopify.customers"
        in check.stderr
    )


FINE = [
    "select list_transform(line_items, lambda l: l.price) as p, p[1] as first_price from {stg}",
    "select line_items[1].sku[1] as letter, name[1:3] as s, rowid, _source_file from {stg}",
    "select id as test_id, test_id + 1 as next from {stg} where next > 1 group by all",
    "select {'a': id}.a as a, json_extract_string(email, '$.x') as x from {stg}",
    "select r.i from range(3) as r(i)",
    "select stg.* exclude (email), _airbyte_meta.changes[1].field from {stg}",
    "select n.size, n.hue from (values (1, 2)) as n (size, hue) join {stg} on stg.id = n.size",
    "with recursive r as (select id, 0 as depth from {stg} union all select id, depth + 1 from r) "
    "select depth from r",
    "select struct_insert(customer, x := 1).x, row(id, customer)[2].id, "
    "regexp_extract(name, '(.)(.)', ['a', 'b']).a from {stg}",
    "select to_json(customer), list_zip(line_items, [1])[1][1].price, count(*) over () from {stg}",
    "with a as (select id, name from {stg}) select max(columns(*)) from a natural join a as b",
    "select customer::struct(id bigint), unnest(line_items).tax_lines[1].price from {stg}",
]


@pytest.mark.parametrize("sql", FINE)
def test_what_is_declared_or_the_query_s_own_is_not_named(compiled: Manifest, sql: str) -> None:
    assert [str(read) for read in missing_in(compiled, sql)] == []


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select unnest(line_items, recursive := true) from {stg}", "unnests line_items"),
        ("select columns('total_.*') from {stg}", "columns() takes whatever landed"),
        ("select to_json(customer) ->> '$.phone' from {stg}", "reads customer as JSON"),
        ("select struct_extract_at(customer, 2) from {stg}", "a field of customer by its place"),
        ("select 1 from {stg} natural join {table} as b", "a natural join"),
        ("select a from {table} as t (a)", "by their place"),
        ("select a from query('select 1 as a')", "query() runs SQL"),
    ],
)
def test_sql_that_does_not_say_what_it_reads_is_refused(
    compiled: Manifest, sql: str, told: str
) -> None:
    with pytest.raises(LakeError, match="The SQL of int_shopify__orders cannot be followed") as one:
        missing_in(compiled, sql)
    assert told in str(one.value)


def test_python_over_what_landed_is_refused(changed: Manifest, run: Run) -> None:
    """One that reads a table whose columns SQL has named is fine."""
    model = changed["nodes"]["model.lotus_lake.int_shopify__customers"]
    model |= {"language": "python", "compiled_code": "def model(dbt, session): ..."}
    run(changed)
    check = run(changed, "--check")
    assert check.returncode == 64
    assert (
        "int_shopify__customers is Python, and what it reads of shopify.customers" in check.stderr
    )
    model["depends_on"]["nodes"] = ["model.lotus_lake.int_shopify__orders"]
    assert run(changed, "--check").returncode == 0


def test_sql_that_cannot_be_followed_is_told(changed: Manifest) -> None:
    changed["nodes"]["model.lotus_lake.fct_sales"]["compiled_code"] = "select from where ("
    with pytest.raises(LakeError, match="fct_sales cannot be followed"):
        undeclared(changed, all_streams(changed))


# -- Terraform -------------------------------------------------------------------------------------

_PLAIN = hcl2.SerializationOptions(
    with_comments=False, explicit_blocks=False, strip_string_quotes=True
)


def blocks(kind: str) -> dict[str, Any]:
    """Every block of a kind below deploy/airbyte, by its labels."""
    found: dict[str, Any] = {}
    for file in sorted(AIRBYTE.glob("*.tf")):
        with file.open() as text:
            for block in hcl2.load(text, serialization_options=_PLAIN).get(kind, []):
                for label, body in block.items():
                    if kind in ("resource", "data"):
                        found |= {f"{label}.{name}": inner for name, inner in body.items()}
                    else:
                        found[label] = body
    return found


def values(block: Any, path: str = "") -> dict[str, str]:
    """Every text in a block, by its path."""
    if isinstance(block, dict):
        return {k: v for key, one in block.items() for k, v in values(one, f"{path}.{key}").items()}
    if isinstance(block, list):
        return {k: v for one in block for k, v in values(one, path).items()}
    return {path: block} if isinstance(block, str) else {}


SECRETS = re.compile(r"secret|token|password|api_key|access_key|client_id")


def test_every_secret_is_a_sensitive_variable() -> None:
    variables = blocks("variable")
    secret = {name for name, one in variables.items() if one.get("sensitive")}
    assert secret == {name for name in variables if SECRETS.search(name)}
    assert not [name for name in secret if "default" in variables[name]]
    used = set()
    places = blocks("data") | blocks("resource") | blocks("provider")
    for place, block in places.items():
        for path, text in values(block).items():
            names = set(re.findall(r"\bvar\.(\w+)", text))
            used |= names
            if path.startswith(".configuration_secrets") or place == "airbyte":
                continue
            # Elsewhere plans would show it; the configuration with its secrets is sensitive itself.
            assert not names & secret, f"{place}{path}"
            assert not SECRETS.search(path), f"{place}{path}"
        for path, text in values(block.get("configuration_secrets", {})).items():
            assert re.fullmatch(r"\$\{var\.\w+\}", text) and text[6:-1] in secret, f"{place}{path}"
    assert used == set(variables)
    provider = blocks("provider")["airbyte"]
    assert provider["client_id"] == "${var.airbyte_client_id}"
    assert provider["client_secret"] == "${var.airbyte_client_secret}"


def test_every_stream_is_in_exactly_one_connection(compiled: Manifest) -> None:
    connections = {
        name.split(".")[1]: one
        for name, one in blocks("resource").items()
        if name.startswith("airbyte_connection.")
    }
    assert set(connections) == set(airbyte_streams(compiled))
    for name, connection in connections.items():
        assert connection["source_id"] == f"${{airbyte_source.{name}.source_id}}"
        assert connection["configurations"]["streams"] == f'${{local.streams["{name}"]}}'
        # So that the source's folder in the landing zone has its name.
        assert connection["namespace_definition"] == "custom_format"
        assert connection["namespace_format"] == name
        assert connection["schedule"]["schedule_type"] == "cron"
        catalog = json.loads((CATALOGS / f"{name}.json").read_text())
        named = [one["stream"]["name"] for one in catalog["streams"]]
        assert len(named) == len(set(named))
        assert named == [stream.name for stream in airbyte_streams(compiled)[name]]
    schedules = blocks("variable")["schedules"]["default"]
    assert set(schedules) == set(connections)
    for cron in schedules.values():
        assert re.fullmatch(r"\d+ \d+ [\d*/,-]+ \* \* \?", cron)  # Airbyte: at most hourly


def test_terraform_reads_the_catalogs() -> None:
    local = blocks("locals")
    assert 'jsondecode(file("${path.module}/catalogs/${source}.json"))' in local["catalogs"]
    for part in (
        "name = configured.stream.name",
        'sync_mode = "${configured.sync_mode}_${configured.destination_sync_mode}"',
        "configured.cursor_field",
        "keys(configured.stream.json_schema.properties) : {field_path = [name]}",
    ):
        assert part in local["streams"]


def test_the_destination_writes_what_the_contract_says() -> None:
    written_as = blocks("data")["airbyte_connector_configuration.landing"]["configuration"]
    config = (ROOT / "deploy/base/kustomization.yaml").read_text()
    bucket, path = written_as["s3_bucket_name"], written_as["s3_bucket_path"]
    assert f"LAKE_LANDING_URL=s3://{bucket}/{path}" in config
    assert written_as["s3_path_format"] == (
        "$${NAMESPACE}/$${STREAM_NAME}/year=$${YEAR}/month=$${MONTH}/day=$${DAY}/"
    )
    assert written_as["file_name_pattern"] == "part_{part_number}{format_extension}"
    assert written_as["format"] == {"format_type": "Parquet", "compression_codec": "ZSTD"}


def test_the_provider_is_pinned_and_nothing_is_destroyed() -> None:
    required = blocks("terraform")["required_providers"][0]["airbyte"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", required["version"])
    for name, resource in blocks("resource").items():
        assert resource["lifecycle"] == [{"prevent_destroy": True}], name


def test_flux_gives_terraform_every_variable() -> None:
    terraform = yaml.safe_load((AIRBYTE / "flux/terraform.yaml").read_text())["spec"]
    secrets = yaml.safe_load((AIRBYTE / "flux/secrets.example.yaml").read_text())
    variables = blocks("variable")
    given = {one["name"] for one in terraform["vars"]}
    assert terraform["varsFrom"] == [{"kind": "Secret", "name": secrets["metadata"]["name"]}]
    assert set(secrets["stringData"].values()) == {"REPLACE"}
    assert set(secrets["stringData"]) == {
        name for name, one in variables.items() if one.get("sensitive")
    }
    assert given <= set(variables) - set(secrets["stringData"])
    assert {name for name, one in variables.items() if "default" not in one} == (
        given | set(secrets["stringData"])
    )
    assert (ROOT / terraform["path"] / "main.tf").exists()
    assert set(terraform["writeOutputsToSecret"]["outputs"]) <= set(blocks("output"))


def test_terraform_is_formatted() -> None:
    """By the tool itself, where there is one: it comes from no package index."""
    tool = shutil.which("tofu") or shutil.which("terraform")
    if not tool:
        pytest.skip("neither tofu nor terraform is installed")
    done = subprocess.run(
        [tool, "fmt", "-check", "-diff", str(AIRBYTE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
