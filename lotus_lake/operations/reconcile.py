"""Proves that nothing is missing and nothing is twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lotus_lake.connection import ALIAS
from lotus_lake.operations.lake import FILES, Lake
from lotus_lake.probe import Limits, Prober, Unreadable
from lotus_lake.streams import Stream
from lotus_lake.wording import COUNTED_SQL

_SQL = (Path(__file__).parent / "reconcile.sql").read_text()
# Files that were fed are within the limits that their stream had then.
_AS_FED = Limits(depth=200, columns=10**5, ratio=10**6, value_bytes=1 << 30, seconds=10**6)
_LANDED = pa.schema([("path", pa.string()), ("etag", pa.string())])
_FOOTERS = pa.schema([*_LANDED, ("row_count", pa.int64()), ("reason", pa.string())])
# Where a stream has no table yet.
_NOTHING = (
    "(select null::varchar as _source_file, null::bigint as _cursor_version,"
    " null::varchar as filename where false)"
)


@dataclass(frozen=True)
class Reconciled:
    """A stream: what differs, and what the ledger says of files that are not in the lake."""

    stream: str
    differences: list[str]
    notes: list[str]


def reconcile(lake: Lake, name: str | None, read_files: bool) -> Iterator[Reconciled]:
    """Compare, for a stream, a source's streams or all, what lies in the landing zone, what the
    ledger says, what the files themselves say and what staging has. Changes nothing.

    Files that are gone from landing after they were fed are no difference (the lake owns its rows),
    except registered ones; quarantined files are listed, since the ledger accounts for them.

    Raises:
        LakeError: There is no such stream.
        Unreachable: The landing zone cannot be read.
    """
    for stream in lake.chosen(name):
        lines = _compare(lake, stream, read_files)
        yield Reconciled(
            stream.label,
            [message for kind, message in lines if kind == "difference"],
            [f"{kind}: {message}" for kind, message in lines if kind != "difference"],
        )


def _compare(lake: Lake, stream: Stream, read_files: bool) -> list[tuple[str, str]]:
    names = {"source": stream.source, "stream": stream.name}
    landed = lake.landing.files(stream.folder)
    fed = set(
        lake.fetch(f"select path, etag from {FILES} where {stream.condition} and status = 'loaded'")
    )
    prober = Prober(lake.landing, _AS_FED)
    asked = [file for file in landed if (file.path, file.etag) in fed] if read_files else []
    footers = [
        {
            "path": file.path,
            "etag": file.etag,
            "row_count": None if isinstance(said, Unreadable) else said.rows,
            "reason": str(said) if isinstance(said, Unreadable) else None,
        }
        for file, said in prober.probe(asked)
    ]
    prober.clear()
    listed = [{"path": file.path, "etag": file.etag} for file in landed]
    lake.connection.register("landed", pa.Table.from_pylist(listed, _LANDED))
    lake.connection.register("footers", pa.Table.from_pylist(footers, _FOOTERS))
    has_table = lake.fetch(
        "from duckdb_tables() where database_name = $lake and schema_name = 'staging'"
        " and table_name = $table",
        {"lake": ALIAS, "table": stream.table.rpartition(".")[2]},
    )
    lake.connection.execute(COUNTED_SQL)
    sql = _SQL.format(lake=ALIAS, staging=stream.table if has_table else _NOTHING)
    return lake.fetch(sql, names)
