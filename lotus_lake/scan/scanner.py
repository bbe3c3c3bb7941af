"""What a landed file is: its format by content, its columns and rows, or why it cannot be fed."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lotus_lake.landing import LandedFile, Landing
from lotus_lake.probe import Limits, Probe, Unreadable, in_a_line, is_transient, relation
from lotus_lake.scan import texts
from lotus_lake.scan.documents import Documents
from lotus_lake.scan.names import check_columns
from lotus_lake.schema.types import Type, literal, values_at
from lotus_lake.wording import counted

# Enough for telling JSON from CSV.
_HEAD_CHARACTERS = 1 << 12
_BUFFER_BYTES = 1 << 18
_FETCHED_ROWS = 1000
# Bytes after the footer of a Parquet file with encrypted columns: a nonce and a tag.
_SIGNATURE = 28
# Footers are small reads that wait for the store, so many at once pay even on one core.
_READERS = 16
# A small file may stand for this many values, however small it is.
_FEW_VALUES = 64 << 20

_NAMED = re.compile(r"\.(parquet|csv|jsonl|ndjson|json)(?=\.|-|_|$)", re.IGNORECASE)

Result = TypeVar("Result")


class Scanner:
    """Scans files, without reading their rows where it can; texts are rewritten in ``folder``."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, landing: Landing, limits: Limits, folder: str
    ) -> None:
        self._connection = connection
        self._landing = landing
        self._limits = limits
        self._folder = folder
        self._schemas: dict[bytes, dict[str, Type]] = {}  # of Parquet files, by Arrow's

    def scan(self, files: Sequence[LandedFile]) -> Iterator[Probe | Unreadable]:
        """A result for each file, in order; it never depends on the other files."""
        with ThreadPoolExecutor(_READERS) as readers:
            footers = list(readers.map(lambda file: _tried(self._footer, file), files))
        for file, footer in zip(files, footers, strict=True):
            if isinstance(footer, Unreadable):
                yield footer
            elif footer is None:
                yield _tried(self._text, file)
            else:
                yield _tried(self._parquet, file, footer)

    def json_type(
        self, probe: Probe, column: str, path: tuple[str, ...]
    ) -> Iterator[Type | Unreadable]:
        """The type of the JSON in a text column, or in a field of a column; NULL for none."""
        yield _tried(self._json_type, probe, column, path)

    def _json_type(self, probe: Probe, column: str, path: tuple[str, ...]) -> Type:
        documents = Documents(self._limits)
        values = values_at(column, path, relation([probe], self._landing), row="__row")
        found = self._connection.execute(
            f"select row, value from ({values}) where value is not null and value <> ''"
        )
        while rows := found.fetchmany(_FETCHED_ROWS):
            for row, value in rows:
                documents.add(value, row)
        return documents.type

    def _footer(self, file: LandedFile) -> pq.FileMetaData | None:
        """The footer of Parquet; None for a text, which is read later: one at a time."""
        if file.size == 0:
            raise Unreadable("it is empty (0 bytes)")
        with self._landing.open(file.path) as data:
            if data.read_at(4, 0) in (b"PAR1", b"PARE"):
                return _parquet_footer(data, file.size)
        return None

    def _parquet(self, file: LandedFile, footer: pq.FileMetaData) -> Probe:
        if footer.num_rows == 0:
            raise Unreadable("it has no rows")
        groups = range(footer.num_row_groups)
        content = sum(footer.row_group(group).total_byte_size for group in groups)
        self._check_size(file, footer, content)
        # Arrow's schema: DuckDB's has numbers after names that come twice, and types for nulls.
        arrow = footer.schema.to_arrow_schema()
        key = arrow.remove_metadata().serialize().to_pybytes()
        if key not in self._schemas:
            check_columns(_of_arrow(pa.struct(list(arrow))), self._limits)
            self._schemas[key] = self._describe(file, arrow)
        for column in arrow:
            if (kept := _in_microseconds(column.type)) != column.type:
                self._check_nanoseconds(file, column.name, kept)
        return Probe(
            file,
            "parquet",
            schema=self._schemas[key],
            rows=footer.num_rows,
            generation=_generation(footer),
            content_bytes=content,
        )

    def _check_size(self, file: LandedFile, footer: pq.FileMetaData, content: int) -> None:
        """A few bytes of Parquet can stand for any number of equal values."""
        limits = self._limits
        values = max(footer.num_rows * footer.num_columns, content)
        if values > max(limits.ratio * file.size, _FEW_VALUES):
            raise Unreadable(
                f"it has {counted(footer.num_rows, 'row')} of "
                f"{counted(footer.num_columns, 'column')} in {counted(file.size, 'byte')}, more "
                f"than {limits.ratio} times its size (feed_max_ratio)"
            )

    def _describe(self, file: LandedFile, arrow: pa.Schema) -> dict[str, Type]:
        described = self._connection.sql(
            f"select * from read_parquet({literal(self._landing.uri(file.path))},"
            " hive_partitioning = false) limit 0"
        )
        types = map(Type.of, described.types)
        row = Type.struct(zip(described.columns, types, strict=True))
        return dict(_without_nulls(row, pa.struct(list(arrow))).fields)

    def _check_nanoseconds(self, file: LandedFile, column: str, kept: pa.DataType) -> None:
        """DuckDB's reader cuts zoned timestamps to microseconds and says nothing."""
        with self._landing.open(file.path) as data:
            parquet = pq.ParquetFile(data)
            for group in range(parquet.num_row_groups):
                values = parquet.read_row_group(group, columns=[column]).column(column)
                try:
                    values.cast(kept)
                except pa.ArrowInvalid as error:
                    raise Unreadable(
                        f"column {column}: a time in nanoseconds cannot be kept in microseconds "
                        "without loss"
                    ) from error

    def _text(self, file: LandedFile) -> Probe:
        with self._landing.open(file.path) as data:
            form = _text_format(file, self._decoded(data, "replace").read(_HEAD_CHARACTERS))
        path = f"{self._folder}/{uuid.uuid4()}.parquet"
        try:
            with self._landing.open(file.path) as data:
                return self._rewrite(file, form, self._decoded(data, "strict"), path)
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise

    def _decoded(self, data: pa.NativeFile, errors: str) -> io.TextIOBase:
        """A file as text; its lines keep their ends."""
        size = data.size()
        content = (
            texts.Gunzipped(data, size, self._limits)
            if data.read_at(2, 0) == b"\x1f\x8b"
            else io.BufferedReader(data, _BUFFER_BYTES)
        )
        data.seek(0)
        return io.TextIOWrapper(content, "utf-8-sig", errors, newline="")

    def _rewrite(self, file: LandedFile, form: str, text: io.TextIOBase, path: str) -> Probe:
        uri = f"{self._landing.root}{file.path}"
        pieces = texts.Pieces(path, uri)
        if form == "csv":
            names = texts.rewrite_csv(text, pieces, self._limits)
            columns = [(name, Type.scalar("VARCHAR")) for name in names]
        else:
            documents = Documents(self._limits)
            texts.rewrite_json(text, pieces, documents, self._limits)
            check_columns(documents.type, self._limits)
            columns = [
                (name, type_)
                for name, type_ in documents.type.fields
                if type_.has_empty or not type_.unknown
            ]
        pieces.close()
        if pieces.rows == 0 or not columns:
            raise Unreadable("it has no rows")
        return Probe(
            file,
            form,
            schema=dict(columns),
            rows=pieces.rows,
            content_bytes=pieces.bytes,
            rewritten=path,
        )


