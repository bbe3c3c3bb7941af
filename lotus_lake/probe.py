"""What a landed file is: its format by content, its columns and rows, or why it cannot be fed."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lotus_lake import s3
from lotus_lake.landing import LandedFile, Landing
from lotus_lake.schema import Type, literal
from lotus_lake.streams import LINEAGE_COLUMNS

# Enough for the header of any table, and for telling text from something else.
_HEAD_BYTES = 1 << 20
# Bytes after the footer of a Parquet file with encrypted columns: a nonce and a tag.
_SIGNATURE = 28
# Footers are small reads that wait for the store, so many at once pay even on one core.
_READERS = 16
_CHUNK_BYTES = 1 << 18
# Lines of JSON: what DuckDB expects by itself, and what it is never asked for.
_USUAL_LINE_BYTES, _GREATEST_LINE_BYTES = 1 << 24, 1 << 27

# Names that rows have anyway while they are read, or in the lake.
_RESERVED = {"__uri", "__row", "file_row_number", "rowid", "snapshot_id", *LINEAGE_COLUMNS}

# Nested columns of a CSV file are one long field each; Python's own limit is 128 KiB.
csv.field_size_limit(1 << 27)

# How the system says that DuckDB cannot spill, or write.
_DISK_FULL = re.compile("no space left|file too large|quota exceeded", re.IGNORECASE)

_NAMED = re.compile(r"\.(parquet|csv|jsonl|ndjson|json)(?=\.|-|_|$)", re.IGNORECASE)


class Unreadable(Exception):
    """A file that cannot be fed; the message is the reason for its quarantine."""

    @property
    def passing(self) -> bool:
        """Whether what happened says nothing about the file, which may be a good one."""
        return is_passing(self.__cause__)


def is_passing(error: BaseException | None) -> bool:
    """Whether an error is the store's or the machine's, and not the file's."""
    return (
        s3.stumbled(error)
        or isinstance(error, duckdb.OutOfMemoryException | MemoryError)
        or bool(_DISK_FULL.search(str(error)))
    )


@dataclass(frozen=True)
class Probe:
    """What is known of a file before it is read.

    Args:
        file: The file.
        format: ``parquet``, ``csv`` or ``jsonl``.
        gzip: Whether a text is compressed.
        schema: Its columns, in the file's order.
        rows: Its rows; None where only reading tells.
        generation: Greatest ``_airbyte_generation_id``, from the footer's statistics, or None.
        line_bytes: For ``jsonl``, what DuckDB has to expect of a line.
    """

    file: LandedFile
    format: str
    gzip: bool = False
    schema: dict[str, Type] = field(default_factory=dict)
    rows: int | None = None
    generation: int | None = None
    line_bytes: int = 0

    @property
    def group(self) -> tuple[str, bool, int, tuple[tuple[str, Type], ...]]:
        """Files with the same group can be read in one statement."""
        return (self.format, self.gzip, self.line_bytes, tuple(self.schema.items()))


@dataclass(frozen=True)
class _Text:
    """A text that was read to its end.

    Args:
        head: Its beginning.
        gzip: Whether it is compressed.
        quotes: Whether it has quotes.
        longest_line: In bytes.
    """

    head: bytes
    gzip: bool
    quotes: bool
    longest_line: int


