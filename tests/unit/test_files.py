"""Files as they come: odd names and formats are fed, bad ones quarantined with the reason."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lotus_lake.landing import LocalLanding

from .conftest import DAY, FOLDER, ODD_NAMES, Content, SmallLake, damaged_page, json_lines, parquet

GOOD = {"id": 1, "name": "a"}


# -- names -------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    )
    | st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.translate(None, b"/\0")))
)
@example(os.fsdecode(b"no UTF-8 \xff"))
def test_any_name_is_fed_or_quarantined(lake: SmallLake, name: str) -> None:
    """Control characters, quotes, patterns, no UTF-8: never an error, never a file elsewhere."""
    path = lake.land(f"x{name}.csv", "id\n1\n")
    there = {*lake.folder.iterdir(), *lake.file("").iterdir()}
    lake.feed(feed_max_files=1)
    new = {*lake.folder.iterdir(), *lake.file("").iterdir()} - there
    assert new <= {lake.folder / "tmp", lake.folder / "lake data"}
    versions = lake.query(
        "select status, path, etag from lakehouse.meta.feeder_files order by cursor_version"
    )
    assert versions[-1][0] in ("loaded", "quarantined")
    assert len(versions) == len({version[1:] for version in versions})
    lake.file(path).unlink()


def test_odd_names(lake: SmallLake) -> None:
    """A file's name is a name and no pattern; its extension is not trusted; it is known again."""
    for number, name in enumerate(ODD_NAMES):
        lake.land(name, [{"id": number}])
    # What a pattern would have matched as well.
    for number, decoy in enumerate(["aXbY.parquet", "x.parquet", "a.parquet", "back\\Xslash.gz"]):
        lake.land(decoy, [{"id": -1 - number}])
    outcome = lake.feed()
    assert not outcome.quarantined
    fed = {path: number for number, path in lake.rows("id, _source_file") if number >= 0}
    assert fed == {f"{FOLDER}/{DAY}/{name}": number for number, name in enumerate(ODD_NAMES)}
    assert {*fed} < {path for (path,) in lake.query("select path from lakehouse.meta.feeder_files")}
    assert lake.feed().files == 0


