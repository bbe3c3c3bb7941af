"""Column-level lineage: what each column is made of, down to the staging tables (dbt-colibri)."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

from dbt_colibri.lineage_extractor import DbtColumnLineageExtractor
from dbt_colibri.report import DbtColibriReportGenerator


def write(target: Path, out: Path) -> None:
    """Write dbt-colibri's page from dbt's target folder; say which models it could not follow."""
    # It logs every step, and sqlglot what it cannot resolve.
    for name in ("colibri", "sqlglot"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="lotus-lake-lineage-") as folder:
        extractor = DbtColumnLineageExtractor(
            str(target / "manifest.json"), str(target / "catalog.json")
        )
        report = DbtColibriReportGenerator(extractor, disable_telemetry=True)
        report.generate_report(folder)
        errors = Path(folder) / "colibri-parsing-errors.json"
        if errors.exists():
            for error in json.loads(errors.read_text(encoding="utf-8")):
                node = error["node_id"].split(".")[-1]
                print(f"No lineage of {node}: {error['error_message']}", file=sys.stderr)
        out.mkdir()
        (out / "index.html").write_bytes((Path(folder) / "index.html").read_bytes())
