"""Pages of metrics for people, as the project's ``pages/*.yml`` say (docs/pages.md).

Every number is a metric's; nothing is added up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb
import yaml

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect
from lotus_lake.metrics import Declared, Metrics, Question, execute
from lotus_lake.pages import charts, environment, guarded
from lotus_lake.site.status import Status

FOLDER = "pages"
CURRENCY = "currency"

Show = Literal["figures", "series", "ranking", "triangle"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        title: Its heading.
        metrics: The metrics that it shows; the first one is drawn, and sorts.
        show: ``figures`` (the last day, and its month so far), ``series`` (a row for each period),
            ``ranking`` (a row for each value of the dimensions ``by``), or ``triangle`` (the first
            dimension down, the second one across).
        about: A sentence below the heading.
        by: Dimensions, named as in `lake metric`.
        sort: Whether a ranking begins with the greatest.
        without_days: Whether the metrics are of now, whatever the period.
        limit: Row limit of a ranking.
    """

    title: str
    metrics: tuple[str, ...]
    show: Show
    about: str = ""
    by: tuple[str, ...] = ()
    sort: Literal["ascending", "descending"] = "descending"
    without_days: bool = False
    limit: int = 15


@dataclass(frozen=True)
class Page:
    """A page: its name, as in ``sales``, its place among the others, and its sections."""

    name: str
    place: int
    title: str
    about: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Period:
    """A choice of the reader: periods of a grain, the first of them and the last day."""

    grain: str
    label: str
    first: date
    last: date

    @property
    def starts(self) -> list[date]:
        """The first day of each period, the newest first."""
        days, day = [], self.last
        while day >= self.first:
            days.append(_start(day, self.grain))
            day = days[-1] - timedelta(days=1)
        return days

    def year_before(self, day: date) -> date:
        """The same period a year before; of a week, the one with the same days of the week."""
        return day - timedelta(weeks=52) if self.grain == "week" else _year_before(day)

    def name(self, start: date) -> str:
        """A period as people write it."""
        return f"{start:%B %Y}" if self.grain == "month" else f"{start:%a %d %b %Y}"


@dataclass(frozen=True)
class Block:
    """A section for a currency and a grain, each empty if it is for all: a table and a chart."""

    currency: str
    grain: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    chart: str = ""
    more: int = 0  # rows beyond the limit


def read_pages(project: Path) -> list[Page]:
    """The project's pages.

    Raises:
        LakeError: One of them is not written as it has to be.
    """
    pages = [_page(file) for file in sorted((project / FOLDER).glob("*.yml"))]
    return sorted(pages, key=lambda page: page.place)


def _page(file: Path) -> Page:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        sections = []
        for fields in content["sections"]:
            lists = {name: tuple(fields.get(name, ())) for name in ("metrics", "by")}
            section = Section(**{**fields, **lists})
            if section.show not in get_args(Show):
                raise ValueError(f"show is none of {', '.join(get_args(Show))}")
            if len(section.by) < {"ranking": 1, "triangle": 2}.get(section.show, 0):
                raise ValueError(f"{section.title} needs more dimensions under `by`")
            sections.append(section)
        place, about = content.get("place", 0), content.get("about", "")
        return Page(file.stem, place, content["title"], about, tuple(sections))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise LakeError(
            f"{FOLDER}/{file.name} is not a page: {reason}. See docs/pages.md."
        ) from error


def write(
    config: LakeConfig, project: Path, semantic_manifest: Path, site: Path, status: Status
) -> None:
    """Write the pages into the folder of a site; ``pages/index.yml`` is its first page.

    Args:
        config: The lake.
        project: The project's folder.
        semantic_manifest: What dbt has parsed of the metrics.
        site: The folder.
        status: The lake's, for the first page.

    Raises:
        LakeError: A page asks for a metric that does not exist, or the lake was not built yet.
    """
    pages = read_pages(project)
    if not pages:
        return
    template = environment(Path(__file__).parent / "templates", html=True).get_template(
        "report.html"
    )
    with connect(config) as connection:
        reports = Reports(Metrics(semantic_manifest), connection)
        for page in pages:
            text = template.render(page=page, pages=pages, status=status, reports=reports)
            (site / f"{page.name}.html").write_text(guarded(text), encoding="utf-8")


