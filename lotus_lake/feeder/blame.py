"""Which files made a feed fail: they go into quarantine, and everything else is fed."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from lotus_lake.feeder.fitting import Group, Quarantine
from lotus_lake.feeder.plan import Planner
from lotus_lake.feeder.rows import Writer
from lotus_lake.probe import is_out_of_memory, is_transient, reason_of
from lotus_lake.races import roll_back

# What a file can cause that can be read; everything else is the lake's fault, or the store's.
_FILES_FAULT = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.NotSupportedError,
    duckdb.ProgrammingError,
)


def is_files_fault(error: BaseException) -> bool:
    """Whether an error may be that of files: of what is in them, or of how much."""
    return isinstance(error, _FILES_FAULT) or is_out_of_memory(error)


def unreadable(writer: Writer, groups: Sequence[Group]) -> dict[str, str]:
    """After a feed failed: which files cannot be read to their end?"""
    bad = {}
    for group in groups:
        for probe in group.probes:
            try:
                writer.read_through(group, [probe])
            except duckdb.Error as error:
                if is_transient(error):
                    continue
                bad[probe.file.path] = reason_of(error, "it cannot be read")
    return bad


def unfit(
    connection: duckdb.DuckDBPyConnection,
    planner: Planner,
    writer: Writer,
    groups: Sequence[Group],
) -> dict[str, str]:
    """After a feed failed though every file can be read: which of them fail alone?"""
    bad = {}
    for probe in [probe for group in groups for probe in group.probes]:
        alone = planner.plan([probe], Quarantine())
        try:
            connection.execute("begin")
            writer.write(alone.ddl, alone.groups, version=0)
        except _FILES_FAULT as error:
            bad[probe.file.path] = reason_of(error, "it cannot be fed")
        except duckdb.Error:
            pass  # the lake's fault, or the store's
        finally:
            roll_back(connection)
    return bad