def _tried(function: Callable[..., Result], *arguments: Any) -> Result | Unreadable:
    """What a function finds, or why it finds nothing."""
    try:
        return function(*arguments)
    except Unreadable as reason:
        return reason
    except (MemoryError, duckdb.OutOfMemoryException):
        raise
    except RecursionError:
        return Unreadable("it is nested too deeply")
    except PermissionError:
        return Unreadable(
            "this user has no right to read it. Give it that right, and then have it scanned "
            "again with `lake release`"
        )
    except (OSError, ValueError, pa.ArrowException, duckdb.Error) as error:
        return Unreadable(
            f"it cannot be read: {in_a_line(error)}", is_transient=is_transient(error)
        )


def _text_format(file: LandedFile, head: str) -> str:
    """Which format a text has: what it looks like, which its name must not contradict."""
    named = _NAMED.search(file.path.rsplit("/", 1)[-1])
    name = named.group(1).lower() if named else None
    if name in ("ndjson", "json"):
        name = "jsonl"
    content = "jsonl" if head.lstrip().startswith(("{", "[")) else "csv"
    if not head.strip():
        content = name or content
    if name == "parquet" or (name is None and content == "csv"):
        raise Unreadable(
            "it is not Parquet: neither its first nor its last bytes are Parquet's. "
            "Have the sync write it again"
        )
    if name not in (None, content):
        raise Unreadable(f"it is named .{name}, but its content is not: have it written again")
    return content


