"""The status page: one HTML file made of the lake's own tables, which needs no server.

Each table of the page is a query in ``queries/``; its columns are the query's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect
from lotus_lake.exits import Unreachable
from lotus_lake.pages import charts, environment, guarded
from lotus_lake.wording import counted

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]
Owners = Mapping[str, str | None]

# Below the root of the site.
PAGE = "status/index.html"

_QUERIES = Path(__file__).parent / "queries"
_SECTIONS = {
    "Is everything fresh?": {"streams": "Streams", "quarantine": "In quarantine"},
    "What ran?": {
        "failures": "What failed or warned when it last ran",
        "runs": "The last runs that changed something or failed",
        "durations": "Seconds by node, last 30 days",
    },
    "How does the data move?": {
        "deliveries": "The last deliveries",
        "schema_changes": "How what lands has changed",
    },
    "What does it cost?": {"tables": "Tables"},
}


@dataclass(frozen=True)
class Status:
    """What the page shows: the rows of each query, and the problems in words."""

    tables: Tables
    problems: list[str]
    made_at: datetime
    # Of each table of the project its place in dbt's catalog, by name.
    catalogued: Mapping[str, str]

    @property
    def never_fed(self) -> list[str]:
        """The streams of which nothing has been fed yet."""
        return [row["stream"] for row in self.tables["streams"] if not row["last_fed_at"]]


def write(config: LakeConfig, manifest: Path, site: Path) -> Status:
    """Write the page into the folder of a site; what it shows.

    Raises:
        Unreachable: The lake cannot be read, or was not built yet.
    """
    try:
        status = collect(config, owners(manifest))
    except LakeError as error:
        raise Unreachable(str(error)) from error
    (site / PAGE).parent.mkdir(parents=True, exist_ok=True)
    (site / PAGE).write_text(render(status), encoding="utf-8")
    return status


def owners(manifest: Path) -> Owners:
    """Who looks after each node of the project, by dbt's id of it; None for nobody."""
    content = json.loads(manifest.read_bytes())
    nodes = content["nodes"]
    # A unit test is looked after by those of its model.
    of_tests = {
        name: nodes[one["depends_on"]["nodes"][0]] for name, one in content["unit_tests"].items()
    }
    return {
        name: node["config"].get("group") or (node["config"].get("meta") or {}).get("owner")
        for name, node in {**nodes, **of_tests}.items()
    }


def collect(config: LakeConfig, owners: Owners, now: datetime | None = None) -> Status:
    """Read the lake, all as of one moment.

    Raises:
        LakeError: The lake cannot be read, or was not built with these models yet.
    """
    now = now or datetime.now(UTC)
    try:
        with connect(config) as connection:
            connection.execute("begin")
            tables = {
                query.stem: _rows(connection, query.read_text(encoding="utf-8"))
                for query in sorted(_QUERIES.glob("*.sql"))
            }
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, duckdb.CatalogException):
            raise LakeError(
                f"The lake lacks what the status page reads: {reason} "
                "Run `dbt build` with this state of the project first."
            ) from error
        raise LakeError(f"The lake ({config.catalog_name}) cannot be read: {reason}") from error
    for stream in tables["streams"]:
        stream["state"] = _state(stream, stream.pop("freshness_hours"), now)
    # What is no more in the project has not failed.
    tables["failures"] = [
        {**row, "owner": owners[node]}
        for row in tables["failures"]
        if (node := row.pop("node")) in owners
    ]
    catalogued = {
        node.split(".")[2]: f"../catalog/index.html#!/{node.partition('.')[0]}/{node}"
        for node in owners
        if node.startswith(("model.", "seed.", "snapshot."))
    }
    return Status(tables, _problems(tables), now, catalogued)


def render(status: Status) -> str:
    """The page as HTML."""
    template = environment(
        Path(__file__).parent / "templates", html=True, filters={"cell": _cell}
    ).get_template("status.html")
    text = template.render(
        status=status,
        sections=_SECTIONS,
        runs_chart=_runs_chart(status.tables["runs"]),
        rows_charts=_rows_charts(status.tables["rows_by_day"]),
        unusual=[row for row in status.tables["rows_by_day"] if row["is_unusual"]][-5:],
    )
    return guarded(text)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def _state(stream: Row, hours: float | None, now: datetime) -> str:
    """How a stream is, in two words."""
    if not stream["last_fed_at"]:
        return "never fed"
    if hours and now - stream["last_fed_at"] > timedelta(hours=hours):
        return "late"
    if stream["bad_files"]:
        return "bad files"
    return "backlog" if stream["waiting_files"] else "fresh"


def _problems(tables: Tables) -> list[str]:
    """What somebody should look at, the most urgent first."""
    problems = []
    if tables["runs"] and tables["runs"][0]["status"] == "error":
        problems.append("The last recorded run failed.")
    late = [row["stream"] for row in tables["streams"] if row["state"] == "late"]
    if late:
        problems.append(f"Later than its source's freshness allows: {', '.join(late)}.")
    bad = sum(row["bad_files"] for row in tables["streams"])
    if bad:
        problems.append(f"In quarantine: {counted(bad, 'file')}.")
    for words, warned in (("Failed", False), ("Warned", True)):
        names = [row["name"] for row in tables["failures"] if (row["status"] == "warn") is warned]
        if names:
            more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
            problems.append(f"{words} when last run: {', '.join(names[:5])}{more}.")
    return problems


def _runs_chart(runs: list[Row]) -> str:
    rows = [
        {"number": number, "seconds": run["seconds"], "status": run["status"]}
        for number, run in enumerate(reversed(runs), start=1)
    ]
    colour = {
        "field": "status",
        "type": "nominal",
        "scale": {
            "domain": ["success", "warn", "error"],
            "range": [charts.GOOD, charts.WARN, charts.BAD],
        },
    }
    x = {"field": "number", "type": "ordinal", "axis": None}
    bars = charts.bars(x, charts.amount("seconds", "seconds"), colour)
    return charts.chart("Seconds of the last runs, the newest on the right", rows, bars)


def _rows_charts(days: list[Row]) -> dict[str, str]:
    """A chart for each stream, all with the same days."""
    first = min((row["day"] for row in days), default="")
    last = max((row["day"] for row in days), default="")
    colour = {
        "condition": {"test": "datum.is_unusual", "value": charts.BAD},
        "value": charts.QUIET,
    }
    bars = charts.bars(charts.day("day", first, last), charts.amount("rows"), colour)
    return {
        stream: charts.chart(f"Rows of {stream} by day", list(rows), bars, width=250, height=80)
        for stream, rows in groupby(days, key=lambda row: row["stream"])
    }


def _cell(value: Any) -> str:
    """A value as the page shows it."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    return "" if value is None else str(value)
