"""Pages of metrics for people, as the project's ``pages/*.yml`` say (docs/pages.md).

Every number is a metric's; nothing is added up here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import yaml

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect
from lotus_lake.metrics import Metrics, Question
from lotus_lake.pages import charts, environment, guarded

FOLDER = "pages"
CURRENCY = "currency"

_KINDS = ("figures", "series", "ranking", "triangle")
_LIMIT = 15


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
    show: Literal["figures", "series", "ranking", "triangle"]
    about: str = ""
    by: tuple[str, ...] = ()
    sort: Literal["ascending", "descending"] = "descending"
    without_days: bool = False
    limit: int = _LIMIT


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
    """A section for one currency and period: a table, and a drawing. Empty for all of them."""

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
            if section.show not in _KINDS:
                raise ValueError(f"show is none of {', '.join(_KINDS)}")
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
    config: LakeConfig, project: Path, semantic_manifest: Path, site: Path, problems: list[str]
) -> None:
    """Write the pages into the folder of a site; ``pages/index.yml`` is its first page.

    Args:
        config: The lake.
        project: The project's folder.
        semantic_manifest: What dbt has parsed of the metrics.
        site: The folder.
        problems: What somebody should look at, for the first page.

    Raises:
        LakeError: A page asks for what there is not, or the lake was not built yet.
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
            text = template.render(page=page, pages=pages, problems=problems, reports=reports)
            (site / f"{page.name}.html").write_text(guarded(text), encoding="utf-8")


class Reports:
    """The metrics of a lake, asked for pages.

    Raises:
        LakeError: There are no days yet.
    """

    def __init__(self, metrics: Metrics, connection: duckdb.DuckDBPyConnection) -> None:
        self._metrics = metrics
        self._connection = connection
        self._first: dict[str, list[dict[str, Any]]] = {}
        self._declared = {metric.name: metric for metric in metrics.declared()}
        (self.as_of,) = connection.execute(
            "select max(snapshot_time)::timestamptz"
            f" from __ducklake_metadata_{ALIAS}.ducklake_snapshot"
        ).fetchone() or (None,)

    def periods(self, page: Page) -> list[Period]:
        """What the reader of a page may choose."""
        if not any(section.show in ("series", "ranking") for section in page.sections):
            return []
        last = self.last_day(page)
        month = last.replace(day=1)
        return [
            Period("month", "Months", month.replace(year=month.year - 2), last),
            Period("week", "Weeks", _start(last, "week") - timedelta(weeks=52), last),
            Period("day", "Days", last - timedelta(days=30), last),
        ]

    def last_day(self, page: Page) -> date:
        """The last day of the page's first metric."""
        days = [row["metric_time__day"] for row in self._days(page)]
        return max(filter(None, days), default=date.today())

    def currencies(self, page: Page) -> list[str]:
        """Those of the page's first metric, the one with the most days first."""
        found = self._by_currency(self._days(page))
        return sorted(filter(None, found), key=lambda one: (-len(found[one]), one))

    def _days(self, page: Page) -> list[dict[str, Any]]:
        """The first metric by day, asked once."""
        dated = [section for section in page.sections if not section.without_days]
        if page.name not in self._first:
            self._first[page.name] = self._ask(dated[0].metrics[:1], grain="day") if dated else []
        return self._first[page.name]

    def meaning(self, metric: str) -> tuple[str, str]:
        """A metric's label and description."""
        declared = self._declared.get(metric)
        if not declared:
            raise LakeError(f"A page asks for metric {metric}, which there is not.")
        return declared.label, declared.description

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
        last = self.last_day(page)
        month = last.replace(day=1)
        spans = {
            f"{last:%A %d %B %Y}": (last, last),
            f"{month:%B} until then": (month, last),
            "The same days a year before": (_year_before(month), _year_before(last)),
        }
        answers = {
            name: self._by_currency(self._ask(section.metrics, first=first, last=end))
            for name, (first, end) in spans.items()
        }
        for currency in sorted({one for answer in answers.values() for one in answer}):
            rows = []
            for metric in section.metrics:
                values = [
                    next(iter(answer.get(currency, [])), {}).get(metric)
                    for answer in answers.values()
                ]
                rows.append(
                    [self.meaning(metric)[0], *(self._shown(metric, value) for value in values)]
                )
            yield Block(currency, "", ["", *spans], rows)

    def _series(self, page: Page, section: Section) -> Iterator[Block]:
        for period in self.periods(page):
            first = period.year_before(period.first)
            asked = self._ask(section.metrics, grain=period.grain, first=first, last=period.last)
            for currency, answer in self._by_currency(asked).items():
                found = {row[f"metric_time__{period.grain}"]: row for row in answer}
                yield self._series_block(section, period, currency, found)

    def _series_block(
        self,
        section: Section,
        period: Period,
        currency: str,
        found: Mapping[date, Mapping[str, Any]],
    ) -> Block:
        drawn = section.metrics[0]
        label = self.meaning(drawn)[0]
        rows, points = [], []
        oldest = min(found, default=period.last)
        for start in period.starts:
            if start < oldest:
                break
            now = found.get(start, {})
            before = found.get(period.year_before(start), {}).get(drawn)
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
        axis = {"title": None, "labelAngle": 0, "labelOverlap": True}
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
            for currency, answer in self._by_currency(asked).items():
                ranked = [row for row in answer if row[section.metrics[0]] is not None]
                ranked.sort(
                    key=lambda row: row[section.metrics[0]], reverse=section.sort == "descending"
                )
                dimensions = (
                    [name for name in ranked[0] if name not in section.metrics] if ranked else []
                )
                dimensions = [name for name in dimensions if name != CURRENCY]
                rows = [
                    [
                        *(
                            str(row[name] if row[name] not in (None, "") else "–")
                            for name in dimensions
                        ),
                        *(self._shown(metric, row[metric]) for metric in section.metrics),
                    ]
                    for row in ranked[: section.limit]
                ]
                head = [
                    name.rpartition("__")[2].replace("_", " ").capitalize() for name in dimensions
                ]
                yield Block(
                    currency,
                    period.grain if period else "",
                    [*head, *self._labels(section)],
                    rows,
                    more=max(len(ranked) - section.limit, 0),
                )

    def _triangle(self, page: Page, section: Section) -> Iterator[Block]:
        (metric,) = section.metrics
        for currency, answer in self._by_currency(self._ask((metric,), by=section.by)).items():
            down, across = [name for name in answer[0] if name not in (metric, CURRENCY)][:2]
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

    def _ask(
        self, metrics: Sequence[str], by: Sequence[str] = (), **question: Any
    ) -> list[dict[str, Any]]:
        has_currency = all(
            CURRENCY in self._declared[one].dimensions for one in metrics if self.meaning(one)
        )
        by = [*by, CURRENCY] if has_currency else by
        answer = self._metrics.answer(Question(metrics, by, **question), self._connection)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def _by_currency(self, rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row.get(CURRENCY) or "", []).append(row)
        return found

    def _labels(self, section: Section) -> list[str]:
        return [self.meaning(metric)[0] for metric in section.metrics]

    def _shown(self, metric: str, value: Any) -> str:
        """A value as people read it: a rate in per cent, an amount with cents, a count whole."""
        if value is None:
            return "–"
        if metric.endswith("_rate"):
            return f"{value:.1%}"
        if self._metrics.is_kept_apart(metric) or (value != int(value)):
            return f"{value:,.2f}"
        return f"{int(value):,}"


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
