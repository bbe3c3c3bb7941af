"""The metrics that a project declares: which there are, and what they come to.

MetricFlow writes the SQL, from what dbt has parsed; it is run on the lake, which is only read.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import duckdb
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.engine.models import Entity, Metric
from metricflow.protocols.sql_client import SqlClient, SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow_semantic_interfaces.type_enums.dimension_type import DimensionType
from metricflow_semantics.errors.error_classes import MetricFlowException
from metricflow_semantics.model.dbt_manifest_parser import (
    parse_manifest_from_dbt_generated_manifest,
)
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from lotus_lake import branches
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect, lock_down

GRAINS = ("day", "week", "month", "quarter", "year")

_TIME = "metric_time"

# Of a condition: what is quoted or a template already, and names, but for those of functions.
_WORDS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\{\{.*?\}\}|\b[a-z_]\w*\b(?!\s*[('])""", re.I)


@dataclass(frozen=True)
class Declared:
    """A metric, and the dimensions that it can be grouped and filtered by."""

    name: str
    label: str
    description: str
    dimensions: list[str]


@dataclass(frozen=True)
class Question:
    metrics: Sequence[str]
    # Dimensions, as customer__segment, or by their last part where that is enough; one of time may
    # end with a grain, as metric_time__month.
    by: Sequence[str] = ()
    where: str = ""  # in SQL, with dimensions named in the same way
    grain: str = ""  # to group by the metrics' own time
    first: date | None = None
    last: date | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Answer:
    """Rows, sorted, with a column for each dimension and then one for each metric."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def as_dicts(self) -> list[dict[str, Any]]:
        """For JSON, in which amounts are numbers."""
        return [
            {
                column: float(value) if isinstance(value, Decimal) else value
                for column, value in zip(self.columns, row, strict=True)
            }
            for row in self.rows
        ]


class Metrics:
    """The metrics of a project, of the ``semantic_manifest.json`` that dbt wrote.

    Raises:
        LakeError: The project declares none.
    """

    def __init__(self, manifest: Path) -> None:
        # MetricFlow logs how it came to the SQL.
        logging.getLogger("metricflow").setLevel(logging.CRITICAL)
        logging.getLogger("metricflow_semantics").setLevel(logging.CRITICAL)
        declared = parse_manifest_from_dbt_generated_manifest(manifest.read_text())
        if not declared.metrics:
            raise LakeError("The project declares no metrics in the YAML beside its models.")
        self._engine = MetricFlowEngine(
            SemanticManifestLookup(declared), cast(SqlClient, _DuckDb())
        )
        metrics = self._engine.list_metrics(include_dimensions=False)
        self._metrics: dict[str, Metric] = {metric.name: metric for metric in metrics}

    def declared(self) -> list[Declared]:
        return [
            Declared(
                name,
                metric.label or name,
                " ".join((metric.description or "").split()),
                self._dimensions([name]).names(),
            )
            for name, metric in sorted(self._metrics.items())
        ]

    def ask(self, question: Question, config: LakeConfig) -> Answer:
        """Answer a question.

        Raises:
            LakeError: A metric or a dimension does not exist or is ambiguous, or the condition
                cannot be used.
            Unreachable: There is no lake, or it cannot be read.
        """
        if config.branch:
            branches.require(config)
        columns, sql = self.sql(question)
        with connect(config) as connection:
            if question.where:
                lock_down(connection, config)
            try:
                return execute(connection, columns, sql)
            except duckdb.Error as error:
                if not question.where:
                    raise
                raise LakeError(f"--where cannot be used: {_first_line(error)}") from error

    def kept_apart(self, name: str) -> list[str]:
        """The dimensions over which a metric is never added up, as amounts over currencies."""
        config = self._metrics[name].config
        return list(config.meta.get("always_by", ())) if config else []

    def saved_query(self, name: str) -> tuple[list[str], str]:
        """The columns of a saved query, its dimensions first, and the SQL that has them."""
        request = MetricFlowQueryRequest.create(saved_query_name=name)
        explained = self._engine.explain(request)
        asked = explained.query_spec
        columns = [spec.dunder_name for spec in (*asked.linkable_specs, *asked.metric_specs)]
        return columns, explained.sql_statement.without_descriptions.sql

    def sql(self, question: Question) -> tuple[list[str], str]:
        """The columns of the answer, and the SQL that has them."""
        for name in question.metrics:
            if name not in self._metrics:
                near = _near(name, self._metrics) or "."
                raise LakeError(f"There is no metric {name}{near} `lake metrics` lists them.")
        dimensions = self._dimensions(question.metrics)
        by = [f"{_TIME}__{question.grain}"] if question.grain else []
        named = [dimensions.resolve(name) for name in question.by]
        conditions = [dimensions.condition(question.where)] if question.where else []
        asked = " ".join([*named, *conditions])
        apart = [
            dimension
            for name in question.metrics
            for dimension in self.kept_apart(name)
            if not re.search(rf"\b{re.escape(dimension)}\b", asked)
        ]
        by = list(dict.fromkeys([*by, *named, *apart]))
        conditions += [
            f"{_template(_TIME, 'TimeDimension', 'day')} {comparison} '{day}'"
            for comparison, day in ((">=", question.first), ("<=", question.last))
            if day
        ]
        request = MetricFlowQueryRequest.create(
            metric_names=list(question.metrics),
            group_by_names=by or None,
            where_constraints=conditions or None,
            order_by_names=by or None,
            limit=question.limit,
        )
        try:
            explained = self._engine.explain(request)
        except MetricFlowException as error:
            raise LakeError(_message(error)) from error
        return [*by, *question.metrics], explained.sql_statement.without_descriptions.sql

    def _dimensions(self, metrics: Sequence[str]) -> _Dimensions:
        found = {}
        for item in self._engine.list_group_bys(metric_names=list(metrics)):
            if isinstance(item, Entity):
                found[item.name] = ("Entity", "")
            elif item.type is DimensionType.TIME and item.type_params:
                grain = item.type_params.time_granularity.value
                found[item.granularity_free_dunder_name] = ("TimeDimension", grain)
            else:
                found[item.granularity_free_dunder_name] = ("Dimension", "")
        return _Dimensions(found)


def execute(connection: duckdb.DuckDBPyConnection, columns: list[str], sql: str) -> Answer:
    """Run the SQL of a question, as :meth:`Metrics.sql` gives it.

    Raises:
        LakeError: The lake has no table for it.
    """
    try:
        cursor = connection.execute(sql)
    except duckdb.CatalogException as error:
        raise LakeError(
            f"The lake has no table for it yet: run `dbt build` first. {_first_line(error)}"
        ) from error
    names = [column[0] for column in cursor.description]
    table = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    # DuckDB makes a timestamp of the first day of a month.
    days = {column for column in columns if column.rpartition("__")[2] in GRAINS}
    rows = [
        tuple(_day(row[column]) if column in days else row[column] for column in columns)
        for row in table
    ]
    return Answer(columns, rows)


class _DuckDb:
    """What MetricFlow has to know of the database in order to write SQL for it."""

    sql_engine_type = SqlEngine.DUCKDB
    sql_plan_renderer = DuckDbSqlPlanRenderer()


@dataclass(frozen=True)
class _Dimensions:
    """What metrics have in common to be grouped by, by name."""

    kinds: dict[str, tuple[str, str]]  # in MetricFlow's templates; and of a time its own grain

    def names(self) -> list[str]:
        """Their names, without the longer of two ways to a column."""
        nearest: dict[str, str] = {}
        for name in sorted(self.kinds, key=_links):
            nearest.setdefault("__".join(name.split("__")[-2:]), name)
        return sorted(nearest.values(), key=lambda name: (name != _TIME, _links(name), name))

    def listed(self) -> str:
        return ", ".join(self.names())

    def resolve(self, name: str) -> str:
        """The full name of a dimension, that of a time with its grain."""
        full, grain = self._find(name)
        return f"{full}__{grain}" if grain else full

    def condition(self, where: str) -> str:
        """A condition with MetricFlow's templates in place of the dimensions' names."""
        with duckdb.connect() as connection:
            keywords = connection.execute("select keyword_name from duckdb_keywords()").fetchall()

        def template(word: re.Match[str]) -> str:
            name = word[0]
            if name[0] in "'\"{" or ((name.lower(),) in keywords and not self._ways(name)):
                return name
            full, grain = self._find(name)
            return _template(full, self.kinds[full][0], grain)

        written = _WORDS.sub(template, where)
        if "{{" not in written:
            raise LakeError(f"--where names no dimension. The metrics have: {self.listed()}.")
        return written

    def _find(self, name: str) -> tuple[str, str]:
        base, _, grain = name.rpartition("__")
        if grain not in GRAINS:
            base, grain = name, ""
        ways = self._ways(base)
        nearest = [way for way in ways if _links(way) == min(map(_links, ways))]
        if not nearest:
            time, _, other = base.rpartition("__")
            if any(self.kinds[way][1] for way in self._ways(time)):
                raise LakeError(f"{other} is no grain of {time}: take {', '.join(GRAINS)}.")
            near = _near(base, self.names())
            raise LakeError(
                f"The metrics have no dimension {name}{near or f'. They have: {self.listed()}.'}"
            )
        if len(nearest) > 1:
            raise LakeError(f"{name} is ambiguous: say which of {', '.join(sorted(nearest))}.")
        own = self.kinds[nearest[0]][1]
        if grain and not own:
            raise LakeError(f"{nearest[0]} is no time and has no grain: leave __{grain} out.")
        return nearest[0], grain or own

    def _ways(self, name: str) -> list[str]:
        return [known for known in self.kinds if f"__{known}".endswith(f"__{name}")]


def _links(name: str) -> int:
    """Over how many other tables a dimension is reached, or one more."""
    return name.count("__")


def _template(name: str, kind: str, grain: str) -> str:
    return f"{{{{ {kind}('{name}'{f', {grain!r}' if grain else ''}) }}}}"


def _near(name: str, known: Iterable[str]) -> str:
    """What to say behind a name that does not exist: those that may have been meant."""
    last = {one.rpartition("__")[2]: one for one in known}
    near = difflib.get_close_matches(name.rpartition("__")[2], last, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(last[one] for one in near)}?" if near else ""


def _day(value: Any) -> Any:
    return value.date() if isinstance(value, datetime) else value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _message(error: MetricFlowException) -> str:
    """The message of a refusal, without the plan that led to it."""
    text = str(error)
    message = re.search(r"Message:\s+(.*?)(?=Query Input:|Issue Location:|\Z)", text, re.DOTALL)
    return " ".join((message[1] if message else text).split())
