"""Commands that only look at the lake."""

from __future__ import annotations

import click

from lotus_lake.cli.base import Command, dbt_target, json_option, print_json


@click.command(
    cls=Command,
    examples=["lake status", "lake status --json | jq '.streams[] | select(.backlog_files > 0)'"],
)
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
        build_summary.show(LakeConfig.from_env(), dbt_target())
        return
    found = bookkeeping.read(LakeConfig.from_env())
    if as_json:
        print_json(found.as_dict())
    else:
        bookkeeping.show(found)


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    examples=[
        "lake sql",
        'lake sql "select * from fct_orders_by_day order by all desc limit 10"',
        'lake sql "from fct_orders" -csv > orders.csv',
        "DBT_TARGET=pr LAKE_BRANCH=tips lake sql",
    ],
    exits={1: "the query failed (the code is the shell's)"},
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


@click.command(
    cls=Command,
    examples=[
        "lake as-of fct_orders_by_day 2026-03-01 --where \"day = '2026-02-27'\"",
        "lake as-of staging.stg_shop__orders 1204",
    ],
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
    from lotus_lake.history import command

    found = command.look(table, at, where, dbt_target() / "manifest.json")
    if as_json:
        print_json(found.as_dict())
    else:
        command.show(found)


COMMANDS = (status, sql, as_of)
