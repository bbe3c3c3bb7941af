"""Looking into files: what they are, by content, and why some cannot be fed."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lotus_lake.landing import LocalLanding
from lotus_lake.probe import Limits, Probe, Prober, Unreadable
from lotus_lake.schema.types import quote

from .conftest import json_lines, parquet

ONE_ROW = pa.table({"id": [1], "name": ["a"]})
RANDOM = random.Random(7)
LONG_CSV = b"id,n\n" + b"".join(b"%d,%d\n" % (n, RANDOM.random() * 1e9) for n in range(50_000))
LONG_JSON = json_lines(*({"id": n, "n": RANDOM.random()} for n in range(20_000)))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
        opened.execute("set threads = 2")
        yield opened


def land(folder: Path, content: bytes, name: str = "part") -> LocalLanding:
    """A landing zone with one more file."""
    (folder / "s/t").mkdir(parents=True, exist_ok=True)
    (folder / "s/t" / name).write_bytes(content)
    return LocalLanding(str(folder))


Look = Callable[..., Any]


@pytest.fixture
def look(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> Look:
    """Look into one file; its rows (without ``__uri``) when it can be fed, else the reason."""

    def look_into(content: bytes, name: str = "part_0.parquet") -> Any:
        landing = land(tmp_path, content, name)
        prober = Prober(landing)
        ((_, found),) = prober.probe(landing.files("s/t/"))
        if isinstance(found, Unreadable):
            return str(found)
        assert isinstance(found, Probe)
        columns = ", ".join(["__row", *map(quote, found.schema)])
        rows = connection.execute(
            f"select {columns} from {prober.relation([found])} order by __row"
        ).fetchall()
        assert [row[0] for row in rows] == list(range(len(rows)))
        assert found.rows == len(rows)
        return [row[1:] for row in rows]

    return look_into


# -- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part_0.parquet", parquet(ONE_ROW)),
        ("part_0", parquet(ONE_ROW)),
        ("wrong.csv", parquet(ONE_ROW)),
        ("part_0.jsonl", b'{"id": 1, "name": "a"}\n'),
        ("part_0.ndjson", b'{"id": 1, "name": "a"}'),
        ("part_0.json.gz", gzip.compress(b'{"id": 1, "name": "a"}', mtime=0)),
        ("part_0", b'\n {"id": 1, "name": "a"}\n'),
        # the extension says nothing about compression
        ("part_0.jsonl", gzip.compress(b'{"id": 1, "name": "a"}', mtime=0)),
        ("part_0.jsonl.gz", b'{"id": 1, "name": "a"}'),
    ],
)
def test_a_format_is_known_by_content(look: Look, name: str, content: bytes) -> None:
    assert look(content, name) == [(1, "a")]


@pytest.mark.parametrize("name", ["part_0.csv", "part_0.csv.gz", "part_0.csv-1", "export.CSV"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_csv_is_known_by_its_name(
    look: Look, name: str, compress: Callable[[bytes], bytes]
) -> None:
    assert look(compress(b"id,name\n1,a\n"), name) == [("1", "a")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("part.parquet", b"", "it is empty (0 bytes)"),
        ("part.parquet", parquet(ONE_ROW)[:-50], "it is cut off"),
        ("part.parquet", b"PAR1" + bytes(50) + b"PARE", "it is encrypted"),
        ("part.parquet", b"PAR1" + bytes(50) + b"PAR1", "it cannot be read"),
        ("part.parquet", parquet(ONE_ROW.slice(0, 0)), "it has no rows"),
        ("part.parquet", parquet(pa.table({})), "it "),
        ("part.parquet", b"id,name\n1,a\n", "it is not Parquet"),
        ("part_0", b"id,name\n1,a\n", "it is not Parquet"),
        ("part.csv", b'{"id": 1}\n', "it is named .csv, but its content is not"),
        ("part.jsonl", b"id,name\n1,a\n", "it is named .jsonl, but its content is not"),
        ("part.csv.gz", gzip.compress(LONG_CSV, mtime=0)[:-3000], "it is cut off"),
        ("part.csv.gz", gzip.compress(LONG_CSV, mtime=0)[:-4], "it is cut off"),
        ("part.jsonl.gz", gzip.compress(LONG_JSON, mtime=0)[:50_000], "it is cut off"),
        ("part.csv.gz", gzip.compress(LONG_CSV, mtime=0)[:-8] + bytes(8), "it is damaged gzip"),
        ("part.csv.gz", b"\x1f\x8bnonsense", "it is damaged gzip"),
    ],
)  # fmt: skip
def test_a_bad_file_says_why(look: Look, name: str, content: bytes, reason: str) -> None:
    assert look(content, name).startswith(reason)


# -- Parquet -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        *(
            (pa.table({name: ["v"]}), f"it has a column {name}, a name that the lake uses itself")
            for name in ("__row", "__URI", "file_row_number", "_source_file", "rowid")
        ),
        (pa.table([[1], [2]], ["a", "A"]), "it has two columns named A; capitals do not count"),
        (pa.table([[1], [2]], ["a", "a"]), "it has two columns named a; capitals do not count"),
        (pa.table([[1], [2]], ["a", ""]), "it has a column without a name"),
        (
            pa.table({"o": [[{"x": 1, "X": 2}]]}),
            "it has two columns named X in o; capitals do not count",
        ),
    ],
)
def test_names_that_the_lake_could_not_keep_apart_are_refused(
    look: Look, table: pa.Table, reason: str
) -> None:
    assert look(parquet(table)) == reason


def test_names_inside_objects_are_their_own(look: Look) -> None:
    table = pa.table({"o": [{"rowid": 1, "o": {"o": 2}}]})
    assert look(parquet(table)) == [({"rowid": 1, "o": {"o": 2}},)]


def test_the_greatest_generation_is_in_the_footer(tmp_path: Path) -> None:
    table = pa.table({"_airbyte_generation_id": [3, 9, 4, None]})
    files = {
        "a gap": parquet(table, row_group_size=1),
        "all": parquet(table[:3], row_group_size=1),
        "no statistics": parquet(table, write_statistics=False),
        "no column": parquet(ONE_ROW),
    }
    for name, content in files.items():
        landing = land(tmp_path, content, name)
    generations = {
        file.path.removeprefix("s/t/"): found.generation
        for file, found in Prober(landing).probe(landing.files("s/t/"))
        if isinstance(found, Probe)
    }
    assert generations == {"a gap": None, "all": 9, "no statistics": None, "no column": None}


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"\xef\xbb\xbfid,n\n1,2\n", [("1", "2")]),
        (b'\xef\xbb\xbf"id","n"\n1,2\n', [("1", "2")]),
        (b"id,n\r\n1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        (b"id,n\n1,2", [("1", "2")]),
        (b'id,n\n1,"a\nb\r\nc"\n', [("1", "a\nb\r\nc")]),
        (b'id,n\n1,"say ""x"", it\'s"\n', [("1", 'say "x", it\'s')]),
        (b'id,n\n1,\n2,""\n,\n', [("1", None), ("2", None), (None, None)]),
        (b"id,n\n\n1,2\n\n", [("1", "2")]),
        (b' id ,"n"\n1,2\n', [("1", "2")]),
        ('id,n\n1,"é–部"\n'.encode(), [("1", "é–部")]),
        (b"id,n\n007,1e5\n", [("007", "1e5")]),
        (b'id,n\n1,"' + b"x" * 300_000 + b'"\n', [("1", "x" * 300_000)]),
    ],
)
def test_csv_is_read_as_it_is_written(look: Look, content: bytes, rows: Any) -> None:
    assert look(content, "part.csv") == rows
    assert look(gzip.compress(content, mtime=0), "part.csv") == rows


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,n\n", "it has no rows"),
        (b"id,n", "it has no rows"),
        (b"\n", "it "),
        (b"id,,n\n1,2,3\n", "it has a column without a name"),
        (b"id,ID\n1,2\n", "it has two columns named ID"),
        (b"id,n\n1,2,3\n", "it is no valid CSV: line 2 has 3 values, the header 2"),
        (b"id,n\n1,2\n3\n", "it is no valid CSV: line 3 has 1 value, the header 2"),
        (b"id,n\n1,2\n3,\xe9t\xe9\n", "it is not UTF-8"),
        (b"id,n\n1," + b"x" * 2_000_000 + b"\n2,\xe9\n", "it is not UTF-8"),
        (b"\xff\xfei\0d\0\n\0", "it is not UTF-8"),
        # DuckDB would leave the last row out and say nothing
        (b'id,n\n1,a\n2,"cut', "it is no valid CSV"),
        (b'id,n\n1,a\n2,"never closed\n3,c\n4,d\n', "it is no valid CSV"),
        (b'id,n\n1,"a"\n2,"' + b"x,\n" * 200_000, "it is no valid CSV"),
        (b'id,"n\n1,2\n', "it is no valid CSV"),
        (b'id,n\n1,"x"y\n', "it is no valid CSV"),
    ],
)
def test_csv_that_would_lose_something_is_refused(look: Look, content: bytes, reason: str) -> None:
    assert look(content, "part.csv").startswith(reason)
    assert look(gzip.compress(content, mtime=0), "part.csv").startswith(reason)


def test_gzip_of_several_parts_is_one_text(look: Look) -> None:
    parts = gzip.compress(b"id,n\n", mtime=0) + gzip.compress(b"1,2\n") + gzip.compress(b'3,"4"\n')
    assert look(parts, "part.csv.gz") == [("1", "2"), ("3", "4")]


# -- JSON lines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"a": 1}\n\n{"a": 2}\n  \n', [(1,), (2,)]),
        (b'{"a": 1}\r\n{"a": 2}', [(1,), (2,)]),
        (b'{"a": 1}\n{"b": "x"}\n{}\n', [(1, None), (None, "x"), (None, None)]),
        (b'{"a": null}\n{"a": 5, "n": null}\n', [(None,), (5,)]),
        (b'{"o": {"x": null, "y": 1}}\n{"o": {"z": [{}]}}\n{"o": {}}\n{"o": null}\n', [
            ({"x": None, "y": 1, "z": None},),
            ({"x": None, "y": None, "z": ["{}"]},),
            ({"x": None, "y": None, "z": None},),
            (None,),
        ]),
        (b'{"a": 9007199254740993}\n', [(9007199254740993,)]),
        (b'{"a": 1}\n{"a": -1}\n{"a": 18446744073709551615}\n', [(1,), (-1,), (2**64 - 1,)]),
        (b'{"a": 1}\n{"a": "x"}\n{"a": {"b": 1}}\n', [("1",), ('"x"',), ('{"b":1}',)]),
        (b'{"a": "it\'s \\"x\\" \\u00e9"}\n', [('it\'s "x" é',)]),
        (b'{"it\'s \\"a\\"": 1}\n', [(1,)]),
    ],
)  # fmt: skip
def test_json_lines_are_read_as_they_are_written(look: Look, content: bytes, rows: Any) -> None:
    assert look(content, "part.jsonl") == rows


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1}\n{"a": ', "it is no valid JSON"),
        (b'{"a": 1}\n{"a": 2}{"a": 3}\n', "it is no valid JSON"),
        (b'{"a":\n1}\n', "it is no valid JSON"),
        (b'{"a": "\xe9"}\n', "it is not UTF-8"),
        (b'{"a": 1}\n{"\\ud800": 1}\n', "it is no valid JSON: a name that is no text in row 1"),
        (b'{"a": NaN}\n', "it is no valid JSON: NaN is no number in row 0"),
        (b'{"a": %s}\n' % (b"9" * 5000), "it is no valid JSON: a number that is too long"),
        (b'[{"a": 1}, {"a": 2}]\n', "its lines are not all JSON objects"),
        (b'[\n{"a": 1},\n{"a": 2}\n]\n', "it is no valid JSON"),
        (b'{"a": 1}\n5\n', "its lines are not all JSON objects"),
        (b'{"a": 1}\nnull\n{"a": 2}\n', "its lines are not all JSON objects"),
        (b'{"a": 1, "A": 2}\n', "it has two columns named A"),
        (b'{"o": [{"a": 1, "A": 2}]}\n', "it has two columns named A in o"),
        (b'{"": 1}\n', "it has a column without a name"),
        (b'{"_source_row": 1}\n', "it has a column _source_row"),
    ],
)
def test_json_that_would_lose_something_is_refused(look: Look, content: bytes, reason: str) -> None:
    assert look(content, "part.jsonl").startswith(reason)


def test_rows_of_long_texts_are_numbered_in_order(look: Look) -> None:
    """The number of a row decides between equal versions, so it has to be the same every time."""
    rows = [{"id": number, "x": "y" * 1000} for number in range(60_000)]
    assert [number for number, _ in look(json_lines(*rows), "part.jsonl")] == [*range(60_000)]


# -- hostile files -----------------------------------------------------------------------------


def scan(folder: Path, files: dict[str, bytes], limits: Limits | None = None) -> dict[str, Any]:
    """Scan files together; the reason by name, or None."""
    for name, content in files.items():
        landing = land(folder, content, name)
    prober = Prober(landing, limits)
    found = prober.probe(landing.files("s/t/"))
    prober.clear()
    return {
        file.path.removeprefix("s/t/"): str(probe) if isinstance(probe, Unreadable) else None
        for file, probe in found
    }


def nested(levels: int) -> bytes:
    return b'{"id": 1, "a": %s}\n' % (b"[" * levels + b"]" * levels)


def wide(columns: int) -> bytes:
    return parquet(pa.table({f"c{number}": [number] for number in range(columns)}))


def many_fields() -> bytes:
    return json_lines(*({f"k{n}": 1 for n in range(m, m + 500)} for m in range(0, 2500, 500)))


def many_rows() -> bytes:
    return parquet(pa.table({"id": pa.nulls(70_000_000, pa.int8())}))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", lambda: nested(20_000), "nested more deeply than 64 levels"),
        ("a.jsonl", lambda: nested(66), "nested more deeply than 64 levels"),
        (
            "a.jsonl.gz",
            lambda: gzip.compress((b" " * (1 << 20) + b"\n") * 100),
            "compressed more than",
        ),
        ("a.csv.gz", lambda: gzip.compress(b"id\n" + b"0" * (100 << 20)), "compressed more than"),
        ("a.csv", lambda: b"id,n\n1," + b"x" * (129 << 20), "more than the 134,217,728 char"),
        ("a.csv", lambda: b",".join(b"c%d" % n for n in range(2001)) + b"\n1", "2,001 columns"),
        ("a.parquet", lambda: wide(2001), "it has 2,001 columns and fields in them"),
        ("a.jsonl", many_fields, "it has more than 2,000 columns and fields in them"),
        ("a.parquet", many_rows, "it has 70,000,000 rows of 1 column in"),
    ],
)
def test_what_takes_more_than_a_file_may_is_refused(
    tmp_path: Path, name: str, content: Callable[[], bytes], reason: str
) -> None:
    found = scan(tmp_path, {name: content(), "good.parquet": parquet(ONE_ROW)})
    assert reason in str(found[name])
    assert found["good.parquet"] is None


@pytest.mark.slow
def test_a_file_that_ends_its_reader_is_the_only_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takes too much memory, one too much time; the others are read all the same."""
    monkeypatch.setenv("LAKE_MEMORY_LIMIT", "100MB")
    good = {f"good_{number}.parquet": parquet(ONE_ROW) for number in range(40)}
    hungry = b'{"a": [%s0]}\n' % (b"0," * 30_000_000)
    slow = gzip.compress(b"id\n" + b"1\n" * 40_000_000)
    files = {**good, "hungry.jsonl": hungry, "slow.csv.gz": slow, "text.csv": b"id,name\n1,a\n"}
    found = scan(tmp_path, files, Limits(seconds=1, ratio=5000))
    assert found.pop("hungry.jsonl").startswith("it takes more memory to read than LAKE_MEMORY_LI")
    assert found.pop("slow.csv.gz").startswith("it takes more than 1 second of processor time")
    assert set(found) == {*good, "text.csv"} and not any(found.values())


def test_a_killed_scan_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a killed run has rewritten is removed by the next one; what is in use stays."""
    program = (
        "import os, signal; from lotus_lake.scratch import Scratch;"
        "kept = Scratch(); print(kept.path, flush=True); input();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "LAKE_TEMP_DIR": str(tmp_path)}
    start = lambda: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with start() as first:
        assert first.stdout and first.stdin
        in_use = Path(first.stdout.readline().strip())
        with start() as second:
            second.communicate("\n")
        assert in_use.exists()
        first.communicate("\n")
    with start() as third:
        assert third.stdout
        third.stdout.readline()
        assert not in_use.exists() and len(list(tmp_path.iterdir())) == 1
        third.communicate("\n")
