"""The status page: one HTML file made of the lake's own tables, which needs no server.

What is asked stands in ``queries/``, one SQL file for each table or chart; how it looks, in
``templates/status.html``.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect
from lotus_lake.freshness import Limits, limits
from lotus_lake.pages import charts, environment
from lotus_lake.scheduler.exits import Unreachable
from lotus_lake.site.frame import STATUS, framed
from lotus_lake.status import age, number, size

Row = dict[str, Any]
Answers = Mapping[str, list[Row]]

_QUERIES = Path(__file__).parent / "queries"
# As many bars as a person compares at a glance.
_SLOWEST = 15


@dataclass
class Stream:
    """How a stream stands.

    Args:
        row: What ``streams.sql`` says of it.
        lag: Time since its last feed that found something; None before the first.
        limit: The longest time that its source's ``freshness`` allows, if any.
    """

    row: Row
    lag: timedelta | None
    limit: timedelta | None

    @property
    def problem(self) -> str:
        """What is wrong with it, in two words; empty when nothing is."""
        if self.row["quarantined_files"]:
            return "bad files"
        if self.limit and self.lag and self.lag > self.limit:
            return "late"
        return ""

    @property
    def state(self) -> str:
        """How it stands, in two words."""
        return (
            self.problem
            or ("backlog" if self.row["backlog_files"] else "")
            or ("fresh" if self.lag else "never fed")
        )


@dataclass
class Look:
    """What the page shows."""

    answers: Answers
    streams: list[Stream]
    made_at: datetime
    problems: list[str] = field(default_factory=list)

    @property
    def never_fed(self) -> list[str]:
        """The streams of which nothing has been fed yet."""
        return [one.row["stream"] for one in self.streams if not one.lag]


def write(config: LakeConfig, manifest: Path, site: Path) -> None:
    """Write the page into the folder of a site, at its place.

    Args:
        config: Where the lake lies.
        manifest: dbt's ``manifest.json``.
        site: The folder of the site.

    Raises:
        Unreachable: The lake cannot be read, or was not built yet.
    """
    try:
        text = page(config, manifest)
    except LakeError as error:
        raise Unreachable(str(error)) from error
    (site / STATUS.page).parent.mkdir(parents=True, exist_ok=True)
    (site / STATUS.page).write_text(text, encoding="utf-8")


def page(config: LakeConfig, manifest: Path) -> str:
    """The page as HTML.

    Args:
        config: Where the lake lies.
        manifest: dbt's ``manifest.json``, which says how late a stream may be.

    Raises:
        LakeError: The lake or the manifest cannot be read, or the lake was not built with these
            models yet.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        # The first chart of a process takes half a second, in which the lake can be asked.
        pool.submit(
            charts.chart, "", [], charts.bars(charts.amount("x"), charts.amount("y"), charts.QUIET)
        )
        return render(look(config, limits(manifest)))


def look(config: LakeConfig, limits: Limits, now: datetime | None = None) -> Look:
    """Ask the lake, all as of one moment.

    Args:
        config: Where the lake lies.
        limits: The longest time without a delivery, by stream (``source.stream``).
        now: The time; the present one by default.

    Raises:
        LakeError: The lake cannot be read, or was not built with these models yet.
    """
    now = now or datetime.now(UTC)
    try:
        with connect(config) as connection:
            connection.execute("begin")
            answers = {
                query.stem: _rows(connection, query.read_text(encoding="utf-8"))
                for query in sorted(_QUERIES.glob("*.sql"))
            }
    except duckdb.CatalogException as error:
        raise LakeError(
            f"The lake lacks what the status page reads: {_first_line(error)} "
            "Run `dbt build` with this state of the project first."
        ) from error
    except duckdb.Error as error:
        raise LakeError(
            f"The lake ({config.catalog_name}) cannot be read: {_first_line(error)}"
        ) from error
    streams = [
        Stream(
            row,
            now - row["last_fed_at"] if row["last_fed_at"] else None,
            limits.get(row["stream"]),
        )
        for row in answers["streams"]
    ]
    return Look(answers, streams, now, _problems(answers, streams))


def render(look: Look) -> str:
    """What was seen, as HTML."""
    made = environment(
        Path(__file__).parent / "templates",
        html=True,
        filters={"age": age, "at": _at, "number": number, "seconds": _seconds, "size": size},
    )
    tables = look.answers["tables"]
    text = made.get_template("status.html").render(
        look=look,
        **look.answers,
        totals={key: sum(row[key] for row in tables) for key in ("files", "bytes", "small_files")},
        charts=_charts(look.answers),
    )
    return framed(text, STATUS, "../")


