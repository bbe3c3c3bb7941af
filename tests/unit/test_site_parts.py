"""What the site is made of: links between guides, lineage, and pages of others that are mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lotus_lake.config import LakeError
from lotus_lake.site import frame, guides, layers, lineage

CONF = Path(__file__).parents[2] / "docs/conf.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a few guides."""
    texts = {
        "docs/conf.py": CONF.read_text(),
        "docs/index.md": "# Shop\n\n<!-- parts of the site -->\n\n## Ask\n\n- [Tables](models.md)\n"
        "- [Why](why/README.md)\n- [Read me](../README.md)\n- [Help](../CONTRIBUTING.md)\n"
        "- [News](../CHANGELOG.md)\n",
        "docs/models.md": "# Tables\n\n## What's new: `fct_sales`\n\n[role](../deploy/role.sql),"
        " [above](#whats-new-fct_sales), [first](why/0001.md#first)\n",
        "docs/why/README.md": "# Why\n\n[0001](0001.md),"
        " [tables](../models.md#whats-new-fct_sales)\n",
        "docs/why/0001.md": "# First\n\n```sh\nls [a](b.md)\n```\n",
        "deploy/role.sql": "select '```';\n",
        **{
            name: f"# {name}\n\n[Guides](docs/index.md), [why](docs/why)\n"
            for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
        },
    }
    for name, text in texts.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


def edit(file: Path, old: str, new: str) -> None:
    """Change a guide."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# -- guides ----------------------------------------------------------------------------------------


def test_links_between_files_become_links_between_pages(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    guides.write(project, out, {})
    models = (out / "models.html").read_text()
    assert 'href="files/deploy/role.sql.html"' in models
    assert 'href="why/0001.html#first"' in models
    assert "select" in (out / "files/deploy/role.sql.html").read_text()
    assert 'href="../models.html#' in (out / "why/index.html").read_text()
    assert 'href="why/index.html"' in (out / "readme.html").read_text()
    # What stands in a block of code is no link.
    assert "b.md" in (out / "why/0001.html").read_text()
    front = (out / "index.html").read_text()
    for part in frame.PARTS:
        assert f'href="{part.page}"' in front
    assert 'href="../lineage/index.html"' in (out / "why/0001.html").read_text()
    assert not (out / "_sources").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("docs/models.md", "../deploy/role.sql", "../deploy/gone.sql", "docs/models.md links to"),
        ("docs/models.md", "../deploy/role.sql", "../../outside.sql", "docs/models.md links to"),
        ("docs/models.md", "(#whats-new", "(#what-is-old", "docs/models.md:5"),
        ("docs/why/README.md", "models.md#whats-new", "models.md#old", "docs/why/index.md:3"),
        ("docs/index.md", "- [Tables](models.md)\n", "", "docs/models.md"),
        ("docs/why/README.md", "[0001](0001.md), ", "", "docs/why/0001.md"),
    ],
    ids=["gone", "outside", "own anchor", "anchor", "in no menu", "in no menu of its folder"],
)
def test_a_faulty_guide_is_named(
    project: Path, tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    edit(project / file, old, new)
    (tmp_path / "outside.sql").touch()
    with pytest.raises(LakeError, match=told):
        guides.write(project, tmp_path / "site", {})


def test_the_guides_of_this_project_have_no_fault(tmp_path: Path) -> None:
    """Each is in a menu, and each link leads somewhere."""
    guides.write(CONF.parents[1], tmp_path / "site", {})
    assert (tmp_path / "site/index.html").exists()


# -- layers ----------------------------------------------------------------------------------------


def small_manifest() -> dict[str, Any]:
    """A source, a model that reads it, and a view of the bookkeeping that nobody answers for."""

    def node(path: str, name: str, reads: list[str], group: str | None) -> dict[str, Any]:
        return {
            "unique_id": f"model.lotus_lake.{name}",
            "resource_type": "model",
            "name": name,
            "original_file_path": path,
            "description": f"Rows of {name},\nor | none.\n\nMore of it.",
            "depends_on": {"nodes": reads},
            "group": group,
        }

    source = {
        "unique_id": "source.lotus_lake.shop.orders",
        "resource_type": "source",
        "source_name": "shop",
        "name": "orders",
    }
    nodes = [
        node("models/landing/shop/stg_orders.py", "stg_orders", [source["unique_id"]], "platform"),
        node("models/meta/fct_runs.sql", "fct_runs", [], None),
    ]
    return {
        "nodes": {one["unique_id"]: one for one in nodes},
        "sources": {source["unique_id"]: source},
        "docs": {
            f"doc.lotus_lake.layer_{layer}": {"block_contents": f"About {layer}."}
            for layer in layers.LAYERS
        },
        "groups": {"group.lotus_lake.platform": {"owner": {"name": "Data platform"}}},
        "child_map": {
            "model.lotus_lake.stg_orders": ["test.a", "unit_test.b", "model.lotus_lake.c"],
            "model.lotus_lake.fct_runs": [],
        },
    }


def test_a_layer_has_a_page_with_its_tables(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    edit(project / "docs/index.md", "- [Tables]", "<!-- layers -->\n- [Tables]")
    guides.write(project, out, layers.pages(small_manifest()))
    assert 'href="layers/index.html"' in (out / "index.html").read_text()
    index = (out / "layers/index.html").read_text()
    assert all(f'href="{layer}.html"' in index for layer in layers.LAYERS)
    landing = (out / "layers/landing.html").read_text()
    for expected in (
        "About landing.",
        'href="../catalog/index.html#!/model/model.lotus_lake.stg_orders"',
        'href="../lineage/index.html?model=model.lotus_lake.stg_orders"',
        'href="../catalog/index.html#!/source/source.lotus_lake.shop.orders"',
        "<p>Rows of stg_orders,\nor | none.</p>",
        "2 tests",
        "Data platform answers for it",
    ):
        assert expected in landing
    assert "stg_orders" not in (out / "layers/meta.html").read_text()


def test_a_table_outside_of_the_layers_is_named() -> None:
    manifest = small_manifest()
    node = manifest["nodes"]["model.lotus_lake.fct_runs"]
    node["original_file_path"] = "models/elsewhere/fct_runs.sql"
    with pytest.raises(LakeError, match=r"models/elsewhere/fct_runs\.sql is in no layer"):
        layers.pages(manifest)


def test_a_layer_that_nobody_described_is_named() -> None:
    manifest = small_manifest()
    del manifest["docs"]["doc.lotus_lake.layer_meta"]
    with pytest.raises(LakeError, match="no doc block layer_meta"):
        layers.pages(manifest)


# -- pages of others -------------------------------------------------------------------------------


def test_a_fault_that_is_gone_is_told() -> None:
    assert frame.mended("a fault", {"fault": "mend"}, "dbt docs") == "a mend"
    with pytest.raises(LakeError, match="page of dbt docs has no 'fault' any more"):
        frame.mended("a page", {"fault": "mend"}, "dbt docs")


def test_every_page_gets_the_bar() -> None:
    page = frame.framed(
        "<html><head></head><body class='a'><p>text</p></body></html>", frame.STATUS, "../"
    )
    assert page.index("<body class='a'><nav") < page.index("<p>text")
    assert 'href="../status/index.html" aria-current=true' in page
    with pytest.raises(LakeError, match="has no </head>"):
        frame.framed("<p>text</p>", frame.STATUS, "../")


# -- lineage ---------------------------------------------------------------------------------------


def node(kind: str, name: str, columns: list[str], **more: Any) -> dict[str, Any]:
    """A node as dbt's manifest has one."""
    schema, _, table = name.rpartition(".")
    return {
        "unique_id": f"{kind}.shop.{name}",
        "resource_type": kind,
        "package_name": "shop",
        "database": "lake",
        "schema": schema,
        "name": table,
        "alias": table,
        "identifier": table,
        "relation_name": f'"lake"."{schema}"."{table}"',
        "path": f"{table}.sql",
        "original_file_path": f"models/{table}.sql",
        "language": "sql",
        "raw_code": "",
        "config": {"materialized": "table"},
        "columns": {column: {"name": column, "data_type": "bigint"} for column in columns},
        "depends_on": {"nodes": [], "macros": []},
        **more,
    }