class Reports:
    """The metrics of a lake, for pages."""

    def __init__(self, metrics: Metrics, connection: duckdb.DuckDBPyConnection) -> None:
        self._metrics = metrics
        self._connection = connection
        self._declared = {metric.name: metric for metric in metrics.declared()}
        # The first metric of each page by day.
        self._days: dict[str, list[Row]] = {}
        (self.as_of,) = connection.execute(
            "select max(snapshot_time)::timestamptz"
            f" from __ducklake_metadata_{ALIAS}.ducklake_snapshot"
        ).fetchall()[0]

    def declared(self, metric: str) -> Declared:
        """A metric, with its label and description.

        Raises:
            LakeError: It does not exist.
        """
        if metric not in self._declared:
            raise LakeError(f"A page asks for metric {metric}, which does not exist.")
        return self._declared[metric]

    def periods(self, page: Page) -> list[Period]:
        """What the reader of a page may choose."""
        if not any(section.show in ("series", "ranking") for section in page.sections):
            return []
        last = self._last_day(page)
        month = last.replace(day=1)
        return [
            Period("month", "Months", month.replace(year=month.year - 2), last),
            Period("week", "Weeks", _start(last, "week") - timedelta(weeks=52), last),
            Period("day", "Days", last - timedelta(days=30), last),
        ]

    def currencies(self, page: Page) -> list[str]:
        """The currencies of the page's first metric, the one with the most days first."""
        rows = _by_currency(self._by_day(page))
        return sorted(filter(None, rows), key=lambda currency: (-len(rows[currency]), currency))

    def blocks(self, page: Page, section: Section) -> list[Block]:
        """A section for each currency and period."""
        make = {
            "figures": self._figures,
            "series": self._series,
            "ranking": self._ranking,
            "triangle": self._triangle,
        }[section.show]
        return list(make(page, section))

    # -- kinds of sections -------------------------------------------------------------------------

    def _figures(self, page: Page, section: Section) -> Iterator[Block]:
        last = self._last_day(page)
        month = last.replace(day=1)
        spans = {
            f"{last:%A %d %B %Y}": (last, last),
            f"{month:%B} until then": (month, last),
            "The same days a year before": (_year_before(month), _year_before(last)),
        }
        answers = [
            _by_currency(self._ask(section.metrics, first=first, last=end))
            for first, end in spans.values()
        ]
        for currency in sorted({currency for answer in answers for currency in answer}):
            values = [answer.get(currency, [{}])[0] for answer in answers]
            rows = [
                [label, *(self._shown(metric, row.get(metric)) for row in values)]
                for metric, label in zip(section.metrics, self._labels(section), strict=True)
            ]
            yield Block(currency, "", ["", *spans], rows)

    def _series(self, page: Page, section: Section) -> Iterator[Block]:
        for period in self.periods(page):
            first = period.year_before(period.first)
            asked = self._ask(section.metrics, grain=period.grain, first=first, last=period.last)
            for currency, answer in _by_currency(asked).items():
                by_start = {row[f"metric_time__{period.grain}"]: row for row in answer}
                yield self._series_block(section, period, currency, by_start)

    def _series_block(
        self,
        section: Section,
        period: Period,
        currency: str,
        by_start: Mapping[date, Row],
    ) -> Block:
        drawn = section.metrics[0]
        label = self.declared(drawn).label
        rows, points = [], []
        oldest = min(by_start)
        for start in period.starts:
            if start < oldest:
                break
            now = by_start.get(start, {})
            before = by_start.get(period.year_before(start), {}).get(drawn)
            rows.append(
                [
                    period.name(start),
                    *(self._shown(metric, now.get(metric)) for metric in section.metrics),
                    self._shown(drawn, before),
                ]
            )
            points.append(
                {
                    "start": f"{start:%b %Y}" if period.grain == "month" else f"{start:%d %b}",
                    "now": float(now.get(drawn) or 0),
                    "before": None if before is None else float(before),
                }
            )
        # Placing a label takes a millisecond of 30.
        named = [point["start"] for point in points[:: len(points) // 10 + 1]]
        axis = {"title": None, "labelAngle": 0, "labelOverlap": True, "values": named}
        x = {"field": "start", "type": "ordinal", "sort": None, "axis": axis}
        title = f"{label} by {period.grain}{f' in {currency}' if currency else ''}"
        line = {
            "mark": {"type": "line", "point": True},
            "encoding": {"x": x, "y": charts.amount("before"), "color": {"value": charts.QUIET}},
        }
        drawing = charts.chart(
            title, points[::-1], charts.bars(x, charts.amount("now", label), charts.GOOD), line
        )
        head = [period.grain.capitalize(), *self._labels(section), f"{label}, a year before"]
        return Block(currency, period.grain, head, rows, drawing)

    def _ranking(self, page: Page, section: Section) -> Iterator[Block]:
        periods: list[Period | None] = [None] if section.without_days else [*self.periods(page)]
        for period in periods:
            days = {"first": period.first, "last": period.last} if period else {}
            asked = self._ask(section.metrics, by=section.by, **days)
            first = section.metrics[0]
            for currency, answer in _by_currency(asked).items():
                ranked = sorted(
                    (row for row in answer if row[first] is not None),
                    key=lambda row: row[first],
                    reverse=section.sort == "descending",
                )
                dimensions = _dimensions(answer[0], section)
                rows = [
                    [
                        *(
                            "–" if row[name] in (None, "") else str(row[name])
                            for name in dimensions
                        ),
                        *(self._shown(metric, row[metric]) for metric in section.metrics),
                    ]
                    for row in ranked[: section.limit]
                ]
                heads = [
                    name.rpartition("__")[2].replace("_", " ").capitalize() for name in dimensions
                ]
                yield Block(
                    currency,
                    period.grain if period else "",
                    [*heads, *self._labels(section)],
                    rows,
                    more=max(len(ranked) - section.limit, 0),
                )

    def _triangle(self, page: Page, section: Section) -> Iterator[Block]:
        (metric,) = section.metrics
        asked = self._ask(section.metrics, by=section.by)
        for currency, answer in _by_currency(asked).items():
            down, across = _dimensions(answer[0], section)
            cells = {(row[down], row[across]): row[metric] for row in answer}
            columns = sorted({row[across] for row in answer})
            rows = [
                [
                    f"{start:%B %Y}" if isinstance(start, date) else str(start),
                    *(self._shown(metric, cells.get((start, column))) for column in columns),
                ]
                for start in sorted({row[down] for row in answer}, reverse=True)
            ]
            yield Block(currency, "", ["", *map(str, columns)], rows)

    # -- asking and showing ------------------------------------------------------------------------

    def _by_day(self, page: Page) -> list[Row]:
        if page.name not in self._days:
            dated = [section for section in page.sections if not section.without_days]
            self._days[page.name] = self._ask(dated[0].metrics[:1], grain="day") if dated else []
        return self._days[page.name]

    def _last_day(self, page: Page) -> date:
        days = [row["metric_time__day"] for row in self._by_day(page)]
        return max(filter(None, days), default=date.today())

    def _ask(self, metrics: Sequence[str], by: Sequence[str] = (), **question: Any) -> list[Row]:
        """Rows of metrics, by currency if all of them have one."""
        if all(CURRENCY in self.declared(metric).dimensions for metric in metrics):
            by = [*by, CURRENCY]
        columns, sql = self._metrics.sql(Question(metrics, by, **question))
        answer = execute(self._connection, columns, sql)
        return [dict(zip(columns, row, strict=True)) for row in answer.rows]

    def _labels(self, section: Section) -> list[str]:
        return [self.declared(metric).label for metric in section.metrics]

    def _shown(self, metric: str, value: Any) -> str:
        """A value as people read it: a rate in per cent, an amount with cents, a count whole."""
        if value is None:
            return "–"
        if metric.endswith("_rate"):
            return f"{value:.1%}"
        if self._metrics.kept_apart(metric) or (value != int(value)):
            return f"{value:,.2f}"
        return f"{int(value):,}"


def _by_currency(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by their currency, which is empty where they have none."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get(CURRENCY) or "", []).append(row)
    return groups


def _dimensions(row: Row, section: Section) -> list[str]:
    """The columns of a row by which a section groups."""
    return [name for name in row if name not in (*section.metrics, CURRENCY)]


def _start(day: date, grain: str) -> date:
    """The first day of the period that a day is in."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - 1, day=28)
