"""Commands that bring the lake's tables to those who do not read the lake."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from lotus_lake.cli.base import (
    command,
    dry_run_option,
    json_option,
    parsed,
    print_json,
    say,
)
from lotus_lake.settings import project_folder
from lotus_lake.wording import counted


@command(
    "lake publish --dry-run",
    "lake publish --full                   after the catalog was restored",
)
@click.option("--full", is_flag=True, help="Write every table whole, changed or not.")
@dry_run_option
@json_option
def publish(full: bool, dry_run: bool, as_json: bool) -> None:
    """Publish the marts into PostgreSQL, for BI tools.

    Brings schema marts of the database that LAKE_SERVING_URL names to the lake's newest snapshot:
    the tables with meta publish: true and the saved queries of the metrics, in one transaction,
    only what changed. A tick that ended well does the same (docs/serving.md).
    """
    from lotus_lake.config import LakeConfig, LakeError
    from lotus_lake.publication.publish import publish as publish_marts
    from lotus_lake.scheduler.pending import code_digest

    url = os.environ.get("LAKE_SERVING_URL")
    if not url:
        raise LakeError(
            "LAKE_SERVING_URL is not set: name a PostgreSQL database, as in "
            "postgresql://publisher@host/serving."
        )
    config, project = LakeConfig.from_env(), project_folder()
    code = code_digest(project, config.target, None)
    steps = publish_marts(config, url, code, parsed, full=full, dry_run=dry_run)
    if as_json:
        print_json([asdict(step) for step in steps])
        return
    for step in steps:
        written = (
            "" if step.how == "dropped" else f", {step.written} of {counted(step.rows, 'row')}"
        )
        say(f"{step.table}: {step.how}{written}")
    tables = counted(len(steps), "table")
    say(f"{tables} would be written." if dry_run else f"{tables} written.")