def shop(sql: str) -> dict[str, Any]:
    """A manifest: a stream, the staging table that Python makes of it, and a fact in SQL."""
    landed = node("source", "landing.orders", ["id", "price"])
    cursors = node("source", "meta.cursors", ["backlog"])
    staged = node(
        "model",
        "staging.stg_orders",
        ["id", "_source_file"],
        language="python",
        path="stg_orders.py",
        compiled_code="def model(dbt, session): ...",
        depends_on={"nodes": [landed["unique_id"]], "macros": []},
    )
    fact = node(
        "model",
        "main.fct_sales",
        ["order_id", "sales"],
        compiled_code=sql,
        depends_on={"nodes": [staged["unique_id"]], "macros": []},
    )
    return {
        "metadata": {"adapter_type": "duckdb", "project_name": "shop"},
        "nodes": {one["unique_id"]: one for one in (staged, fact)},
        "sources": {one["unique_id"]: one for one in (landed, cursors)},
        "exposures": {},
    }


SALES = (
    "select id as order_id, price * 2 as sales from lake.staging.stg_orders"
    " where (select max(backlog) from lake.meta.cursors) = 0"
)


def test_a_path_leads_to_what_landed(tmp_path: Path) -> None:
    """Through a table that Python makes; also where nothing is built yet."""
    manifest = shop(SALES)
    lineage.write(manifest, {"nodes": {}, "sources": {}}, tmp_path / "lineage")
    assert "window.colibriTelemetry = false" in (tmp_path / "lineage/index.html").read_text()
    staged = manifest["nodes"]["model.shop.staging.stg_orders"]
    assert staged["compiled_code"] == (
        'select "id", null as "_source_file", "price" from "lake"."landing"."orders"'
    )
    fact = manifest["nodes"]["model.shop.main.fct_sales"]
    assert "source.shop.meta.cursors" in fact["depends_on"]["nodes"]


def test_a_model_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    sql = SALES.replace("lake.meta.cursors", "lake.meta.undeclared")
    with pytest.raises(LakeError, match="fct_sales: Cannot resolve 'backlog'"):
        lineage.write(shop(sql), {"nodes": {}, "sources": {}}, tmp_path / "lineage")
    bare = shop("")
    with pytest.raises(LakeError, match="no compiled SQL of fct_sales"):
        lineage.write(bare, {"nodes": {}, "sources": {}}, tmp_path / "lineage")