def _problems(answers: Answers, streams: list[Stream]) -> list[str]:
    """What somebody should look at, the most urgent first."""
    problems = []
    if answers["runs"] and answers["runs"][0]["status"] == "error":
        problems.append("The last recorded run failed.")
    late = [one.row["stream"] for one in streams if one.problem == "late"]
    if late:
        problems.append(f"Later than its source's freshness allows: {', '.join(late)}.")
    bad = sum(one.row["quarantined_files"] for one in streams)
    if bad:
        problems.append(f"In quarantine: {bad:,} file{'' if bad == 1 else 's'}.")
    for words, is_meant in (("Failed", True), ("Warned", False)):
        names = [
            row["name"] for row in answers["failures"] if (row["status"] != "warn") is is_meant
        ]
        if names:
            more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
            problems.append(f"{words} when last run: {', '.join(names[:5])}{more}.")
    return problems


# -- charts ----------------------------------------------------------------------------------------


def _charts(answers: Answers) -> dict[str, Any]:
    landed = answers["rows_by_day"]
    # One axis for all, so that days stand below each other.
    first = min((row["day"] for row in landed), default="")
    last = max((row["day"] for row in landed), default="")
    return {
        "runs": _runs_chart(answers["runs"]),
        "durations": _durations_chart(answers["durations"][:_SLOWEST]),
        "sales": _sales_chart(answers["sales"]),
        "rows_by_day": [
            (stream, _rows_chart(stream, list(days), first, last))
            for stream, days in groupby(landed, key=lambda row: row["stream"])
        ],
    }


def _runs_chart(runs: list[Row]) -> str:
    rows = [
        {
            "number": place,
            "seconds": run["duration_seconds"],
            "status": run["status"],
        }
        for place, run in enumerate(reversed(runs), start=1)
    ]
    colour = {
        "field": "status",
        "type": "nominal",
        "scale": {
            "domain": ["success", "warn", "error"],
            "range": [charts.GOOD, charts.WARN, charts.BAD],
        },
        "legend": {"title": None, "orient": "top", "labelLimit": 0},
    }
    x = {
        "field": "number",
        "type": "ordinal",
        "axis": {"labels": False, "ticks": False, "title": None},
    }
    y = charts.amount("seconds", "seconds")
    # As wide for fifty as the other charts, and not wider for each when there are few.
    width = 14 * max(len(rows), 20)
    return charts.chart("Seconds of the last runs", rows, charts.bars(x, y, colour), width=width)


def _durations_chart(nodes: list[Row]) -> str:
    rows = [{"name": node["name"][:60], "seconds": node["total_seconds"]} for node in nodes]
    x = charts.amount("seconds", "seconds in all")
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "labelLimit": 360},
    }
    height = 20 * max(len(rows), 1)
    return charts.chart(
        "Seconds by node", rows, charts.bars(x, y, charts.QUIET), width=340, height=height
    )


def _rows_chart(stream: str, days: list[Row], first: str, last: str) -> str:
    rows = [
        {"day": row["day"], "rows": row["row_count"], "unusual": row["is_unusual"]} for row in days
    ]
    colour = {"condition": {"test": "datum.unusual", "value": charts.BAD}, "value": charts.QUIET}
    layer = charts.bars(charts.day("day", first, last), charts.amount("rows"), colour)
    return charts.chart(f"Rows of {stream} by day", rows, layer, width=250, height=80)


def _sales_chart(days: list[Row]) -> str:
    rows = [
        {
            **day,
            "unusual": day["low"] is not None and not day["low"] <= day["sales"] <= day["high"],
        }
        for day in days
    ]
    x = charts.day("day")
    band = {
        "mark": {"type": "area", "opacity": 0.25, "color": charts.QUIET},
        "encoding": {"x": x, "y": charts.amount("low", "sales"), "y2": {"field": "high"}},
    }
    line = {
        "mark": {"type": "line", "color": charts.GOOD},
        "encoding": {"x": x, "y": charts.amount("sales")},
    }
    unusual = {
        "transform": [{"filter": "datum.unusual"}],
        # Without such a day the mark is empty, which is nothing to tell anybody.
        "mark": {"type": "point", "filled": True, "size": 60, "color": charts.BAD, "aria": False},
        "encoding": {"x": x, "y": charts.amount("sales")},
    }
    return charts.chart("Daily sales", rows, band, line, unusual, height=220)


# -- values ----------------------------------------------------------------------------------------


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def _at(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else ""


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.0f}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
