"""Commands for whoever changes the project: branches, comparisons, new streams, the site."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lotus_lake.cli.base import (
    DAYS,
    command,
    dry_run_option,
    json_option,
    main,
    parsed,
    print_json,
    run_dbt,
    say,
    warn,
)
from lotus_lake.config import LakeConfig
from lotus_lake.exits import Exit
from lotus_lake.settings import project_folder, target_folder
from lotus_lake.wording import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lotus_lake.branches import Branch
    from lotus_lake.discover.compare import Discovery

_BRANCH_LINE = "{:<42}{:>10}  {:<20}{:>6}  {:<20}{}"


# -- branches --------------------------------------------------------------------------------------


@main.group()
def branch() -> None:
    """Make, list and drop branches of the whole lake.

    A branch is a writable copy of the lake's catalog over the same data files: it takes seconds,
    and nothing that is done on it reaches the lake. `DBT_TARGET=pr LAKE_BRANCH=NAME dbt build`
    builds on it (docs/branches.md).
    """


@command("lake branch create tips", group=branch)
@click.argument("name")
def create(name: str) -> None:
    """Make a branch of the lake as it is now.

    What is no letter or digit in NAME becomes an underscore.
    """
    from lotus_lake import branches

    made = branches.create(LakeConfig.from_env(), name)
    say(
        f"Branch {made.name} of snapshot {made.base_snapshot}. "
        f"Build on it: DBT_TARGET=pr LAKE_BRANCH={made.name} dbt build"
    )


@command("lake branch list", name="list", group=branch)
@json_option
def list_(as_json: bool) -> None:
    """List the branches, oldest first, and which of them are stale.

    A stale branch, older than `branch_hold_days`, no longer keeps `lake maintain` from deleting.
    """
    from lotus_lake import settings

    found, hold = _branches(LakeConfig.from_env()), settings.of_project()["branch_hold_days"]
    if as_json:
        print_json([{**asdict(one), "is_stale": one.age.days >= hold} for one in found])
        return
    say(_BRANCH_LINE.format("branch", "snapshot", "made at (UTC)", "days", "by", "").rstrip())
    for one in found:
        stale = "stale: clean-up does not wait for it" if one.age.days >= hold else ""
        made = f"{one.created_at:%Y-%m-%d %H:%M:%S}"
        figures = (one.name, one.base_snapshot, made, one.age.days, one.created_by[:19], stale)
        say(_BRANCH_LINE.format(*figures).rstrip())
    number = counted(len(found), "branch", "branches")
    say(f"{number}. Drop one: lake branch drop NAME; old ones: lake branch drop --older-than 14")


@command("lake branch drop tips", "lake branch drop --older-than 14 --dry-run", group=branch)
@click.argument("name", required=False)
@click.option("--older-than", type=DAYS, metavar="DAYS", help="All that are so many days old.")
@dry_run_option
def drop(name: str | None, older_than: int | None, dry_run: bool) -> None:
    """Drop a branch, with the files that it wrote.

    The lake's own files are not among them. A branch that was dropped halfway is dropped again.
    """
    from lotus_lake import branches

    if (name is None) == (older_than is None):
        raise click.UsageError("Say which: NAME, or --older-than with a number of days.")
    config = LakeConfig.from_env()
    names = [name] if name is not None else []
    if older_than is not None:
        names = [one.name for one in _branches(config) if one.age.days >= older_than]
        if not names:
            say(f"No branch is {counted(older_than, 'day')} old. Nothing was dropped.")
    for one in names:
        if dry_run:
            say(f"Branch {one} would be dropped.")
        else:
            branches.drop(config, one)
            say(f"Branch {one} is dropped.")


def _branches(config: LakeConfig) -> list[Branch]:
    from lotus_lake import branches

    found, odd = branches.branches(config)
    for problem in odd:
        warn(f"WARNING {problem}")
    return found


@command("lake diff tips", "lake diff tips --only fct_orders --only fct_orders_by_day")
@click.argument("branch")
@click.option("--latest", is_flag=True, help="Compare with the lake as it is now.")
@click.option("--only", multiple=True, metavar="TABLE", help="Only this table; may be repeated.")
def diff(branch: str, latest: bool, only: tuple[str, ...]) -> None:
    """Show what BRANCH changes in the numbers.

    Compares every table with that of the lake as it was when the branch was made: rows, columns,
    sums by day and by the first id beside the key; and the metrics by month. Also writes
    target/diff/report.md and report.html. Values of personal columns are not shown.
    """
    from lotus_lake.diff.compare import compare
    from lotus_lake.diff.metrics import compare_metrics
    from lotus_lake.diff.personal import shown
    from lotus_lake.diff.report import tell
    from lotus_lake.diff.sides import keys, opened

    config, target = LakeConfig.from_env(), target_folder()
    manifest = target / "manifest.json"
    declared = keys(manifest), shown(manifest)
    with opened(config, branch, latest=latest) as (connection, before, after):
        found = compare(connection, before, after, *declared, only)
        found.metrics = compare_metrics(connection, found, target / "semantic_manifest.json")
    tell(found, target / "diff")


@command("lake pr tips")
@click.argument("branch")
def pr(branch: str) -> int:
    """Build what this checkout changes on BRANCH, and show the effect.

    Makes the branch (again, if there is one), builds the models that differ from the lake's last
    build and everything downstream, compares, and builds the changed ones once more with
    --full-refresh: both ways have to give the same tables. Writes target/pr/report.md and
    report.html.
    """
    from lotus_lake.diff.report import tell
    from lotus_lake.pull_request import PullRequest

    out = target_folder() / "pr"
    found = PullRequest(LakeConfig.from_env(), branch, out).run()
    tell(found, out)
    return Exit.FAILED if found.failed else Exit.OK


@command("lake watch fct_orders", "lake watch fct_orders+")
@click.argument("select", nargs=-1, required=True)
def watch(select: tuple[str, ...]) -> None:
    """Build models and their tests, now and on each save, until Ctrl-C.

    SELECT is what to build, as for dbt's --select. It builds on a branch of the lake, called
    watch_ and your user name, and says so: the lake stays as it is, and `lake pr` later shows the
    effect against it. The branch is made at the first start and kept; `lake branch drop NAME`
    drops it. Where LAKE_BRANCH names a branch already (DBT_TARGET=pr), it builds on that one.
    """
    from lotus_lake import watch as watching

    watching.run(LakeConfig.from_env(), " ".join(select))


# -- streams ---------------------------------------------------------------------------------------


@command(
    "lake discover",
    "lake discover shop.orders --yaml",
    "lake discover --add shop.refunds",
    "lake discover --add erp.stock --key sku --cursor changed_at",
)
@click.argument("streams", nargs=-1, metavar="[STREAM]...")
@click.option("--all", "whole", is_flag=True, help="Scan all files, not only a sample.")
@click.option("--yaml", is_flag=True, help="Print the YAML to add.")
@click.option("--check", is_flag=True, help="Exit with 20 if something is not declared.")
@click.option("--add", metavar="STREAM", help="Write the files of a new stream.")
@click.option("--key", metavar="COLUMN,...", help="With --add: its key, else proposed.")
@click.option("--no-key", is_flag=True, help="With --add: it has no key, and no int_ model.")
@click.option("--cursor", metavar="COLUMN", help="With --add: the column that orders versions.")
@json_option
def discover(
    streams: tuple[str, ...],
    whole: bool,
    yaml: bool,
    check: bool,
    add: str | None,
    key: str | None,
    no_key: bool,
    cursor: str | None,
    as_json: bool,
) -> int:
    """Compare what landed with what is declared; declare what is new.

    Scans landed files, and lets dbt parse the project; the lake is not needed. --add writes the
    declaration, a staging model and an int_ model with tests, and Airbyte's catalog if Airbyte
    delivers the stream.
    """
    import duckdb

    from lotus_lake.connection import CONNECT_CONFIG

    if not add and (key or no_key or cursor):
        raise click.UsageError("--key, --no-key and --cursor are about the stream of --add.")
    if key and no_key:
        raise click.UsageError("--key goes not with --no-key.")
    with duckdb.connect(config={**CONNECT_CONFIG}) as connection:
        found = _discovered(connection, [add] if add else list(streams), whole)
        if add:
            given = [] if no_key else key.split(",") if key else None
            _add(connection, found[0], given, cursor)
            return Exit.OK
    wrong = sum(one.needs_work for one in found)
    if as_json:
        print_json([one.as_dict() for one in found])
    else:
        for one in found:
            _show(one)
            if yaml and one.undeclared:
                _show_yaml(one)
        scanned, files = sum(one.scanned for one in found), sum(one.files for one in found)
        say(
            f"{len(found) - wrong} of {counted(len(found), 'stream')} are as declared; "
            f"{scanned:,} of {counted(files, 'file')} scanned."
        )
    return Exit.FAILED if check and wrong else Exit.OK


def _discovered(connection: DuckDBPyConnection, only: list[str], whole: bool) -> list[Discovery]:
    from lotus_lake.airbyte import all_streams
    from lotus_lake.connection import load
    from lotus_lake.diff.personal import read_manifest
    from lotus_lake.discover.compare import discover as compared
    from lotus_lake.landing import open_landing

    config = LakeConfig.from_env()
    landing = open_landing(config.landing_url)
    declared = {one.label: one for one in all_streams(read_manifest(parsed()))}
    load(connection, config)
    connection.execute("set TimeZone = 'UTC'")
    return compared(connection, landing, declared, only, whole)


def _add(
    connection: DuckDBPyConnection, found: Discovery, given: list[str] | None, cursor: str | None
) -> None:
    from lotus_lake import airbyte
    from lotus_lake.discover.new_stream import choose, write

    key, why, cursor = choose(connection, found, given, cursor)
    files = write(project_folder(), found, key, cursor)
    how = f"newest by {cursor}" if cursor else "newest by the file that came last"
    if found.is_airbyte and not cursor:
        how = "sent whole, so the newest generation is the truth"
    say(f"{found.label}: key {', '.join(key)}, {how}." if key else found.label)
    say(f"Why: {why}.")
    say("Written or changed:")
    if found.is_airbyte:
        files += airbyte.update(*_manifest_and_catalogs())
    for file in files:
        say(f"  {file}")
    say(
        "Next: say in the YAML what it is and what its columns mean, leave out those that nobody "
        "needs; then"
    )
    say(f"  dbt build --select stg_{found.source}__{found.stream}+")


def _show(one: Discovery) -> None:
    """What is not as declared."""
    from lotus_lake.discover.compare import type_text

    if not one.needs_work and not one.missing:
        return
    say(f"{one.label}: {one.scanned:,} of {counted(one.files, 'file')} scanned")
    if not one.is_declared:
        say(f"  not declared: {', '.join(one.columns)}. To add it: lake discover --add {one.label}")
    for name, type_ in one.undeclared.items():
        text = type_text(type_)
        say(f"  {name} not declared {text if len(text) < 60 else text[:57] + '...'}")
    never = "never landed" if one.scanned == one.files else "not in these files"
    for name in one.missing if one.files else ():
        say(f"  {name} {never}")
    for path, reason in one.unreadable:
        say(f"  {path} cannot be fed: {reason}")


def _show_yaml(one: Discovery) -> None:
    """What to add to a source's YAML: new columns, and those that have new fields."""
    from lotus_lake.discover.new_stream import columns_text

    names = {re.split(r"[.\[]", name)[0] for name in one.undeclared} | one.undeclared.keys()
    columns = {name: type_ for name, type_ in one.columns.items() if name in names}
    say(f"# {one.label}, in models/landing/{one.source}/_{one.source}__sources.yml:")
    for line in columns_text(columns).split("\n"):
        say(line)
    say("")


