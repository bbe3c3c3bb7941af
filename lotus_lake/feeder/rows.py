"""The rows of a feed: copied into the staging table, or registered with their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from lotus_lake.feeder.fitting import Group
from lotus_lake.probe import CHECK_FAILED, Probe, Prober
from lotus_lake.schema.types import literal, quote
from lotus_lake.streams import Stream
from lotus_lake.wording import counted

# The path of the row that keeps a column's statistics honest; no file can have it.
_NULLS = "//nulls"
# What one statement writes. DuckDB holds rows in memory until it has 122,880 for each thread, and
# rows may be wide.
_PORTION_BYTES = 256 << 20
# DuckDB keeps the footer and the readers of each.
_PORTION_FILES = 1000


def _portions(probes: Sequence[Probe]) -> Iterator[tuple[list[Probe], int, int]]:
    """Files that one statement writes, or a part of a large one: its first row, and its rows."""
    portion: list[Probe] = []
    size = 0
    for probe in probes:
        if len(portion) == _PORTION_FILES or (
            portion and size + probe.content_bytes > _PORTION_BYTES
        ):
            yield portion, 0, sum(member.rows for member in portion)
            portion, size = [], 0
        portion.append(probe)
        size += probe.content_bytes
        if size > _PORTION_BYTES:
            step = max(probe.rows * _PORTION_BYTES // size, 1)
            for first in range(0, probe.rows, step):
                yield portion, first, min(step, probe.rows - first)
            portion, size = [], 0
    if portion:
        yield portion, 0, sum(member.rows for member in portion)


@dataclass(frozen=True)
class Writer:
    connection: duckdb.DuckDBPyConnection
    stream: Stream
    prober: Prober

    def write(self, ddl: Sequence[str], groups: Sequence[Group], version: int) -> None:
        """Change the table by ``ddl``, and write the rows, inside a transaction."""
        for statement in ddl:
            self.connection.execute(statement)
        for group in groups:
            if group.register:
                self._register(group)
                continue
            for probes, first, count in _portions(group.probes):
                self._insert(group, probes, first, count, version)

    def read_through(self, group: Group, probes: Sequence[Probe]) -> None:
        """Read files of a group to their end; duckdb.Error if one, or a row, cannot be fed."""
        relation = self.prober.relation(probes)
        values = ", ".join(["__row", *group.values.values()])
        ((read,),) = self.connection.execute(
            f"select count(hash({values})) from {relation} where {group.check}"
        ).fetchall()
        said = sum(probe.rows for probe in probes)
        if read != said:
            rows = counted(said, "row")
            raise duckdb.InvalidInputException(
                f"{CHECK_FAILED}it says that it has {rows}, but {read:,} can be read"
            )

    def _insert(
        self, group: Group, probes: Sequence[Probe], first: int, count: int, version: int
    ) -> None:
        relation = self.prober.relation(probes)
        columns = [f"{value} as {quote(column)}" for column, value in group.values.items()]
        # The path as the ledger has it: what follows the landing zone's own.
        start = len(self.prober.landing.root) + 1
        columns += [
            f"substr(__uri, {start}) as _source_file",
            "__row as _source_row",
            f"{version} as _cursor_version",
        ]
        rows = f"select {', '.join(columns)} from {relation} where {group.check}"
        if count < probes[0].rows:
            rows += f" and __row between {first} and {first + count - 1}"
        expected = count
        if self.stream.feed_mode == "register":
            # Registered rows have no lineage. Rows in which everything is null, gone again before
            # they are committed, keep DuckLake from believing that no column ever is.
            rows += (
                f" union all by name select '{_NULLS}' as _source_file"
                " union all by name select -1 as _source_row"
            )
            expected += 2
        ((inserted,),) = self.connection.execute(
            f"insert into {self.stream.table} by name {rows}"
        ).fetchall()
        if inserted != expected:
            raise duckdb.InvalidInputException(
                f"rows to be fed: {expected:,}, rows read: {inserted:,}"
            )
        if self.stream.feed_mode == "register":
            self.connection.execute(
                f"delete from {self.stream.table}"
                f" where _source_file = '{_NULLS}' or _source_row = -1"
            )

    def _register(self, group: Group) -> None:
        # What is not read now would break every reader later.
        self.read_through(group, group.probes)
        lake, schema, table = self.stream.table.split(".")
        # Compaction would move registered rows out of landed files, and own those files.
        self.connection.execute(
            f"call {lake}.set_option('auto_compact', false, schema => {literal(schema)},"
            f" table_name => {literal(table)})"
        )
        for path in group.paths:
            self.connection.execute(
                f"call ducklake_add_data_files({literal(lake)}, {literal(table)},"
                f" {literal(self.prober.landing.uri(path))}, schema => {literal(schema)},"
                " allow_missing => true)"
            )
