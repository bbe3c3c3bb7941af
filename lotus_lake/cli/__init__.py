"""The command ``lake``: everything about a lake that is not ``dbt build``."""

from __future__ import annotations

import click

from lotus_lake.cli import change, feed, keep, look, serve
from lotus_lake.cli.base import Group


class _Lake(Group):
    sections = {  # noqa: RUF012
        "Look": ("status", "sql", "as-of", "metrics", "metric"),
        "Feed": ("tick", "undo", "replay", "release", "sweep", "reconcile"),
        "Change the code": ("watch", "branch", "diff", "pr", "discover", "catalog", "docs"),
        "Serve": ("publish",),
        "Keep": ("maintain", "backup", "restore"),
        "Start": ("init",),
    }


@click.group(cls=_Lake)
def main() -> None:
    """Operate a lake. What builds it is `dbt build`.

    Commands work on the lake that the environment names (LAKE_CATALOG, LAKE_DATA_URL,
    LAKE_LANDING_URL, DBT_TARGET), with the dbt project in this folder. A stream is
    source.stream, as in shop.orders; a day is YYYY-MM-DD. `lake COMMAND --help` has examples.
    """


for _module in (look, feed, change, serve, keep):
    for _command in _module.COMMANDS:
        main.add_command(_command)
