"""Airbyte's configuration: follows from the declarations, and keeps its secrets."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from lotus_lake import airbyte
from lotus_lake.airbyte import configured_catalog, cursor_of
from lotus_lake.config import LakeError
from lotus_lake.schema.types import Type
from lotus_lake.streams import Stream

ROOT = Path(__file__).parents[2]
AIRBYTE = ROOT / "deploy/airbyte"
CATALOGS = AIRBYTE / "catalogs"

Manifest = dict[str, Any]


@pytest.fixture
def changed(manifest: Manifest) -> Manifest:
    """The project as dbt parses it, to be changed."""
    return {part: copy.deepcopy(manifest[part]) for part in ("sources", "nodes")}


def source(manifest: Manifest, stream: str) -> dict[str, Any]:
    """A stream's declaration."""
    found: dict[str, Any] = manifest["sources"][f"source.lotus_lake.{stream}"]
    return found


# -- catalogs --------------------------------------------------------------------------------------


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


def test_times_as_airbyte_has_them() -> None:
    """The catalogs in git show the other types."""
    columns = {
        "seen": Type.parse("timestamp with time zone"),
        "local": Type.parse("timestamp"),
        "day": Type.parse("date"),
    }
    stream = Stream("s", "t", "t", columns, source_cursor="seen", primary_key=("day", "seen"))
    (configured,) = configured_catalog([stream])["streams"]
    assert configured["primary_key"] == [["day"], ["seen"]]
    found = configured["stream"]["json_schema"]["properties"]
    assert found["seen"]["airbyte_type"] == "timestamp_with_timezone"
    assert found["local"]["airbyte_type"] == "timestamp_without_timezone"
    assert found["day"]["format"] == "date"


# -- the files -------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_in_git(manifest: Manifest, tmp_path: Path) -> None:
    """Of every source of Airbyte and no other; and then there is nothing to complain of."""
    airbyte.update(manifest, tmp_path)
    texts = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert texts == {file.name: file.read_text() for file in CATALOGS.iterdir()}
    assert set(texts) == {"shopify.json", "klaviyo.json"}
    assert airbyte.stale(manifest, tmp_path) == []


def test_stale_catalogs_are_told(changed: Manifest, tmp_path: Path) -> None:
    airbyte.update(changed, tmp_path)
    orders = source(changed, "shopify.orders")
    orders["columns"]["tips"] = {**orders["columns"]["id"], "name": "tips"}
    orders["columns"]["name"]["data_type"] = "bigint"
    del source(changed, "klaviyo.lists")["columns"]["updated"]
    source(changed, "klaviyo.lists")["config"]["meta"]["feeder"]["source_cursor"] = "id"
    (tmp_path / "amazon.json").write_text("{}")
    told = "\n".join(airbyte.stale(changed, tmp_path))
    klaviyo, shopify = told.split("shopify.json is stale")
    assert "klaviyo.json is stale. Run: lake catalog" in klaviyo
    assert re.search(r'^-\s+"updated"\n\+\s+"id"', klaviyo, re.M)
    assert re.search(r'^\+\s+"tips": {', shopify, re.M)
    assert "amazon.json belongs to no source" in shopify
    (tmp_path / "shopify.json").unlink()
    assert "shopify.json is missing" in airbyte.stale(changed, tmp_path)[-2]
    airbyte.update(changed, tmp_path)
    assert not (tmp_path / "amazon.json").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"email": None}, "column email is declared without a data_type"),
        ({"source_cursor": None}, "without a source_cursor"),
        ({"source_cursor": "coalesce(x, updated_at)"}, "its cursor, x, is no column"),
        ({"primary_key": "order_number"}, "its primary_key, order_number, is no column"),
        ({"email": "struct(a blob)"}, "column email.a is declared as blob"),
    ],
)
def test_wrong_declarations(
    changed: Manifest, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    orders = source(changed, "shopify.orders")
    ((name, value),) = change.items()
    if name == "email":
        orders["columns"]["email"]["data_type"] = value
    else:
        orders["config"]["meta"]["feeder"][name] = value
    with pytest.raises(LakeError, match=r"shopify\.orders") as wrong:
        airbyte.update(changed, tmp_path / "catalogs")
    assert told in str(wrong.value)
    assert not (tmp_path / "catalogs").exists()


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
    """Used where plans do not show it: by the provider, and in `configuration_secrets`."""
    variables = blocks("variable")
    secret = {name for name, one in variables.items() if one.get("sensitive")}
    assert secret == {name for name in variables if SECRETS.search(name)}
    assert not [name for name in secret if "default" in variables[name]]
    example = yaml.safe_load((AIRBYTE / "flux/secrets.example.yaml").read_text())["stringData"]
    assert example == dict.fromkeys(secret, "REPLACE")
    for place, block in (blocks("data") | blocks("resource") | blocks("provider")).items():
        for path, text in values(block).items():
            if path.startswith(".configuration_secrets"):
                assert re.fullmatch(r"\$\{var\.\w+\}", text) and text[6:-1] in secret, place + path
            elif place != "airbyte":
                assert not secret & set(re.findall(r"\bvar\.(\w+)", text)), place + path
                assert not SECRETS.search(path), place + path


def test_every_source_lands_where_the_feeder_reads() -> None:
    """In the folder of its name in the landing zone, and there by stream and day."""
    for file in CATALOGS.iterdir():
        connection = blocks("resource")[f"airbyte_connection.{file.stem}"]
        assert connection["namespace_format"] == file.stem
        assert connection["configurations"]["streams"] == f'${{local.streams["{file.stem}"]}}'
    landing = blocks("data")["airbyte_connector_configuration.landing"]["configuration"]
    place = f"LAKE_LANDING_URL=s3://{landing['s3_bucket_name']}/{landing['s3_bucket_path']}"
    assert place in (ROOT / "deploy/base/kustomization.yaml").read_text()
    assert landing["s3_path_format"] == (
        "$${NAMESPACE}/$${STREAM_NAME}/year=$${YEAR}/month=$${MONTH}/day=$${DAY}/"
    )


def test_the_provider_is_pinned_and_nothing_is_destroyed() -> None:
    required = blocks("terraform")["required_providers"][0]["airbyte"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", required["version"])
    for name, resource in blocks("resource").items():
        assert resource["lifecycle"] == [{"prevent_destroy": True}], name