@command("lake catalog", "lake catalog --check")
@click.option("--check", is_flag=True, help="Write nothing; say what is stale.")
def catalog(check: bool) -> int:
    """Write Airbyte's catalogs from the declared streams.

    They tell Airbyte which streams and fields to deliver: deploy/airbyte/catalogs, a file for each
    source.
    """
    from lotus_lake import airbyte

    if check:
        lines = airbyte.stale(*_manifest_and_catalogs())
        for line in lines:
            warn(line)
        return Exit.FAILED if lines else Exit.OK
    for file in airbyte.update(*_manifest_and_catalogs()):
        say(str(file))
    return Exit.OK


def _manifest_and_catalogs() -> tuple[dict[str, Any], Path]:
    """What dbt parses now, and the folder of the catalogs."""
    from lotus_lake.diff.personal import read_manifest

    return read_manifest(parsed()), project_folder() / "deploy/airbyte/catalogs"


@command("lake docs", "lake docs --serve", "lake docs --status")
@click.option(
    "--serve",
    is_flag=False,
    flag_value=8000,
    type=click.IntRange(0, 65535),
    metavar="[PORT]",
    help="Show the site that was built, to this machine only.",
)
@click.option("--status", is_flag=True, help="Write only the status page.")
def docs(serve: int | None, status: bool) -> None:
    """Build the site: guides, status, data catalog, column lineage.

    It is files in target/site, which need no server and no network. Runs `dbt docs generate`.
    """
    site = target_folder() / "site"
    if serve is not None:
        from lotus_lake.site.serve import serve as shown

        shown(site, serve)
        return
    config = LakeConfig.from_env()
    # Each takes a second to import.
    if status:
        from lotus_lake.site import status as page

        page.write(config, target_folder() / "manifest.json", site)
    else:
        from lotus_lake.site.build import build

        run_dbt("docs", "generate")
        build(project_folder(), target_folder(), site)
    say(f"The site is in {site}: open {site}/index.html, or run lake docs --serve.")


@command("lake init")
def init() -> None:
    """Make this folder a dbt project on the engine.

    Writes what is missing, copies the engine's macros and installs them with `dbt deps`: run it
    again after an upgrade. Nothing else that exists is changed; what is left to do is said.
    """
    from lotus_lake import new_project

    left = False
    for line, is_left in new_project.init(project_folder()):
        for part in line.splitlines():
            say(part)
        left = left or is_left
    if left:
        say("Then: dbt deps")
        return
    say("Installing packages: dbt deps")
    run_dbt("deps")
    say("Next: put files into .lake/landing/raw/SOURCE/STREAM/, then")
    say("  lake discover --add SOURCE.STREAM")
    say("  dbt build")