class Prober:
    """Looks into files, without reading their rows where it can.

    Args:
        connection: DuckDB connection, used for its own view of schemas.
        landing: The landing zone.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, landing: Landing) -> None:
        self._connection = connection
        self._landing = landing
        self._parquet_schemas: dict[bytes, dict[str, Type]] = {}

    def probe(self, files: Iterable[LandedFile]) -> list[tuple[LandedFile, Probe | Unreadable]]:
        """Look into files, many at once; a file's result never depends on the others'."""
        files = list(files)
        with ThreadPoolExecutor(_READERS) as readers:
            looks = list(readers.map(self._look, files))
        found: list[tuple[LandedFile, Probe | Unreadable]] = []
        for file, look in zip(files, looks, strict=True):
            try:
                found.append((file, self._with_schema(file, look)))
            except Unreadable as reason:
                found.append((file, reason))
        return found

    def relation(self, probe: Probe, paths: list[str] | None = None) -> str:
        """SQL of a file's rows, or of those of all files of its group.

        The relation has the file's columns, ``__uri`` and ``__row``.
        """
        paths = [probe.file.path] if paths is None else paths
        uris = [self._landing.uri(path) for path in paths]
        if probe.format == "parquet":
            return (
                "(select * rename (file_row_number as __row)"
                f" from read_parquet([{', '.join(map(literal, uris))}], hive_partitioning = false,"
                " union_by_name = false, filename = '__uri', file_row_number = true))"
            )
        compression = _compression(probe.gzip)
        if probe.format == "csv":
            columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in probe.schema)
            reads = [
                f"select *, row_number() over () - 1 as __row from read_csv({literal(uri)},"
                f" auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"',"
                f" columns = {{{columns}}}, nullstr = '', filename = '__uri', parallel = false,"
                f" hive_partitioning = false, max_line_size = 16777216,"
                f" compression = '{compression}')"
                for uri in uris
            ]
        else:
            structure = json.dumps(Type.struct(list(probe.schema.items())).json_structure())
            reads = [
                f"select unnest(from_json(json, {literal(structure)})), __uri, __row from ("
                f"select json, {literal(uri)} as __uri, row_number() over () - 1 as __row"
                f" from read_ndjson_objects({literal(uri)}, compression = '{compression}',"
                f" maximum_object_size = {probe.line_bytes}))"
                for uri in uris
            ]
        return f"({' union all '.join(reads)})"

    # -- one file ---------------------------------------------------------------------------------

    def _look(self, file: LandedFile) -> pq.FileMetaData | _Text | Unreadable:
        """Read what tells the format: a Parquet footer, or a whole text. Runs in a thread."""
        if file.size == 0:
            return Unreadable("it is empty (0 bytes)")
        try:
            with self._open(file) as data:
                if data.read_at(4, 0) in (b"PAR1", b"PARE"):
                    return _parquet_footer(data, file.size)
                return _read_text(data)
        except Unreadable as reason:
            return reason
        except PermissionError:
            return Unreadable(
                "this user has no right to read it. Give it that right, and then have it looked at "
                "again with `dbt run-operation release_quarantine`"
            )
        except (OSError, pa.ArrowException) as error:
            unreadable = Unreadable(f"it cannot be read: {in_a_line(error)}")
            unreadable.__cause__ = error
            return unreadable

    def _open(self, file: LandedFile) -> pa.NativeFile:
        return self._landing.filesystem.open_input_file(self._landing.arrow_path(file.path))

    def _with_schema(self, file: LandedFile, look: pq.FileMetaData | _Text | Unreadable) -> Probe:
        if isinstance(look, Unreadable):
            raise look
        if isinstance(look, pq.FileMetaData):
            return self._parquet(file, look)
        named = _NAMED.search(file.path.rsplit("/", 1)[-1])
        name = named.group(1).lower().replace("ndjson", "jsonl") if named else None
        is_json = look.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
        content = "jsonl" if is_json else "csv"
        if name == "json":
            name = "jsonl"
        if name == "parquet" or (name is None and content == "csv"):
            raise Unreadable(
                "it is not Parquet: neither its first nor its last bytes are Parquet's. "
                "Have the sync write it again"
            )
        if name is not None and name != content:
            raise Unreadable(f"it is named .{name}, but its content is not: have it written again")
        return self._jsonl(file, look) if is_json else self._csv(file, look)

    def _parquet(self, file: LandedFile, footer: pq.FileMetaData) -> Probe:
        if footer.num_rows == 0:
            raise Unreadable("it has no rows")
        # Arrow's schema: DuckDB's has numbers after names that come twice, and types for nulls.
        try:
            arrow = footer.schema.to_arrow_schema()
        except pa.ArrowException as error:
            raise Unreadable(f"it cannot be read: {in_a_line(error)}") from error
        key = arrow.remove_metadata().serialize().to_pybytes()
        if key not in self._parquet_schemas:
            _check_names(arrow)
            described = self._describe(
                f"read_parquet({literal(self._landing.uri(file.path))}, hive_partitioning = false)"
            )
            row = _without_nulls(Type.struct(list(described.items())), pa.struct(list(arrow)))
            self._parquet_schemas[key] = dict(row.fields)
        for column in arrow:
            if _has_nanoseconds(column.type):
                self._check_nanoseconds(file, column.name)
        schema = self._parquet_schemas[key]
        return Probe(
            file, "parquet", schema=schema, rows=footer.num_rows, generation=_generation(footer)
        )

    def _check_nanoseconds(self, file: LandedFile, column: str) -> None:
        """DuckDB's reader cuts zoned timestamps to microseconds and says nothing."""
        try:
            with self._open(file) as data:
                table = pq.ParquetFile(data).read(columns=[column])
        except (OSError, pa.ArrowException) as error:
            raise Unreadable(f"it cannot be read: {in_a_line(error)}") from error
        if any(_loses_nanoseconds(chunk) for chunk in table.column(column).chunks):
            raise Unreadable(
                f"column {column} has times in nanoseconds that cannot be kept in microseconds "
                "without loss"
            )

    def _csv(self, file: LandedFile, look: _Text) -> Probe:
        try:
            header = next(csv.reader(io.StringIO(_decode(look.head), newline=""), strict=True))
            # DuckDB leaves out a last row whose quotes do not close, and says nothing.
            if look.quotes:
                self._read_as_csv(file, look.gzip)
        except csv.Error as error:
            raise Unreadable(f"it is no valid CSV: {error}") from error
        except OSError as error:
            raise Unreadable(f"it cannot be read: {in_a_line(error)}") from error
        except StopIteration:
            raise Unreadable("it has no header") from None
        names = [name.strip() for name in header]
        _check_names(pa.schema([(name, pa.string()) for name in names]))
        probe = Probe(file, "csv", look.gzip, {name: Type.scalar("VARCHAR") for name in names})
        return replace(probe, rows=self._count(probe))

    def _read_as_csv(self, file: LandedFile, gzip: bool) -> None:
        with (
            self._open(file) as data,
            pa.input_stream(data, compression="gzip" if gzip else None) as text,
            io.TextIOWrapper(text, "utf-8-sig", errors="replace", newline="") as lines,
        ):
            for _ in csv.reader(lines, strict=True):
                pass

    def _jsonl(self, file: LandedFile, look: _Text) -> Probe:
        line_bytes = _line_bytes(look.longest_line)
        source = (
            f"read_ndjson_objects({literal(self._landing.uri(file.path))},"
            f" compression = '{_compression(look.gzip)}', maximum_object_size = {line_bytes})"
        )
        try:
            found = self._connection.execute(
                "select count(*), json_group_structure(json)::varchar,"
                f" coalesce(bool_and(json_type(json) = 'OBJECT'), true) from {source}"
            ).fetchone()
        except duckdb.Error as error:
            raise Unreadable(
                f"it is no valid JSON, one object a line: {in_a_line(error)}"
            ) from error
        rows, structure, objects = found or (0, None, True)
        if not rows or structure is None:
            raise Unreadable("it has no rows")
        row = Type.of_json(json.loads(structure))
        if row.kind != "struct" or not objects:
            raise Unreadable("its lines are not all JSON objects")
        _check_names(_arrow_names(row))
        schema = {name: child for name, child in row.fields if not child.unknown}
        probe = Probe(file, "jsonl", look.gzip, schema, line_bytes=line_bytes)
        return replace(probe, rows=self._count(probe))

    def _count(self, probe: Probe) -> int:
        """Read a whole text once: only that tells whether each of its lines can be read."""
        try:
            # Counting each column makes the reader parse them all.
            columns = ", ".join(f"count({name})" for name in ("__row", "columns(*)"))
            found = self._connection.execute(
                f"select count(*), {columns} from {self.relation(probe)}"
            ).fetchone()
        except duckdb.Error as error:
            raise Unreadable(f"it cannot be read as {probe.format}: {in_a_line(error)}") from error
        rows = int(found[0]) if found else 0
        if rows == 0:
            raise Unreadable("it has no rows")
        return rows

    def _describe(self, relation: str) -> dict[str, Type]:
        try:
            described = self._connection.sql(f"select * from {relation} limit 0")
            return {
                name: Type.of(type_)
                for name, type_ in zip(described.columns, described.types, strict=True)
            }
        except duckdb.Error as error:
            raise Unreadable(f"it cannot be read: {in_a_line(error)}") from error


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


