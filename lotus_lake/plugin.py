"""The dbt-duckdb plugin: what has to happen to a DuckDB connection before dbt uses the lake.

dbt creates schemas and fills its relation cache before any on-run-start hook runs, so the
catalog has to be attached, or refused, here.
"""

from __future__ import annotations

import logging
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from duckdb import DuckDBPyConnection

from lotus_lake.branches import require
from lotus_lake.config import LakeConfig, LakeError, full_places
from lotus_lake.connection import ALIAS, CONNECT_CONFIG, attach, attach_sql, prepare
from lotus_lake.functions import register


class Plugin(BasePlugin):
    """Loads extensions, creates the S3 secret, attaches the catalog, registers functions."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self.config = LakeConfig.from_env()
        # Said once, and not with a traceback for each line that dbt cannot write to its log.
        logging.raiseExceptions = False
        for place in full_places(self.config):
            print(f"No space is left in {place}. Free some, or set the variable to another place.")
        flags = get_flags()  # type: ignore[no-untyped-call]
        target = getattr(flags, "TARGET", None) or self.config.target
        if target != self.config.target:
            raise LakeError(
                f"--target is {target}, but where the lake lies follows from DBT_TARGET, which is "
                f"{self.config.target}. Set DBT_TARGET={target} instead; nothing was changed."
            )

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        config.update(CONNECT_CONFIG)
        # Local files are cached by the operating system already; a second copy in DuckDB's memory
        # costs time and a gigabyte in a first load. Reading S3 twice costs more.
        config["enable_external_file_cache"] = self.config.uses_s3

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        if self.config.branch:
            require(self.config)
        prepare(conn, self.config)
        # dbt-duckdb is about to attach what the profile says, if there is no such database yet.
        attach(conn, self.config, attach_sql(self.config, ALIAS))
        register(conn, self.config)
        # The relation of each source that lands (external_location in its YAML).
        conn.execute(
            """
            create or replace macro memory.main.landed(source_name, stream) as table
            select error(
                'Source ' || source_name || '.' || stream || ' is landed files. Read ref(''stg_'
                || source_name || '__' || stream || '''), which has every row of them.'
            ) as refused
            """
        )
