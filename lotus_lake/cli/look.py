"""Commands that only look at the lake."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lotus_lake.cli.base import (
    DAY,
    command,
    json_option,
    parsed,
    print_json,
    say,
)
from lotus_lake.settings import target_folder

if TYPE_CHECKING:
    from lotus_lake.metrics import Answer, Metrics


@command("lake status", "lake status --json | jq '.streams[] | select(.backlog_files > 0)'")
@click.option("--build", is_flag=True, help="The closing table of the last `dbt build` instead.")
@json_option
def status(build: bool, as_json: bool) -> None:
    """Show what every stream has fed, what waits, what is in quarantine.

    The streams are as their last feed left them; below them are the files in quarantine, with
    their reasons, and the last deliveries.
    """
    from lotus_lake import build_summary
    from lotus_lake import status as bookkeeping
    from lotus_lake.config import LakeConfig

    if build:
        build_summary.show(LakeConfig.from_env(), target_folder())
        return
    found = bookkeeping.read(LakeConfig.from_env())
    if as_json:
        print_json(found)
    else:
        bookkeeping.show(found)


@command(
    "lake sql",
    'lake sql "select * from fct_orders_by_day order by all desc limit 10"',
    'lake sql "from fct_orders" -csv > orders.csv',
    "DBT_TARGET=pr LAKE_BRANCH=tips lake sql",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("query", required=False, type=click.UNPROCESSED)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def sql(query: str | None, options: tuple[str, ...]) -> int:
    """Open DuckDB's shell on the lake, read-only, or run QUERY in it.

    What is typed there reads the lake and the landing zone, and writes nothing. OPTIONS are the
    shell's own, such as -csv, -json or -f FILE.
    """
    from lotus_lake import shell

    if query and not query.startswith("-"):
        return shell.run([*options, "-c", query])
    return shell.run([*([query] if query else []), *options])


@command(
    "lake as-of fct_orders_by_day 2026-03-01 --where \"day = '2026-02-27'\"",
    "lake as-of staging.stg_shop__orders 1204",
)
@click.argument("table")
@click.argument("at")
@click.option("--where", default="", metavar="SQL", help="A condition for the rows.")
@json_option
def as_of(table: str, at: str, where: str, as_json: bool) -> None:
    """Show what a table said then and says now, and what changed it.

    AT is a date (its 00:00), a time (UTC unless it says) or a snapshot's number. Each change is
    told with its run and the landed files or the code that caused it.
    """
    from lotus_lake import history

    found = history.look(table, at, where, target_folder() / "manifest.json")
    if as_json:
        print_json(found)
    else:
        history.show(found)


@command("lake metrics", "lake metrics --json | jq '.[].name'")
@json_option
def metrics(as_json: bool) -> None:
    """List the metrics, with what each can be grouped and filtered by.

    They are declared in the project's YAML. `lake metric` asks for them.
    """
    declared = _declared_metrics().declared()
    if as_json:
        print_json([asdict(metric) for metric in declared])
        return
    for metric in declared:
        say(f"{metric.name}: {metric.label}")
        say(f"  {metric.description}")
        say(f"  by {', '.join(metric.dimensions)}")


@command(
    "lake metric orders",
    "lake metric revenue orders --grain month --from 2026-01-01",
    "lake metric revenue --by customer__segment --where \"country = 'FR'\"",
    "lake metric revenue --by metric_time__week --json | jq '.[-1]'",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--by", multiple=True, metavar="DIM", help="Group by it; several times for several.")
@click.option("--where", default="", metavar="SQL", help="A condition on dimensions.")
@click.option(
    "--grain",
    type=click.Choice(["day", "week", "month", "quarter", "year"]),
    help="Group by the metric's own time.",
)
@click.option("--from", "first", type=DAY, metavar="DAY", help="The first day.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="The last day.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Row limit.")
@json_option
def metric(
    names: tuple[str, ...],
    grain: str | None,
    first: datetime | None,
    last: datetime | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask what metrics come to.

    DIM and the names in SQL are dimensions that `lake metrics` lists, or their last part where one
    alone has it; a time may end with a grain, as in metric_time__month. A metric that is never
    added up over a dimension, such as a currency, is grouped by it unless you name it.
    """
    asked = _declared_metrics()
    from lotus_lake.config import LakeConfig
    from lotus_lake.metrics import Question

    question = Question(
        names,
        grain=grain or "",
        first=first.date() if first else None,
        last=last.date() if last else None,
        **options,
    )
    answer = asked.ask(question, LakeConfig.from_env())
    if as_json:
        print_json(answer.as_dicts())
    else:
        _show(answer)


def _declared_metrics() -> Metrics:
    """The project's metrics."""
    from lotus_lake.config import LakeError

    try:
        from lotus_lake.metrics import Metrics
    except ModuleNotFoundError as error:
        raise LakeError(
            "MetricFlow is not installed: run pip install 'lotus-lake[metrics]'."
        ) from error

    return Metrics(parsed("semantic_manifest.json"))


def _show(answer: Answer) -> None:
    """Print it as a table."""
    from rich.console import Console
    from rich.table import Table

    from lotus_lake.escaping import plain

    table = Table(*map(plain, answer.columns), box=None, pad_edge=False)
    for row in answer.rows:
        table.add_row(*(plain(_cell(value)) for value in row))
    Console(highlight=False, soft_wrap=True).print(table)


def _cell(value: Any) -> str:
    """A value for a person: of what was divided, six digits."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
