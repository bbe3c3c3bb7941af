"""CSV and JSON lines, rewritten as Parquet piece by piece.

So a text is read once, in memory that does not grow with it; whatever reads its rows afterwards
reads Parquet of our own making. The file has the columns ``__uri`` and ``__row`` (the row's number,
from 0) and those of the CSV, or ``json``.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lotus_lake.probe import Limits, Unreadable
from lotus_lake.scan.documents import Documents
from lotus_lake.scan.names import check_columns
from lotus_lake.schema.types import Type
from lotus_lake.wording import counted

Record = TypeVar("Record", str, list[str])

_PIECE_CHARACTERS = 8 << 20
_PIECE_ROWS = 100_000
# Below this a text may be compressed as well as it likes.
_SMALL_BYTES = 64 << 20


class Gunzipped(gzip.GzipFile):
    """A compressed text that is not far larger than it seems; its end tells that it is whole."""

    def __init__(self, data: BinaryIO, size: int, limits: Limits) -> None:
        super().__init__(fileobj=data)
        self._ratio = limits.ratio
        self._most = max(limits.ratio * size, _SMALL_BYTES)

    def read1(self, size: int = -1) -> bytes:
        """Read a piece; Unreadable if it is damaged or cut off, or too large."""
        try:
            piece = super().read1(size)
        except EOFError as error:
            raise Unreadable("it is cut off: its gzip has no end. Have it sent again") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(f"it is damaged gzip: {error}") from error
        if self.tell() > self._most:
            raise Unreadable(
                f"it is compressed more than {self._ratio}-fold, which is the most that is allowed "
                "(feed_max_ratio)"
            )
        return piece


class Pieces:
    """A Parquet file in the making, of rows of texts; ``bytes`` is what they take uncompressed."""

    def __init__(self, path: str, uri: str) -> None:
        self._path = path
        self._uri = uri
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0
        self.bytes = 0

    def write(self, columns: dict[str, pa.Array]) -> None:
        """Write a piece; each has the same columns."""
        count = len(next(iter(columns.values())))
        piece = pa.table(
            {
                **columns,
                "__uri": pa.repeat(pa.scalar(self._uri), count),
                "__row": pa.array(range(self.rows, self.rows + count), pa.int64()),
            }
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                piece.schema,
                compression="zstd",
                use_dictionary=["__uri"],
                write_statistics=["__row"],  # by which parts of it are found
            )
        self._writer.write_table(piece)
        self.rows += count
        self.bytes += piece.nbytes

    def close(self) -> None:
        if self._writer:
            self._writer.close()


def rewrite_json(text: io.TextIOBase, pieces: Pieces, documents: Documents, limits: Limits) -> None:
    """Write the lines of a text, each an object (else Unreadable), and take in their type."""
    records = (line for line in _lines(text, limits) if not line.isspace())
    for piece in in_pieces(records, len):
        for row, record in enumerate(piece, pieces.rows):
            documents.add(record, row)
        if documents.no_object is not None:
            raise Unreadable(
                f"its lines are not all JSON objects: row {documents.no_object:,} is none"
            )
        pieces.write({"json": pa.array(piece, pa.string())})


def rewrite_csv(text: io.TextIOBase, pieces: Pieces, limits: Limits) -> list[str]:
    """Write the records of a CSV with a header (else Unreadable); its column names are returned."""
    csv.field_size_limit(limits.value_bytes)
    records = csv.reader(_lines(text, limits), strict=True)
    try:
        header = [name.strip() for name in next(records, [])]
        if not header:
            raise Unreadable("it has no header")
        check_columns(Type.struct([(name, Type.scalar("VARCHAR")) for name in header]), limits)
        for piece in in_pieces(_whole(records, len(header)), lambda row: sum(map(len, row))):
            columns = zip(header, zip(*piece, strict=True), strict=True)
            pieces.write(
                {
                    name: pa.array([value or None for value in values], pa.string())
                    for name, values in columns
                }
            )
    except csv.Error as error:
        if "field limit" in str(error):
            raise _too_long(records.line_num, limits) from error
        raise Unreadable(f"it is no valid CSV: {error} in line {records.line_num:,}") from error
    return header


def _whole(records: Any, width: int) -> Iterator[list[str]]:
    """The records that are not blank, each as wide as the header."""
    for record in records:
        if record and len(record) != width:
            raise Unreadable(
                f"it is no valid CSV: line {records.line_num:,} has "
                f"{counted(len(record), 'value')}, the header {width:,}"
            )
        if record:
            yield record


def _lines(text: io.TextIOBase, limits: Limits) -> Iterator[str]:
    number = 1
    try:
        while line := text.readline(limits.value_bytes + 1):
            if len(line) > limits.value_bytes:
                raise _too_long(number, limits)
            yield line
            number += 1
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 text: {error.reason} after line {number:,}") from error


def _too_long(line: int, limits: Limits) -> Unreadable:
    return Unreadable(
        f"line {line:,} has more than the {limits.value_bytes:,} characters that are allowed "
        "(feed_max_value_bytes)"
    )


def in_pieces(records: Iterable[Record], length: Callable[[Record], int]) -> Iterator[list[Record]]:
    """Records by the piece; one that is longer than a piece is one of its own."""
    piece: list[Record] = []
    characters = 0
    for record in records:
        size = length(record)
        if piece and (characters + size > _PIECE_CHARACTERS or len(piece) == _PIECE_ROWS):
            yield piece
            piece, characters = [], 0
        piece.append(record)
        characters += size
    if piece:
        yield piece
