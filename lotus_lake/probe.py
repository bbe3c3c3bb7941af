"""What a landed file is: its format by content, its columns and rows, or why it cannot be fed."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lotus_lake.landing import LandedFile, Landing
from lotus_lake.schema import Type, literal

# Enough for the header of any table, and for telling text from something else.
_HEAD_BYTES = 1 << 20
# Footers are small reads that wait for the store, so many at once pay even on one core.
_READERS = 16

_NAMED = re.compile(r"\.(parquet|csv|jsonl|ndjson|json)(?=\.|-|_|$)", re.IGNORECASE)


class Unreadable(Exception):
    """A file that cannot be fed; the message is the reason for its quarantine."""


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
    """

    file: LandedFile
    format: str
    gzip: bool = False
    schema: dict[str, Type] = field(default_factory=dict)
    rows: int | None = None
    generation: int | None = None

    @property
    def group(self) -> tuple[str, bool, tuple[tuple[str, Type], ...]]:
        """Files with the same group can be read in one statement."""
        return (self.format, self.gzip, tuple(self.schema.items()))


class Prober:
    """Looks into files, without reading their rows where it can.

    Args:
        connection: DuckDB connection, used for its own view of schemas.
        landing: The landing zone.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, landing: Landing) -> None:
        self._connection = connection
        self._landing = landing
        self._parquet_schemas: dict[str, dict[str, Type]] = {}

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
        compression = "gzip" if probe.gzip else "none"
        if probe.format == "csv":
            columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in probe.schema)
            reads = [
                f"select *, row_number() over () - 1 as __row from read_csv({literal(uri)},"
                f" auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"',"
                f" columns = {{{columns}}}, nullstr = '', filename = '__uri', parallel = false,"
                f" compression = '{compression}', max_line_size = 16777216)"
                for uri in uris
            ]
        else:
            structure = json.dumps(Type.struct(list(probe.schema.items())).json_structure())
            reads = [
                f"select unnest(from_json_strict(json, {literal(structure)})), __uri, __row from ("
                f"select json, {literal(uri)} as __uri, row_number() over () - 1 as __row"
                f" from read_ndjson_objects({literal(uri)}, compression = '{compression}',"
                " maximum_object_size = 134217728))"
                for uri in uris
            ]
        return f"({' union all '.join(reads)})"

    # -- one file ---------------------------------------------------------------------------------

    def _look(self, file: LandedFile) -> pq.FileMetaData | tuple[bytes, bool] | Unreadable:
        """Read what tells the format: a Parquet footer, or a text's head. Runs in a thread."""
        if file.size == 0:
            return Unreadable("it is empty (0 bytes)")
        try:
            with self._landing.filesystem.open_input_file(
                self._landing.arrow_path(file.path)
            ) as data:
                head = data.read_at(4, 0)
                if head in (b"PAR1", b"PARE"):
                    return _parquet_footer(data, file.size)
                raw = data.read_at(min(_HEAD_BYTES, file.size), 0)
                return _head_of_text(raw)
        except Unreadable as reason:
            return reason
        except (OSError, pa.ArrowException) as error:
            return Unreadable(f"it cannot be read: {_first_line(error)}")

    def _with_schema(
        self, file: LandedFile, look: pq.FileMetaData | tuple[bytes, bool] | Unreadable
    ) -> Probe:
        if isinstance(look, Unreadable):
            raise look
        named = _NAMED.search(file.path.rsplit("/", 1)[-1])
        name = named.group(1).lower().replace("ndjson", "jsonl") if named else None
        if isinstance(look, pq.FileMetaData):
            if name not in (None, "parquet"):
                raise Unreadable(f"it is named .{name}, but its content is Parquet: rename it")
            return self._parquet(file, look)
        text, gzip = look
        is_json = text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
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
        return self._jsonl(file, gzip) if is_json else self._csv(file, text, gzip)

    def _parquet(self, file: LandedFile, footer: pq.FileMetaData) -> Probe:
        if footer.num_rows == 0:
            raise Unreadable("it has no rows")
        key = str(footer.schema)
        if key not in self._parquet_schemas:
            self._parquet_schemas[key] = self._describe(
                f"read_parquet({literal(self._landing.uri(file.path))}, hive_partitioning = false)"
            )
        schema = self._parquet_schemas[key]
        _check_names(schema)
        return Probe(
            file, "parquet", schema=schema, rows=footer.num_rows, generation=_generation(footer)
        )

    def _csv(self, file: LandedFile, text: bytes, gzip: bool) -> Probe:
        try:
            lines = csv.reader(io.StringIO(_decode(text), newline=""), strict=True)
            header = next(lines)
            has_rows = any(any(line) for line in lines)
        except csv.Error as error:
            if "unexpected end" not in str(error):
                raise Unreadable(f"it is no valid CSV: {error}") from error
            has_rows = True
        except StopIteration:
            raise Unreadable("it has no header") from None
        if not has_rows:
            raise Unreadable("it has no rows")
        if "" in (name.strip() for name in header):
            raise Unreadable("its header has a column without a name")
        schema = {name.strip(): Type.scalar("VARCHAR") for name in header}
        if len(schema) < len(header):
            raise Unreadable("its header names a column twice")
        _check_names(schema)
        probe = Probe(file, "csv", gzip, schema)
        return Probe(file, "csv", gzip, schema, rows=self._count(probe))

    def _jsonl(self, file: LandedFile, gzip: bool) -> Probe:
        source = (
            f"read_ndjson_objects({literal(self._landing.uri(file.path))},"
            f" compression = '{'gzip' if gzip else 'none'}', maximum_object_size = 134217728)"
        )
        try:
            found = self._connection.execute(
                f"select count(*), json_group_structure(json)::varchar from {source}"
            ).fetchone()
        except duckdb.Error as error:
            raise Unreadable(
                f"it is no valid JSON, one object a line: {_first_line(error)}"
            ) from error
        rows, structure = found or (0, None)
        if not rows or structure is None:
            raise Unreadable("it has no rows")
        row = Type.of_json(json.loads(structure))
        if row.kind != "struct":
            raise Unreadable("its lines are not all JSON objects")
        schema = {name: child for name, child in row.fields if not child.unknown}
        _check_names(schema)
        probe = Probe(file, "jsonl", gzip, schema)
        return Probe(file, "jsonl", gzip, schema, rows=self._count(probe))

    def _count(self, probe: Probe) -> int:
        """Read a whole text once: only that tells whether each of its lines can be read."""
        try:
            # min() over the columns makes the reader parse them all.
            columns = ", ".join(f"count({name})" for name in ("__row", "columns(*)"))
            found = self._connection.execute(
                f"select count(*), {columns} from {self.relation(probe)}"
            ).fetchone()
        except duckdb.Error as error:
            raise Unreadable(
                f"it cannot be read as {probe.format}: {_first_line(error)}"
            ) from error
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
            raise Unreadable(f"it cannot be read: {_first_line(error)}") from error


def _parquet_footer(data: pa.NativeFile, size: int) -> pq.FileMetaData:
    tail = data.read_at(4, size - 4) if size >= 12 else b""
    if tail == b"PARE":
        raise Unreadable("it is encrypted Parquet, and the lake has no key")
    if tail != b"PAR1":
        raise Unreadable(
            "it is cut off: it begins like Parquet but has no footer. Have it sent again"
        )
    return pq.ParquetFile(data).metadata


def _head_of_text(raw: bytes) -> tuple[bytes, bool]:
    if not raw.startswith(b"\x1f\x8b"):
        return raw, False
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, _HEAD_BYTES), True
    except zlib.error as error:
        raise Unreadable(f"it is damaged gzip: {error}") from error


def _decode(text: bytes) -> str:
    # Incremental, because the head may end inside a character.
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(text)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _check_names(schema: dict[str, Type]) -> None:
    names = [name.lower() for name in schema]
    twice = next((name for name in schema if names.count(name.lower()) > 1), None)
    if twice:
        raise Unreadable(f"columns named {twice} differ only in their capitals")


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


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
