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

from lotus_lake.airbyte.declared import all_streams, read_manifest
from lotus_lake.arguments import Parser
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import CONNECT_CONFIG, load
from lotus_lake.discover.compare import Discovery, UnknownStream, discover
from lotus_lake.discover.new_stream import choose, columns_text, type_text, write
from lotus_lake.escaping import printable, printable_lines
from lotus_lake.landing import open_landing
from lotus_lake.scheduler.exits import Exit, Unreachable

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
Scans landed files and reads dbt's manifest (`make discover` makes it); the lake is not needed.

exit codes:
   0  shown or written
  20  with --check: something landed that is not declared, or cannot be fed
  40  the landing zone cannot be read
  64  wrong usage, no manifest, or no such stream
"""


def main() -> int:
    """Compare and show, or write a new stream."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = Parser(
        description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stream", nargs="*", help="source.stream; all by default")
    parser.add_argument("--all", action="store_true", help="scan all files, not only a sample")
    parser.add_argument("--yaml", action="store_true", help="print the YAML to add")
    parser.add_argument("--check", action="store_true", help="exit with 20 if something differs")
    parser.add_argument("--add", metavar="STREAM", help="write the files of a new stream")
    parser.add_argument(
        "--key", help="with --add: its key, a,b; proposed from what landed if not given"
    )
    parser.add_argument(
        "--no-key", action="store_true", help="with --add: it has no key, and no int_ model"
    )
    parser.add_argument("--cursor", help="with --add: the column that orders versions")
    parser.add_argument("--manifest", type=Path, default=target / "manifest.json")
    parser.add_argument("--project", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.add and (options.key or options.no_key or options.cursor):
        parser.error("--key, --no-key and --cursor are about the stream of --add")
    try:
        with duckdb.connect(config={**CONNECT_CONFIG}) as connection:
            found = scan(connection, options)
            if options.add:
                add(connection, options, found[0])
                return Exit.OK
    except LakeError as error:
        print(f"discover: {error}", file=sys.stderr)
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    for one in found:
        show(one)
        if options.yaml and one.undeclared:
            show_yaml(one)
    scanned, files = sum(one.scanned for one in found), sum(one.files for one in found)
    wrong = sum(one.needs_work for one in found)
    print(f"{len(found) - wrong} of {len(found)} streams are as declared; ", end="")
    print(f"{scanned:,} of {files:,} files scanned.")
    return Exit.FAILED if options.check and wrong else Exit.OK


def scan(connection: duckdb.DuckDBPyConnection, options: argparse.Namespace) -> list[Discovery]:
    """Compare the streams that the options name."""
    config = LakeConfig.from_env()
    declared = {one.label: one for one in all_streams(read_manifest(options.manifest))}
    landing = open_landing(config.landing_url)
    only = [options.add] if options.add else options.stream
    try:
        load(connection, config)
        connection.execute("set TimeZone = 'UTC'")
        return discover(connection, landing, declared, only, options.all)
    except UnknownStream:
        raise
    except LakeError as error:
        raise Unreachable(str(error)) from error


def add(
    connection: duckdb.DuckDBPyConnection, options: argparse.Namespace, found: Discovery
) -> None:
    """Write the files of a new stream, and say what to do next."""
    given = [] if options.no_key else options.key.split(",") if options.key else None
    key, cursor = choose(connection, found, given, options.cursor)
    files = write(options.project, found, key.columns, cursor)
    how = f"newest by {cursor}" if cursor else "newest by the file that came last"
    if found.is_airbyte and not cursor:
        how = "sent whole, so the newest generation is the truth"
    print(f"{found.label}: key {', '.join(key.columns)}, {how}." if key.columns else found.label)
    print(f"Why: {key.reason}.\nWritten or changed:")
    for file in files:
        print(f"  {file}")
    print(
        "Next: say in the YAML what it is and what its columns mean, leave out those that nobody "
        f"needs; then\n  dbt build --select stg_{found.source}__{found.stream}+\n  make lint"
    )


def show(one: Discovery) -> None:
    """What is not as declared."""
    if not one.needs_work and not one.missing:
        return
    print(f"{printable(one.label)}: {one.scanned:,} of {one.files:,} files scanned")
    if not one.is_declared:
        columns = printable(", ".join(one.columns))
        print(f"  not declared: {columns}. To add it: make discover ADD={printable(one.label)}")
    for name, type_ in one.undeclared.items():
        text = printable(type_text(type_))
        print(f"  {printable(name)} not declared {text if len(text) < 60 else text[:57] + '...'}")
    never = "never landed" if one.scanned == one.files else "not in these files"
    for name in one.missing if one.files else ():
        print(f"  {name} {never}")
    for path, reason in one.unreadable:
        print(f"  {printable(path)} cannot be fed: {printable(reason)}")


def show_yaml(one: Discovery) -> None:
    """What to add to a source's YAML: new columns, and those that have new fields."""
    names = {re.split(r"[.\[]", name)[0] for name in one.undeclared} | one.undeclared.keys()
    columns = {name: type_ for name, type_ in one.columns.items() if name in names}
    print(f"# {one.label}, in models/landing/{one.source}/_{one.source}__sources.yml:")
    print(printable_lines(columns_text(columns)), end="\n\n")


if __name__ == "__main__":
    sys.exit(main())
