"""Airbyte's configuration: in step with the declarations, the models and the contract."""

from __future__ import annotations

import copy
import json
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
from lotus_lake.schema import Type
from lotus_lake.streams import AIRBYTE_COLUMNS, Stream

ROOT = Path(__file__).parents[2]
AIRBYTE = ROOT / "deploy/airbyte"
CATALOGS = AIRBYTE / "catalogs"
SCRIPT = ROOT / "scripts/airbyte_catalog.py"

Manifest = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def changed(manifest: Manifest) -> Manifest:
    """The project as dbt parses it, to be changed."""
    return {part: copy.deepcopy(manifest[part]) for part in ("sources", "nodes")}


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
def test_catalogs_are_fresh(manifest: Manifest, name: str) -> None:
    catalog = configured_catalog(airbyte_streams(manifest)[name])
    assert differences(CATALOGS / f"{name}.json", catalog) == [], "run: make airbyte-catalog"


def test_every_source_of_airbyte_has_a_catalog_and_no_other(manifest: Manifest) -> None:
    assert {file.stem for file in CATALOGS.iterdir()} == set(airbyte_streams(manifest))
    assert "jaffle_shop" not in airbyte_streams(manifest)


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


def test_what_it_writes_is_fresh_and_always_the_same(manifest: Manifest, run: Run) -> None:
    first = run(manifest)
    assert first.returncode == 0, first.stderr
    files = [Path(line) for line in first.stdout.splitlines()]
    texts = [file.read_text() for file in files]
    assert all(text.endswith("}\n") for text in texts)
    run(manifest)
    assert [file.read_text() for file in files] == texts
    assert texts == [(CATALOGS / file.name).read_text() for file in files]
    check = run(manifest, "--check")
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
    klaviyo, shopify, amazon = check.stderr.splitlines()
    assert "shopify: " in shopify and shopify.endswith("Run: make airbyte-catalog")
    assert "field orders.tips is missing" in shopify
    assert 'field orders.name is {"type": ["null", "string"]}, declared is' in shopify
    assert "field lists.updated is no longer declared" in klaviyo
    assert 'cursor_field of lists is ["updated"], declared is ["id"]' in klaviyo
    assert "amazon.json belongs to no source" in amazon
    assert run(changed, "--check", "shopify").stderr.count("klaviyo") == 0
    run(changed)
    assert not (tmp_path / "catalogs/amazon.json").exists()


def test_missing_and_broken_catalogs_are_told(manifest: Manifest, run: Run, tmp_path: Path) -> None:
    assert "the file is missing" in run(manifest, "--check").stderr
    run(manifest)
    for text, told in (
        ("[", "no catalog"),
        ("{}", "no catalog"),
        (json.dumps(json.loads((CATALOGS / "shopify.json").read_text())), "another way"),
    ):
        (tmp_path / "catalogs/shopify.json").write_text(text)
        check = run(manifest, "--check")
        assert check.returncode == 20
        assert told in check.stderr
    (tmp_path / "catalogs/shopify.json").write_bytes(b"\xff\xfe{")
    check = run(manifest, "--check")
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


def test_wrong_usage(manifest: Manifest, run: Run, tmp_path: Path) -> None:
    missing = run(None)
    assert missing.returncode == 64
    assert "There is no manifest at" in missing.stderr
    unknown = run(manifest, "jaffle_shop")
    assert unknown.returncode == 64
    assert "'jaffle_shop' is no source that Airbyte delivers" in unknown.stderr
    assert run(manifest, "--nonsense").returncode == 64
    assert run({"sources": {}}).returncode == 64


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


def test_every_stream_is_in_exactly_one_connection(manifest: Manifest) -> None:
    connections = {
        name.split(".")[1]: one
        for name, one in blocks("resource").items()
        if name.startswith("airbyte_connection.")
    }
    assert set(connections) == set(airbyte_streams(manifest))
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
        assert named == [stream.name for stream in airbyte_streams(manifest)[name]]
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
