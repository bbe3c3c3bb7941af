"""What the commands share: how they fail, what their help looks like, how they name things.

Whatever takes long to import is imported by the command that needs it, so that help, completion
and a tick without news are quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from lotus_lake.config import LakeError
from lotus_lake.escaping import printable
from lotus_lake.exits import Exit, exit_code
from lotus_lake.settings import is_current, target_folder


class Command(click.Command):
    """A command whose errors are one line, and whose help has examples, as command lines."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; an error ends the process with a line that says which command it was of."""
        try:
            return super().invoke(ctx)
        except LakeError as error:
            fail(ctx.command_path, str(error), exit_code(error))
        except Exception as error:
            duckdb = sys.modules.get("duckdb")
            if not duckdb or not isinstance(error, duckdb.Error):
                raise
            if isinstance(error, duckdb.CatalogException) and 'schema "meta"' in str(error):
                never = "The lake has no bookkeeping yet: run `dbt build` first."
                fail(ctx.command_path, never, Exit.UNREACHABLE)
            from lotus_lake.scheduler.build import Problem

            problem = Problem("", str(error))
            fail(ctx.command_path, problem.line, problem.exit)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Lake(click.Group):
    """Commands in sections, as a table of contents; wrong usage ends with the project's code."""

    sections: Mapping[str, Sequence[str]] = {
        "Look": ("status", "sql", "as-of", "metrics", "metric"),
        "Feed": ("tick", "undo", "replay", "release", "sweep", "reconcile"),
        "Change the code": ("watch", "branch", "diff", "pr", "discover", "catalog", "docs"),
        "Serve": ("publish",),
        "Keep": ("maintain", "backup", "restore"),
        "Start": ("init",),
    }

    def main(self, args: Sequence[str] | None = None, *_: Any, **options: Any) -> NoReturn:
        """Run the command of a command line, the process's own by default; exit with its code."""
        options = {**options, "prog_name": "lake", "standalone_mode": False}
        try:
            code = super().main(args, **options)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else "", err=True)
            code = Exit.USAGE
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "lake"
            fail(command, f"{error.format_message()} See: {command} --help", Exit.USAGE)
        except click.ClickException as error:
            fail("lake", error.format_message(), Exit.USAGE)
        except click.Abort:
            code = 130  # Ctrl-C, as shells have it
        sys.exit(int(code or 0))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(70)) for name in names]
                )


@click.group(cls=Lake)
def main() -> None:
    """Operate a lake. What builds it is `dbt build`.

    Commands work on the lake that the environment names (LAKE_CATALOG, LAKE_DATA_URL,
    LAKE_LANDING_URL, DBT_TARGET), with the dbt project in this folder. A stream is
    source.stream, as in shop.orders; a day is YYYY-MM-DD. `lake COMMAND --help` has examples.

    Exit codes: 0 done, 10 partial, 20 failed, or something differs, 30 locked by another run, 40
    the lake or the landing zone cannot be reached, 64 wrong usage or refused.
    """


def command(
    *examples: str, group: click.Group = main, **options: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command of ``lake``, or of a group in it, with examples for its help."""
    return group.command(cls=Command, examples=examples, **options)


def fail(command: str, what: str, code: int) -> NoReturn:
    """End the process with one line on standard error."""
    said = " ".join(line.strip() for line in what.strip().splitlines())
    click.echo(f"{command}: {printable(said)}", err=True)
    sys.exit(int(code))


def say(line: str) -> None:
    """Print a line, in which names of files and columns can control nothing."""
    click.echo(printable(line))


def warn(line: str) -> None:
    """Print a line on standard error, where it is in no program's way."""
    click.echo(printable(line), err=True)


def print_json(value: Any) -> None:
    """Print JSON in one line; times as ISO 8601."""
    click.echo(json.dumps(value, default=lambda one: one.isoformat()))


# -- how things are named --------------------------------------------------------------------------


DAY = click.DateTime(["%Y-%m-%d"])
DAYS = click.IntRange(0, 36_500)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what it would do; do nothing.")


def parsed(name: str = "manifest.json") -> Path:
    """What dbt's parser wrote; it parses first if the models have changed since.

    Raises:
        LakeError: dbt cannot parse the project; its lines say why.
    """
    path = target_folder() / name
    if not is_current(path):
        run_dbt("parse")
    return path


def run_dbt(*words: str) -> None:
    """Run a dbt command in this process.

    Raises:
        LakeError: It failed; its lines say why.
    """
    from dbt.cli.main import dbtRunner

    from lotus_lake.scheduler.build import close_duckdb

    try:
        done = dbtRunner().invoke(["--quiet", *words])
    finally:
        close_duckdb()
    if not done.success:
        reason = f" {done.exception}" if done.exception else ""
        raise LakeError(f"dbt {' '.join(words)} failed.{reason}")
