"""What discovery finds in landed files, and the declarations that it writes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery, discover
from lotus_lake.discover.new_stream import choose, columns_text, type_text
from lotus_lake.landing import open_landing
from lotus_lake.schema.types import Type
from lotus_lake.streams import Stream


@pytest.mark.parametrize(
    "name", ["id", "no", "null", "1e3", "a: b", "# x", "it's", '"', "Größe (cm)", "- x"]
)
def test_a_declaration_is_read_back_as_it_was(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    type_ = Type.parse(f'struct("END" decimal(18,3), {quoted} struct(a int, b varchar[])[])')
    assert Type.parse(type_text(type_)) == type_
    (column,) = yaml.safe_load(columns_text({name: type_}))
    assert column["name"] == name
    assert Type.parse(column["data_type"]) == type_


def found(is_declared: bool = False, stream: str = "entries", **columns: str) -> Discovery:
    """A stream with these columns."""
    types = {name: Type.parse(sql) for name, sql in columns.items()}
    return Discovery("shop", stream, is_declared, columns=types, is_airbyte=True)


@pytest.mark.parametrize(
    ("stream", "key", "cursor", "message"),
    [
        (found(id="bigint"), ["id", "sku"], None, "no column sku: name one with --key"),
        (found(id="bigint"), None, "later", "no column later: name one with --cursor"),
        (found(order="bigint"), ["order"], None, "'order' is no name for SQL"),
        (found(stream="Odd", id="int"), None, None, "'Odd' is no name for SQL"),
        (found(), None, None, r"No file of shop\.entries has a column"),
        (found(is_declared=True, id="int"), None, None, "declared already"),
    ],
)
def test_what_cannot_be_added_is_said(
    stream: Discovery, key: list[str] | None, cursor: str | None, message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        choose(duckdb.connect(), stream, key, cursor)


# -- what landed -----------------------------------------------------------------------------------

Scan = Callable[..., Discovery]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Lands files of a stream, and compares them with a declaration."""

    def scans(
        files: Mapping[str, str | pa.Table], declared: Mapping[str, str] | None = None
    ) -> Discovery:
        for name, content in files.items():
            path = tmp_path / "shop/things/year=2025/month=01/day=01" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content)
            else:
                pq.write_table(content, path)
        columns = {name: Type.parse(sql) for name, sql in (declared or {}).items()}
        stream = Stream("shop", "things", "t", columns, airbyte=False)
        known = {} if declared is None else {stream.label: stream}
        with duckdb.connect() as connection:
            connection.execute("load json; set TimeZone = 'UTC'")
            (one,) = discover(connection, open_landing(str(tmp_path)), known, ["shop.things"])
        return one

    return scans


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_a_new_column_has_a_type_that_takes_all_files(scan: Scan) -> None:
    """Texts stay text: `007` is a name, and so is a CSV's date until a person says otherwise."""
    seen = scan(
        {
            "a.jsonl": lines({"n": 1, "t": 1, "o": {"a": 1}, "code": "007"}),
            "b.jsonl": lines({"n": 1.5, "t": "x", "o": {"a": 2, "b": "y"}, "code": "8"}),
        }
    )
    assert not seen.is_declared
    assert {name: type_text(type_) for name, type_ in seen.columns.items()} == {
        "n": "double",
        "t": "varchar",
        "o": 'struct("a" bigint, "b" varchar)',
        "code": "varchar",
    }


def test_what_is_not_as_declared_is_named(scan: Scan) -> None:
    seen = scan(
        {
            "a.parquet": pa.table({"price": [1.5], "size": [{"w": 1}]}),
            "b.parquet": pa.table({"price": ["2.5"], "size": [{"w": 1, "h": 2}]}),
            "c.parquet": pa.table({"price": ["dear"], "colour": ["red"]}),
        },
        {"price": "double", "size": "struct(w bigint, d bigint)", "name": "varchar"},
    )
    assert {name: type_.sql() for name, type_ in seen.undeclared.items()} == {
        "size.h": "BIGINT",
        "colour": "VARCHAR",
    }
    assert set(seen.missing) == {"size.d", "name"}
    ((path, reason),) = seen.unreadable
    assert path.endswith("c.parquet")
    assert reason == "row 0, column price: 'dear' is no DOUBLE"
    # The offered type takes the place of the declared one.
    assert seen.columns["size"] == Type.parse("struct(w bigint, d bigint, h bigint)")
    assert seen.columns["price"] == Type.parse("double")


def test_texts_that_fit_are_as_declared(scan: Scan) -> None:
    declared = {"id": "bigint", "at": "timestamp with time zone"}
    fine = {"a.csv": "id,at\n1,2025-01-01\n", "b.jsonl": lines({"id": 1, "at": "2025-01-01"})}
    assert not scan(fine, declared).needs_work
    (refused,) = scan({"c.csv": "id,at\n1,soon\n"}, declared).unreadable
    assert refused[1] == "row 0, column at: 'soon' is no TIMESTAMP WITH TIME ZONE"


# -- keys ------------------------------------------------------------------------------------------