def _parquet_footer(data: pa.NativeFile, size: int) -> pq.FileMetaData:
    tail = data.read_at(4, size - 4) if size >= 12 else b""
    if tail == b"PARE":
        raise Unreadable("it is encrypted Parquet, and the lake has no key")
    if tail != b"PAR1":
        raise Unreadable(
            "it is cut off: it begins like Parquet but has no footer. Have it sent again"
        )
    footer = pq.ParquetFile(data).metadata
    # A footer that can be read although columns are encrypted carries a signature. Arrow ends the
    # whole process, not the call, when it is asked for such a column.
    if int.from_bytes(data.read_at(4, size - 8), "little") - footer.serialized_size == _SIGNATURE:
        raise Unreadable("it has encrypted columns, and the lake has no key")
    return footer


def _of_arrow(arrow: pa.DataType) -> Type:
    """The names of a type and how they are nested; its scalars do not matter."""
    if pa.types.is_struct(arrow):
        return Type.struct([(field.name, _of_arrow(field.type)) for field in arrow])
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return Type.list_of(_of_arrow(arrow.value_type))
    return Type.scalar("VARCHAR")


def _without_nulls(type_: Type, arrow: pa.DataType) -> Type:
    """The type as DuckDB reads it, but unknown where Arrow has nothing but nulls."""
    if pa.types.is_null(arrow):
        return Type.scalar("NULL")
    if type_.kind == "struct" and pa.types.is_struct(arrow) and len(type_.fields) == len(arrow):
        fields = zip(type_.fields, arrow, strict=True)
        return Type.struct([(name, _without_nulls(child, of.type)) for (name, child), of in fields])
    if type_.element and (pa.types.is_list(arrow) or pa.types.is_large_list(arrow)):
        return Type.list_of(_without_nulls(type_.element, arrow.value_type))
    return type_


def _in_microseconds(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_in_microseconds(field.type)) for field in arrow])
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        kept = arrow.value_field.with_type(_in_microseconds(arrow.value_type))
        return pa.list_(kept) if pa.types.is_list(arrow) else pa.large_list(kept)
    if pa.types.is_timestamp(arrow) and arrow.unit == "ns" and arrow.tz:
        return pa.timestamp("us", arrow.tz)
    return arrow


def _generation(footer: pq.FileMetaData) -> int | None:
    """The greatest generation, by the statistics of each row group."""
    paths = [footer.schema.column(index).path for index in range(footer.num_columns)]
    if "_airbyte_generation_id" not in paths:
        return None
    index = paths.index("_airbyte_generation_id")
    columns = [footer.row_group(group).column(index) for group in range(footer.num_row_groups)]
    if not all(column.is_stats_set and column.statistics.has_min_max for column in columns):
        return None
    return max((column.statistics.max for column in columns), default=None)
