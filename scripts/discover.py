"""Compare what landed with what the dbt sources declare, and make a stream out of landed files."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb
from rich.console import Console
from rich.table import Table

from lotus_lake.airbyte.declared import all_streams, read_manifest
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import CONNECT_CONFIG, load
from lotus_lake.discover import new_stream
from lotus_lake.discover.compare import FILES, Discovery, UnknownStream, discover
from lotus_lake.discover.yaml_text import columns_text, type_text
from lotus_lake.escaping import plain, printable_lines
from lotus_lake.landing import open_landing
from lotus_lake.scheduler.exits import Exit
from lotus_lake.schema import Type

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
Looks into landed files and reads dbt's manifest (`make discover` makes it); the lake is not needed.

examples:
  python scripts/discover.py                          every stream
  python scripts/discover.py shopify.orders --all     one stream, every file of it
  python scripts/discover.py --yaml                   the YAML to add for what is not declared
  python scripts/discover.py --add klaviyo.forms      write a new stream's files

exit codes:
   0  shown or written, or everything is in step
  20  with --check: something landed that is not declared, or cannot be fed
  40  the landing zone cannot be read
  64  wrong usage, no manifest, or no such stream
"""


class Parser(argparse.ArgumentParser):
    """Exits with the project's own code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}. See --help.", file=sys.stderr)
        sys.exit(Exit.USAGE)


def main() -> int:
    """Compare and show, or write a new stream."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = Parser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stream", nargs="*", help="source.stream; all by default")
    parser.add_argument("--files", type=int, default=FILES, help="files of each (%(default)s)")
    parser.add_argument("--all", action="store_true", help="look into all files")
    parser.add_argument("--yaml", action="store_true", help="print the YAML to add")
    parser.add_argument("--check", action="store_true", help="exit with 20 if not in step")
    parser.add_argument("--add", metavar="STREAM", help="write the files of a new stream")
    parser.add_argument("--key", help="with --add: its key (id)")
    parser.add_argument("--cursor", help="with --add: the column that orders versions")
    parser.add_argument("--manifest", type=Path, default=target / "manifest.json")
    parser.add_argument("--project", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.files < 1:
        parser.error(f"argument --files: {options.files} is none; --all looks into all files")
    if not options.add and (options.key or options.cursor):
        parser.error("--key and --cursor are about the stream of --add")
    # In a pipe or a log there is room for whole names.
    is_narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(highlight=False, width=None if is_narrow else 200)
    try:
        config = LakeConfig.from_env()
        declared = {one.label: one for one in all_streams(read_manifest(options.manifest))}
        landing = open_landing(config.landing_url)
    except LakeError as error:
        return failed(error, Exit.USAGE)
    only = [options.add] if options.add else options.stream
    try:
        with duckdb.connect(config={**CONNECT_CONFIG}) as connection:
            load(connection, config)
            connection.execute("set TimeZone = 'UTC'")
            files = 0 if options.all else options.files
            found = discover(connection, landing, declared, only, files)
    except UnknownStream as error:
        return failed(error, Exit.USAGE)
    except LakeError as error:
        return failed(error, Exit.UNREACHABLE)
    if options.add:
        try:
            stream = new_stream.NewStream.of(found[0], options.key, options.cursor)
            written = new_stream.write(options.project, stream)
        except LakeError as error:
            return failed(error, Exit.USAGE)
        show_added(stream, written, options.project, console)
        return Exit.OK
    show(found, console)
    if options.yaml:
        for one in found:
            show_yaml(one, console)
    is_wrong = any(not one.is_declared or one.undeclared or one.unreadable for one in found)
    return Exit.FAILED if options.check and is_wrong else Exit.OK


def failed(error: LakeError, code: Exit) -> Exit:
    """Say why, and how to exit."""
    print(f"discover: {error}", file=sys.stderr)
    return code


def show(found: list[Discovery], console: Console) -> None:
    """For each stream, what is not as declared."""
    for one in found:
        if one.in_step:
            continue
        where = f"{one.files:,} files, {one.looked_into:,} looked into" if one.files else "no file"
        console.print(f"\n[bold]{plain(one.label)}[/]: {where}")
        if not one.is_declared:
            console.print(
                plain(
                    f"  is not declared; {len(one.columns)} columns: {', '.join(one.columns)}. "
                    f"To add it: make discover ADD={one.label}"
                )
            )
        table = Table("", "", "", box=None, show_header=False, padding=(0, 2))
        table.columns[0].overflow = "fold"
        refused = dict(one.unreadable)
        for part in one.different:
            fits = "cannot be fed as" if part.path in refused else "is fed as"
            said = f"{shortened(part.landed)} {fits} the declared {shortened(part.declared)}"
            table.add_row(plain(part.name), "other type", plain(f"{said}; first in {part.path}"))
        for part in one.undeclared:
            table.add_row(plain(part.name), "not declared", plain(shortened(part.landed)))
        never = "never landed" if one.looked_into == one.files else "in none of these files"
        for part in one.missing:
            table.add_row(part.name, never, shortened(part.declared))
        for path, reason in one.unreadable:
            table.add_row(plain(path), "cannot be fed", plain(reason))
        if table.rows:
            console.print(table)
    looked, files = sum(one.looked_into for one in found), sum(one.files for one in found)
    in_step = f"{sum(one.in_step for one in found)} of {len(found)} streams are in step"
    console.print(f"\n{in_step}; {looked:,} of {files:,} files looked into.")
    if any(one.is_declared and one.undeclared for one in found):
        console.print("What is not declared stays in staging. To declare it: make discover YAML=1")


def show_yaml(one: Discovery, console: Console) -> None:
    """What to add to a source's YAML."""
    if not (one.is_declared and one.undeclared):
        return
    whole = {part.name for part in one.undeclared}
    inside = {re.split(r"[.\[]", name)[0] for name in whole} - whole
    added = {name: type_ for name, type_ in one.columns.items() if name in whole}
    grown = {name: type_ for name, type_ in one.columns.items() if name in inside}
    console.print(f"\n# {one.label}, in models/landing/{one.source}/_{one.source}__sources.yml:")
    if added:
        console.print("# new columns", style="dim")
        console.print(printable_lines(columns_text(added)), markup=False, soft_wrap=True)
    if grown:
        console.print("# the data_type of columns that have new fields", style="dim")
        text = printable_lines(columns_text(grown, described=grown))
        console.print(text, markup=False, soft_wrap=True)


def show_added(
    stream: new_stream.NewStream, files: list[Path], project: Path, console: Console
) -> None:
    """What was written, and what to do next."""
    how = f"newest by {stream.cursor}" if stream.cursor else "newest by the file that came last"
    if stream.is_sent_whole:
        how = "sent whole, so the newest generation is the truth"
    console.print(f"{stream.found.label}: key {stream.key}, {how}. Written or changed:")
    for file in files:
        console.print(f"  {file}", markup=False)
    source = stream.found.source
    terraform = (project / "deploy/airbyte/main.tf").read_text(encoding="utf-8")
    if stream.found.is_airbyte and f'"airbyte_connection" "{source}"' not in terraform:
        console.print(
            f"Airbyte has no connection for {source} yet: give it a source and a connection in "
            "deploy/airbyte/main.tf, as its neighbours have them.",
            markup=False,
        )
    console.print(
        "Next: say in the YAML what it is and what its columns mean, leave out those that nobody "
        f"needs; then\n  dbt build --select {stream.staging}+\n  make lint",
        markup=False,
    )


def shortened(type_: Type | None) -> str:
    """A type in few words."""
    text = type_text(type_) if type_ else ""
    return text if len(text) <= 40 else f"{text[:37]}..."


if __name__ == "__main__":
    sys.exit(main())