def _read_text(data: pa.NativeFile) -> _Text:
    """Read a text to its end: only that tells whether a compressed one is whole."""
    gzip = data.read_at(2, 0) == b"\x1f\x8b"
    head, quotes, longest, open_line = b"", False, 0, 0
    data.seek(0)
    for chunk in _inflate(data) if gzip else iter(lambda: data.read(_CHUNK_BYTES), b""):
        head += chunk[: max(0, _HEAD_BYTES - len(head))]
        quotes = quotes or b'"' in chunk
        lines = chunk.split(b"\n")
        ended = open_line + len(lines[0])
        longest = max(longest, ended, *map(len, lines))
        open_line = len(lines[-1]) if len(lines) > 1 else ended
    return _Text(head, gzip, quotes, longest)


def _line_bytes(longest: int) -> int:
    """What DuckDB is told of the lines of a file; it takes twice as much memory for each thread.

    Args:
        longest: The longest line, in bytes.
    """
    # A power of two, so that most files can be read in one statement.
    return min(max(_USUAL_LINE_BYTES, 1 << longest.bit_length()), _GREATEST_LINE_BYTES)


def _inflate(data: pa.NativeFile) -> Iterator[bytes]:
    """The content of a gzip file, which may be several one after the other."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        while raw := data.read(_CHUNK_BYTES):
            while raw:
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                yield inflate.decompress(raw)
                raw = inflate.unused_data
    except zlib.error as error:
        raise Unreadable(f"it is damaged gzip: {error}") from error
    if not inflate.eof:
        raise Unreadable("it is cut off: its gzip has no end. Have it sent again")


def _compression(gzip: bool) -> str:
    return "gzip" if gzip else "uncompressed"


def _decode(text: bytes) -> str:
    # Incremental, because the head may end inside a character.
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(text)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _check_names(fields: Iterable[pa.Field], inside: str = "") -> None:
    """Refuse names that the lake could not keep apart, also inside objects.

    Raises:
        Unreadable: There is such a name.
    """
    seen: set[str] = set()
    for column in fields:
        name = column.name.lower()
        if not name:
            raise Unreadable(f"it has a column without a name{inside}")
        if name in seen:
            raise Unreadable(
                f"it has two columns named {column.name}{inside}; capitals do not count"
            )
        if not inside and name in _RESERVED:
            raise Unreadable(f"it has a column {column.name}, a name that the lake uses itself")
        seen.add(name)
        inner = column.type
        while pa.types.is_list(inner) or pa.types.is_large_list(inner):
            inner = inner.value_type
        if pa.types.is_struct(inner):
            _check_names(inner, f" in {column.name}")


def _arrow_names(row: Type) -> pa.StructType:
    """The names of a type, as :func:`_check_names` takes them."""

    def arrow(type_: Type) -> pa.DataType:
        if type_.kind == "struct":
            return _arrow_names(type_)
        return pa.list_(arrow(type_.element)) if type_.element else pa.null()

    return pa.struct([pa.field(name, arrow(child)) for name, child in row.fields])


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


def _has_nanoseconds(arrow: pa.DataType) -> bool:
    if pa.types.is_struct(arrow):
        return any(_has_nanoseconds(field.type) for field in arrow)
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return _has_nanoseconds(arrow.value_type)
    return bool(pa.types.is_timestamp(arrow) and arrow.unit == "ns" and arrow.tz)


def _loses_nanoseconds(array: pa.Array) -> bool:
    """Whether a zoned time anywhere in the values is no whole number of microseconds."""
    if pa.types.is_struct(array.type):
        return any(_loses_nanoseconds(child) for child in array.flatten())
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _loses_nanoseconds(array.flatten())
    if not _has_nanoseconds(array.type):
        return False
    nanoseconds = array.cast(pa.int64())
    whole = pc.multiply(pc.divide(nanoseconds, 1000), 1000)
    return bool(pc.any(pc.not_equal(nanoseconds, whole)).as_py())


def _generation(footer: pq.FileMetaData) -> int | None:
    found: list[int] = []
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            if column.path_in_schema == "_airbyte_generation_id":
                if not column.is_stats_set or not column.statistics.has_min_max:
                    return None
                found.append(column.statistics.max)
    return max(found, default=None)


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line.

    Of DuckDB's errors about CSV files also the cause, which stands below the file's own line. That
    line is left out: it holds data.
    """
    lines = str(error).split("\nPossible ")[0].strip().splitlines() or [type(error).__name__]
    if "CSV Error" in lines[0] and not lines[-1].startswith(("Original Line", lines[0])):
        return f"{lines[0]}: {lines[-1].strip().rstrip('.')}"
    return lines[0]
