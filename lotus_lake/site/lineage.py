"""Column-level lineage: what each column is made of, from the facts down to what landed."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from dbt_colibri.lineage_extractor import (
    DbtColumnLineageExtractor,
)
from dbt_colibri.report import (
    DbtColibriReportGenerator,
)

from lotus_lake.config import LakeError
from lotus_lake.diff.relations import quote
from lotus_lake.site.frame import LINEAGE, framed, in_head, mended, snippet

Node = dict[str, Any]

# Columns that the feeder adds to what landed; they come from no column.
_FROM_THE_FEEDER = ("_source_file", "_source_row", "_cursor_version")

_FAULTS = {
    "<title>Colibri Data</title>": "<title>Column lineage of lotus-lake</title>",
    # A click on a column shows its whole path, which else only a menu of the right button does.
    "J_.current=Hl},[Hl]": "J_.current=cc},[cc]",
    'console.log("showColumnsFullLineage",Hf,vr),': "",
}


def write(manifest: Node, catalog: Node, out: Path) -> None:
    """Write the page with the lineage of every column.

    Args:
        manifest: dbt's ``manifest.json``, compiled.
        catalog: dbt's ``catalog.json``.
        out: The folder of this part of the site.

    Raises:
        LakeError: A model's SQL cannot be followed; the message names it.
    """
    _complete(manifest, catalog)
    _follow_the_feeder(manifest, catalog)
    _find_hidden_inputs(manifest)
    bare = [
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and not node.get("compiled_code")
    ]
    if bare:
        raise LakeError(
            f"manifest.json has no compiled SQL of {', '.join(bare)}: run `dbt docs generate`, "
            "which compiles."
        )
    # They log every step, and what could not be followed is an error below.
    for name in ("colibri", "sqlglot"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="lotus-lake-lineage-") as folder:
        home = Path(folder)
        (home / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (home / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
        extractor = DbtColumnLineageExtractor(
            str(home / "manifest.json"), str(home / "catalog.json")
        )
        report = DbtColibriReportGenerator(extractor, disable_telemetry=True)
        report.generate_report(str(home))
        errors = home / "colibri-parsing-errors.json"
        if errors.exists():
            raise LakeError(_told(json.loads(errors.read_text(encoding="utf-8"))))
        text = (home / "index.html").read_text(encoding="utf-8")
    text = framed(
        in_head(mended(text, _FAULTS, "dbt-colibri"), snippet("lineage.html")), LINEAGE, "../"
    )
    out.mkdir(parents=True)
    (out / "index.html").write_text(text, encoding="utf-8")


def _complete(manifest: Node, catalog: Node) -> None:
    """Give each table the columns that it declares, where dbt has not found it in the lake.

    Sources lie in a landing zone, which is no schema; and the lake may not be built yet.
    """
    for kind in ("sources", "nodes"):
        for name, node in manifest[kind].items():
            if node["resource_type"] not in ("source", "model", "seed", "snapshot"):
                continue
            if name in catalog[kind] and kind == "nodes":
                continue
            for column, declared in node["columns"].items():
                _add(catalog[kind], name, node, column, declared.get("data_type"))


def _follow_the_feeder(manifest: Node, catalog: Node) -> None:
    """Say in SQL what the feeder does: a staging table has the columns that landed, and its own."""
    for name, model in manifest["nodes"].items():
        if model["resource_type"] != "model" or model["language"] != "python":
            continue
        (landed,) = [one for one in model["depends_on"]["nodes"] if one in manifest["sources"]]
        source = manifest["sources"][landed]
        for column, declared in source["columns"].items():
            _add(catalog["nodes"], name, model, column, declared.get("data_type"))
        columns = []
        for column, found in catalog["nodes"][name]["columns"].items():
            if column in _FROM_THE_FEEDER:
                columns.append(f"null as {quote(column)}")
            else:
                # Columns that nobody declared come along too.
                _add(catalog["sources"], landed, source, column, found["type"])
                columns.append(quote(column))
        model["language"] = "sql"
        model["path"] = model["path"].replace(".py", ".sql")
        model["compiled_code"] = f"select {', '.join(columns)} from {source['relation_name']}"


def _find_hidden_inputs(manifest: Node) -> None:
    """Let models depend on the lake's own tables that macros read for them."""
    sources = {
        source["relation_name"].replace('"', ""): name
        for name, source in manifest["sources"].items()
    }
    for model in manifest["nodes"].values():
        if model["resource_type"] in ("model", "snapshot"):
            code = (model.get("compiled_code") or "").replace('"', "")
            inputs = model["depends_on"]["nodes"]
            inputs += [
                name
                for relation, name in sources.items()
                if name not in inputs and re.search(rf"\b{re.escape(relation)}\b", code)
            ]


def _add(tables: Node, name: str, node: Node, column: str, data_type: str | None) -> None:
    """Add a column to a table of dbt's catalog, and the table, where they are not there yet."""
    table = tables.setdefault(
        name,
        {
            "unique_id": name,
            "metadata": {
                "type": "BASE TABLE",
                "database": node["database"],
                "schema": node["schema"],
                "name": node.get("identifier") or node["alias"],
            },
            "columns": {},
            "stats": {},
        },
    )
    columns = table["columns"]
    if column not in columns:
        columns[column] = {
            "type": (data_type or "unknown").upper(),
            "index": len(columns) + 1,
            "name": column,
            "comment": None,
        }


def _told(errors: list[Node]) -> str:
    """What could not be followed."""
    lines = [f"{error['node_id'].split('.')[-1]}: {error['error_message']}" for error in errors]
    return (
        "The lineage of these models cannot be followed. Read tables with ref() and source(), and "
        "declare the columns of sources:\n" + "\n".join(lines)
    )
