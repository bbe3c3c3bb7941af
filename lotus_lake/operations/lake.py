"""What an operation works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb

from lotus_lake import races
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.landing import Landing, open_landing
from lotus_lake.streams import Stream

CURSORS = f"{ALIAS}.meta.feeder_cursors"
FILES = f"{ALIAS}.meta.feeder_files"


class Warned(str):
    """A line that is a warning: dbt counts it, and may be told to stop at it."""


@dataclass(frozen=True)
class Lake:
    """A lake and its landing zone.

    Args:
        connection: Has the lake attached; no transaction is open.
        config: Where it lies.
    """

    connection: duckdb.DuckDBPyConnection
    config: LakeConfig

    @cached_property
    def landing(self) -> Landing:
        """The landing zone."""
        return open_landing(self.config.landing_url)

    @cached_property
    def streams(self) -> list[Stream]:
        """The streams that the project declares, by name."""
        found = self.fetch(
            f"select declaration from {CURSORS}"
            " where declaration is not null order by source, stream"
        )
        return [Stream.from_declaration(declaration) for (declaration,) in found]

    def chosen(self, source: str | None, stream: str | None) -> list[Stream]:
        """The declared streams of a source, of a name, or all.

        Raises:
            LakeError: There is none.
        """
        chosen = [
            one
            for one in self.streams
            if source in (None, one.source) and stream in (None, one.name)
        ]
        if not chosen:
            raise LakeError(
                f"There is no stream '{source or ''}.{stream or ''}' (source and stream); declared "
                f"are: {', '.join(one.label for one in self.streams)}"
            )
        return chosen

    def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    def commit(self, sql: str, message: str) -> None:
        """Run statements in one transaction (see ``races.commit``).

        Raises:
            LakeError: They failed, and nothing was changed.
        """
        if problem := races.commit(self.connection, sql, message):
            raise LakeError(problem)