def test_links_are_quarantined(lake: SmallLake, tmp_path: Path) -> None:
    """They are named and not read, wherever they lead; circles and pipes block nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("id\n2\n")
    good = lake.file(lake.land("./good.csv", "id\n1\n"))
    there = good.parent
    bad: dict[str, Path] = {
        "file": outside / "secret.csv",
        "folder": outside,
        "relative": Path("../../../outside/secret.csv"),
        "nowhere": tmp_path / "none",
        "itself": there / "itself",
        "above": there.parent,
        "inside.csv": good,
        "device": Path("/dev/zero"),
    }
    for name, to in bad.items():
        (there / name).symlink_to(to)
    os.mkfifo(there / "pipe.csv")
    lake.file("shop/gone").symlink_to(outside)
    landing = LocalLanding(f"{lake.folder}/landing")
    assert landing.streams() == [("shop", "orders")]
    assert [file.path for file in landing.files("shop/gone/")] == ["shop/gone"]
    lake.feed()
    assert lake.rows("id, _source_file") == [(1, f"{FOLDER}/good.csv")]
    reasons = lake.reasons()
    assert {*reasons} == {*bad}
    assert all("it is a link" in reason for reason in reasons.values())
    lake.feed()
    assert lake.reasons() == reasons


def test_a_folder_is_no_column(lake: SmallLake) -> None:
    """What a path says replaces no value of a CSV, and files of any folders are fed together."""
    folders = (DAY, ".", "hour=5", "date=2025-01-15/name=nobody", f"{DAY}/id=9")
    for number, folder in enumerate(folders):
        content = f"id,name,year,day,hour\n{number},a,1999,x,7\n"
        lake.land(f"{folder}/part_{number}.csv", content)
    assert lake.feed().files == len(folders)
    assert lake.rows("id, name, year, day, hour") == [
        (number, "a", "1999", "x", "7") for number in range(len(folders))
    ]


# -- formats -----------------------------------------------------------------------------------


def test_long_lines_of_json_are_fed_beside_short_ones(lake: SmallLake) -> None:
    """Also when they bring nothing else that is new, so that both could go in together."""
    lake.land("part_0.jsonl", b'{"id": 1, "new": "short"}\n')
    long = b'{"id": 2, "new": "%s"}\n' % (b"x" * (40 << 20))
    lake.land("part_1.jsonl", long)
    lake.land("part_1.jsonl.gz", gzip.compress(long, 1))
    lake.land("part_2.jsonl", b'{"id": "3", "new": "short"}\n')
    assert lake.feed().files == 4
    assert lake.rows("id, length(new)") == [(1, 5), *[(2, 40 << 20)] * 2, (3, 5)]


def test_airbyte_columns_are_declared_by_themselves(lake: SmallLake) -> None:
    lake.land("part_0.parquet", [{**GOOD, "_airbyte_generation_id": 7}])
    lake.feed(airbyte=True)
    own = ("_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_generation_id", "_airbyte_meta")
    assert [*lake.types()] == [*own, "id", "name"]
    assert lake.ledger("generation_id") == {"part_0.parquet": 7}


def test_when_a_record_was_read(lake: SmallLake) -> None:
    """Airbyte writes milliseconds since 1970 into CSV and JSON lines, as a number or as text."""
    times: list[Any] = [1622135805123, "1622135805123", "2021-05-27T17:16:45.123Z", None]
    for number, time in enumerate(times):
        row = {"id": number, "_airbyte_extracted_at": time}
        lake.land(f"{number}.jsonl", json_lines(row))
        lake.land(f"{number}.csv", f"id,_airbyte_extracted_at\n{number},{time or ''}\n")
    for time in ("162213580512345678901", "1.5", "soon"):
        lake.land(f"{time}.csv", f"id,_airbyte_extracted_at\n1,{time}\n")
    assert lake.feed(airbyte=True).files == 8
    read = datetime(2021, 5, 27, 17, 16, 45, 123000, tzinfo=UTC)
    assert {*lake.rows("id, _airbyte_extracted_at")} == {
        *((0, read), (1, read), (2, read), (3, None))
    }
    where, type_ = "row 0, column _airbyte_extracted_at", "TIMESTAMP WITH TIME ZONE"
    assert lake.reasons() == {
        f"{time}.csv": f"{where}: '{time}' is no {type_}"
        for time in ("162213580512345678901", "1.5", "soon")
    }


# -- bad files ---------------------------------------------------------------------------------


def wrong_row_count() -> bytes:
    """A Parquet file of 100 rows whose footer says that it has 101."""
    content = parquet(pa.table({"id": range(100)}), compression="none", use_dictionary=False)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    # A hundred and a hundred and one, as Thrift writes them.
    return content[:start] + content[start:].replace(b"\x16\xc8\x01", b"\x16\xca\x01", 1)


# Content of a file, and a part of the reason why it is bad.
BAD: dict[str, tuple[Content, str]] = {
    "cut.parquet": (damaged_page()[:-100], "cut off"),
    "empty.csv": (b"", "0 bytes"),
    "page.html.parquet": ("<html>not found</html>", "not Parquet"),
    "damaged page.parquet": (damaged_page(), "cannot be read"),
    "wrong row count.parquet": (
        wrong_row_count(),
        "it says that it has 101 rows, but 100 can be read",
    ),
    "lossy.parquet": ([{"id": 12.5}], "row 0, column id: 12.5 is no BIGINT"),
    "semicolons.csv": ("id;name\n1;a\n", "are they separated by commas"),
    "not flattened.jsonl": (
        json_lines({"_airbyte_raw_id": "1", "_airbyte_data": {"id": 1}}),
        "Root level flattening",
    ),
}


def test_bad_files_are_left_out_with_their_reasons(lake: SmallLake) -> None:
    """Their neighbours are fed, nothing is said twice, and repaired ones are fed next."""
    lake.settings = {"primary_key": "id"}
    lake.land("good.parquet", [GOOD])
    for name, (content, _) in BAD.items():
        lake.land(name, content)
    outcome = lake.feed()
    assert (outcome.files, outcome.rows, len(outcome.quarantined)) == (1, 1, len(BAD))
    assert lake.rows() == [(1, "a")]
    assert lake.types() == {"id": "BIGINT", "name": "VARCHAR"}
    reasons = lake.reasons()
    assert {name: part for name, (_, part) in BAD.items() if part not in reasons[name]} == {}
    said = [line for line in outcome.lines(lake.stream()) if line.startswith("QUARANTINED")]
    assert len(said) == len(BAD)
    assert lake.feed().quarantined == []

    for number, name in enumerate(BAD):
        repaired = {".csv": f"id\n{number}\n", ".jsonl": f'{{"id": {number}}}'}
        lake.land(name, repaired.get(Path(name).suffix, [{"id": number}]))
    assert lake.feed().files == len(BAD)
    assert lake.reasons() == {}


def test_a_row_without_a_key_is_not_lost(lake: SmallLake) -> None:
    """Nothing downstream could tell such rows apart: they would be missing there in silence."""
    lake.settings = {"primary_key": ["id", "Name"]}
    missing = "it has no value in {}, by which the stream's records are told apart"
    bad: dict[str, tuple[Content, str]] = {
        "none.parquet": (pa.table({"name": ["a"]}), missing.format("id")),
        "nulls.parquet": (pa.table({"name": ["a"], "ID": pa.nulls(1)}), missing.format("id")),
        "null.jsonl": ('{"name": "a", "id": null}\n', missing.format("id")),
        "none.csv": ("name\na\n", missing.format("id")),
        "row.parquet": ([GOOD, {"id": None, "name": "b"}], "row 1, column id has no value"),
        "row.csv": ("id,name\n1,a\n,b\n", "row 1, column id has no value"),
        "row.jsonl": (json_lines(GOOD, {"name": "b"}), "row 1, column id has no value"),
        "second.csv": ("id,name\n1,c\n2,\n", "row 1, column Name has no value"),
        "second.jsonl": (json_lines({"id": 1}), missing.format("Name")),
    }
    for name, (content, _) in bad.items():
        lake.land(name, content)
    lake.land("good.parquet", [GOOD, {"id": 1, "name": "b"}])
    lake.feed()
    assert lake.rows() == [(1, "a"), (1, "b")]
    assert lake.reasons() == {name: reason for name, (_, reason) in bad.items()}


def test_an_amount_that_is_none_does_not_become_null(lake: SmallLake) -> None:
    good = {"id": 1, "price": 1.5, "tax": "0.30", "lines": [{"price": None}]}
    bad: list[tuple[dict[str, Any], str]] = [
        ({"price": float("nan")}, "price: nan"),
        ({"price": float("-inf")}, "price: -inf"),
        ({"price": 1e308}, "price: 1e+308"),
        ({"tax": "NaN"}, "tax: NaN"),
        ({"tax": "9" * 60}, f"tax: {'9' * 40}"),
        ({"tax": "1e400"}, "tax: 1e400"),
        ({"lines": [{"price": 1.0}, {"price": float("nan")}]}, "lines[].price: a value"),
    ]
    expected = [
        (
            lake.land(f"bad_{number}.parquet", [good, {**good, **row}]),
            f"row 1, column {amount} is no finite number below 1e15",
        )
        for number, (row, amount) in enumerate(bad)
    ]
    lake.land("good.parquet", [{**good, "tax": ""}, {**good, "lines": []}])
    # A file may lack an amount.
    for number, lines in enumerate([[{"id": 1}], '[{"id": 1}]', None, []]):
        lake.land(f"without_{number}.parquet", [{"id": 1, "lines": lines}])
    outcome = lake.feed(
        columns={
            "id": "bigint",
            "price": "double",
            "tax": "varchar",
            "lines": "struct(id bigint, price double)[]",
        },
        amounts=["price", "tax", "lines[].price"],
    )
    assert outcome.quarantined == expected
    assert outcome.rows == 6


def test_text_that_hides_deep_json_is_refused(lake: SmallLake) -> None:
    lake.land("deep.parquet", [{"id": 1, "o": "[" * 20_000 + "]" * 20_000}])
    lake.land("good.parquet", [{"id": 2, "o": '{"a": 1}'}])
    lake.feed(columns={"id": "bigint", "o": "struct(a bigint)"})
    assert "nested more deeply than 64 levels" in lake.reasons()["deep.parquet"]
    assert lake.rows("id, o.a") == [(2, 1)]


def test_a_reason_names_row_column_value_and_type(lake: SmallLake) -> None:
    """Of the first value that does not fit; a long one in part, and nothing that does not print."""
    declared = {"id": "bigint", "day": "date", "size": "struct(w bigint, d double[])"}
    for name, content in {
        "a.csv": "id,day\n1,2025-01-01\n2,soon\n3,n/a\n",
        "b.jsonl": json_lines({"id": 1}, {"id": "n/a"}, {"id": {"email": "ann@example.com"}}),
        "c.parquet": [{"id": 1.0}, {"id": 2.5}],
        "d.parquet": [{"id": 1, "size": {"w": 1}}, {"id": 2, "size": {"w": 1.5}}],
        "e.jsonl": json_lines({"id": 1, "size": {"d": ["1", "wide"]}}),
        "f.csv": f"id\n\x1b[31m{'x' * 50}\n",
        "g.parquet": pa.table(
            {
                "id": range(3),
                "day": pa.array([1000, 2000, 2001], pa.timestamp("ns", "UTC")),
            }
        ),
    }.items():
        lake.land(name, content)
    assert lake.feed(columns=declared).files == 0
    assert lake.reasons() == {
        "a.csv": "row 1, column day: 'soon' is no DATE (1 more row like it)",
        "b.jsonl": 'row 1, column id: "n/a" is no BIGINT (1 more row like it)',
        "c.parquet": "row 1, column id: 2.5 is no BIGINT",
        "d.parquet": "row 1, column size.w: a value is no BIGINT",
        "e.jsonl": "row 0, column size.d[]: a value is no DOUBLE",
        "f.csv": f"row 0, column id: '\\x1b[31m{'x' * 35}…' is no BIGINT",
        "g.parquet": "column day: a time in nanoseconds cannot be kept in microseconds"
        " without loss",
    }


def test_a_reason_tells_no_personal_value(lake: SmallLake) -> None:
    """It is shown on pages and in alerts. What lies inside an object or a list is not declared."""
    lake.settings["columns"] = {"id": "bigint", "Born": "date", "tags": "date[]", "fee": "double"}
    lake.settings |= {"personal": ["Born", "fee"], "amounts": ["fee"]}
    secret = "O'Neill, ann@example.com"
    lake.land("a.jsonl", json_lines({"id": 1, "born": secret}))
    lake.land("b.jsonl", json_lines({"id": 1, "tags": secret}))
    lake.land("c.jsonl", json_lines({"id": 1}, {"id": {"email": secret}}))
    lake.land("d.parquet", [{"id": 1, "fee": 1e99}])
    lake.feed()
    assert "ann@example" not in str(lake.reasons())
    assert lake.reasons()["a.jsonl"] == "row 0, column born: a value is no DATE"
    assert "column fee: a value is no finite" in lake.reasons()["d.parquet"]
