"""What an operation works on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb

from lotus_lake import branches, races
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, connect_to_write
from lotus_lake.landing import Landing, open_landing
from lotus_lake.streams import Stream

CURSORS = f"{ALIAS}.meta.feeder_cursors"
FILES = f"{ALIAS}.meta.feeder_files"


@dataclass(frozen=True)
class Lake:
    """A lake, attached, with no transaction open; and its landing zone."""

    connection: duckdb.DuckDBPyConnection
    config: LakeConfig
    run: races.Run | None = None  # signs its commits; None within dbt, which is a run by itself

    @cached_property
    def landing(self) -> Landing:
        """The landing zone; Unreachable says why it cannot be read."""
        return open_landing(self.config.landing_url)

    @cached_property
    def streams(self) -> list[Stream]:
        """The streams that the project declared in the last run, by name."""
        found = self.fetch(
            f"select declaration from {CURSORS}"
            " where declaration is not null order by source, stream"
        )
        return [Stream.from_declaration(declaration) for (declaration,) in found]

    def chosen(self, name: str | None) -> list[Stream]:
        """The declared stream of a name, those of a source, or all.

        Raises:
            LakeError: There is none.
        """
        chosen = [one for one in self.streams if name in (None, one.source, one.label)]
        if not chosen:
            raise LakeError(
                f"There is no stream {name}; declared are: "
                f"{', '.join(one.label for one in self.streams)}."
            )
        return chosen

    def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def commit(self, sql: str, message: str) -> None:
        """Run statements in one transaction (see ``races.commit``).

        Raises:
            LakeError: They failed, and nothing was changed.
        """
        if problem := races.commit(self.connection, sql, message, self.run):
            raise LakeError(problem)


@contextmanager
def opened(command: str) -> Iterator[Lake]:
    """Open the lake that the environment names, for a command that may change it.

    Raises:
        LakeError: The environment is wrong, or the lake was never built.
        Unreachable: The lake does not answer.
    """
    config = LakeConfig.from_env()
    if config.branch:
        branches.require(config)
    with connect_to_write(config) as connection:
        yield Lake(connection, config, races.Run(f"lake {command}", str(uuid.uuid4())))