def key_of(
    seen: Discovery, key: str | None = None, cursor: str | None = None
) -> tuple[tuple[str, ...], str | None]:
    """The key and the cursor that are chosen."""
    with duckdb.connect() as connection:
        connection.execute("load json; set TimeZone = 'UTC'")
        given = None if key is None else key.split(",")
        chosen, _, order = choose(connection, seen, given, cursor)
    return chosen, order


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""])


SKUS = table("price,note,size,sku", "0.5,n,,s0", *(f"{n}.5,n {n},{n} x,s{n}" for n in range(1, 20)))
CAMPAIGNS = table("date,platform,campaign,clicks", *(f"1 Jan,x,c{n},{n}" for n in range(20)))
PLATFORMS = table(
    "date,platform,campaign,clicks",
    *(f"2025010{n % 2},{'xy'[n // 2 % 2]},c{n // 4},{n}" for n in range(20)),
)
LINES = table("order_id,line,sku", *(f"{n // 2},{n % 2},a" for n in range(20)), "0,0,a")


@pytest.mark.parametrize(
    ("files", "key"),
    [
        # Versions come in other files, or with another value of the cursor.
        ({"a.csv": "name,id\na,1\nb,2\n", "b.csv": "name,id\nc,1\n"}, ["id"]),
        ({"a.csv": "id,updated\n1,5\n1,6\n1,6\n2,6\n"}, ["id"]),
        ({"a.csv": "name,thing_id\na,1\na,2\n"}, ["thing_id"]),
        # An amount and prose are no keys, and neither is what may be left empty.
        ({"a.csv": SKUS}, ["sku"]),
        ({"a.jsonl": lines(*({"n": n, "sku": f"s{n}"} for n in range(20)))}, ["sku"]),
        # Campaigns differ on this day; they come again on the next.
        ({"a.csv": CAMPAIGNS}, ["date", "campaign"]),
        ({"a.csv": PLATFORMS}, ["date", "platform", "campaign"]),
        ({"a.csv": LINES, "b.csv": LINES}, ["order_id", "line"]),
        # The loader's columns tell deliveries apart.
        ({"a.jsonl": lines(*({"_dlt_id": n, "sku": f"s{n // 2}"} for n in range(40)))}, ["sku"]),
    ],
)
def test_a_key_is_proposed(scan: Scan, files: dict[str, str], key: list[str]) -> None:
    assert key_of(scan(files))[0] == tuple(key)


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        (
            "id,v\n1,a\n1,b\n2,c\n",
            None,
            r"id is no key: row 0 of .*/a.csv and row 1 of .*/a.csv are",
        ),
        ("sku,v\nx,1\ny,1\n", "v", r"both have 1\. .*such keys: 1\)\. Name more columns"),
        ("id,v\n1,a\n,b\n,c\n", None, r"id can be in no key: .* row 1 of .*rows without one: 2"),
        ("a,b\n1,\n2,x\n", "a,b", "b can be in no key"),
        (
            table("a,b", *(f"x,{n}.5" for n in range(20))),
            None,
            "no key found.* 1 of 1 file .*: a\\. ",
        ),
        (SKUS.rpartition("\n19")[0], None, "19 different records are too few to tell"),
        # The dangerous one: an order's customer, with a cursor that was only guessed.
        ("customer_id,updated\n1,5\n1,6\n", "customer_id", "say so with --cursor updated"),
        ('{"a": [1], "b": {"c": 1}}\n', "b", "b is an object or a list"),
    ],
)
def test_a_key_that_loses_records_is_refused(
    scan: Scan, content: str, key: str | None, said: str
) -> None:
    name = "a.jsonl" if content.startswith("{") else "a.csv"
    with pytest.raises(LakeError, match=said):
        key_of(scan({name: content}), key)


def test_a_key_that_leaves_out_the_day_is_refused(scan: Scan) -> None:
    """It loses all days but the last, though each file has it once."""
    seen = scan({f"{day}.csv": f"date,sku,stock\n{day},x,{day}\n" for day in (1, 2)})
    with pytest.raises(LakeError, match=r"sku is no key: row 0 of .*1\.csv and .* --cursor date"):
        key_of(seen, "sku")
    assert key_of(seen, "sku", cursor="date") == (("sku",), "date")
    assert key_of(seen, "date,sku") == (("date", "sku"), None)


def test_versions_in_one_file_are_taken_as_such_when_said(scan: Scan) -> None:
    seen = scan({"a.csv": "sku,updated\nx,5\nx,6\n"})
    assert key_of(seen, "sku", cursor="updated") == (("sku",), "updated")
    with pytest.raises(LakeError, match="sku is no key"):
        key_of(seen, "sku")


def test_a_sync_that_sends_all_has_each_record_once(scan: Scan) -> None:
    """Its files are parts of one delivery; the next sync has the next version."""

    def part(sync: int, **values: Any) -> pa.Table:
        meta = {"sync_id": sync, "changes": []}
        row = {"_airbyte_generation_id": sync, "_airbyte_meta": meta, "_airbyte_raw_id": "x"}
        return pa.Table.from_pylist([row | values])

    parts = {"a.parquet": part(1, id=1, v="a"), "b.parquet": part(2, id=1, v="b")}
    assert key_of(scan(parts))[0] == ("id",)
    with pytest.raises(LakeError, match=r"row 0 of .*a.parquet and row 0 of .*c.parquet"):
        key_of(scan({"c.parquet": part(1, id=1, v="c")}))
