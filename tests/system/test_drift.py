"""Schemas that change: what fits is fed exactly, what would lose something is quarantined."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.system.feeding import TABLE, Feeding, rows

AWKWARD = "it's \"quoted\", 100 % ünïcödé 🪷\nsecond line\t\\ back; -- not a comment $$ {} NULL ''"
NOON = datetime(2024, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)


def test_a_new_column_is_added_and_old_rows_read_null(feeding: Feeding) -> None:
    """A column that no file had before is added to staging."""
    feeding.land("a.parquet", rows(id=[1]))
    feeding.feed()
    feeding.land("b.parquet", rows(id=[2], note=[AWKWARD], seen=[NOON]))
    assert not feeding.feed().quarantined
    assert feeding.rows("id, note, seen") == [(1, None, None), (2, AWKWARD, NOON)]


def test_a_missing_column_reads_null(feeding: Feeding) -> None:
    """A file that lacks columns, declared or not, and has the others in another order, is fed."""
    feeding.declare(id="bigint", price="double", note="varchar")
    feeding.land("a.parquet", rows(id=[1], price=[1.5], note=["n"], extra=[True]))
    feeding.feed()
    feeding.land("b.parquet", rows(note=["m"], id=[2]))
    assert not feeding.feed().quarantined
    assert feeding.rows("id, price, note, extra") == [(1, 1.5, "n", True), (2, None, "m", None)]


def test_new_nested_fields(feeding: Feeding) -> None:
    """New fields of structs, of structs in structs and of structs in lists; old rows read NULL."""
    feeding.declare(id="bigint", who="struct(name varchar)", lines="struct(sku varchar)[]")
    feeding.land("a.parquet", rows(id=[1], who=[{"name": "A"}], lines=[[{"sku": "x"}]]))
    feeding.feed()
    feeding.land(
        "b.parquet",
        rows(
            id=[2],
            who=[{"home": {"city": AWKWARD, "since": NOON}, "name": "B"}],
            lines=[[{"sku": "y", "tax": [{"rate": 0.2}]}, {"sku": None, "tax": None}]],
        ),
    )
    assert not feeding.feed().quarantined
    assert feeding.rows("id, who, lines") == [
        (1, {"name": "A", "home": None}, [{"sku": "x", "tax": None}]),
        (
            2,
            {"name": "B", "home": {"city": AWKWARD, "since": NOON}},
            [{"sku": "y", "tax": [{"rate": 0.2}]}, {"sku": None, "tax": None}],
        ),
    ]
    # And once more, one level further down, with a file of the old shape after it.
    feeding.land("c.parquet", rows(id=[3], who=[{"home": {"zip": "8000"}}]))
    feeding.land("d.parquet", rows(id=[4], who=[{"name": "D"}], lines=[[]]))
    assert not feeding.feed().quarantined
    assert feeding.rows("id, who.home.zip, who.home.city, lines")[2:] == [
        (3, "8000", None, None),
        (4, None, None, []),
    ]


def test_new_fields_in_long_lists(feeding: Feeding) -> None:
    """No file is left with lists of fewer fields than the table, which DuckDB 1.5.5 reads beyond
    its memory as soon as 2,048 rows have more than 2,048 elements. The process would end here."""
    count = 300_000
    feeding.declare(id="bigint", lines="struct(sku varchar, n struct(x bigint)[])[]")
    lines = [[{"sku": f"a text of some length {i}", "n": [{"x": i}] * 3}] * 3 for i in range(1000)]
    feeding.land("a.parquet", rows(id=list(range(count)), lines=lines * (count // 1000)))
    feeding.feed()
    feeding.connection.execute(f"delete from {TABLE} where id = 7")  # an undone delivery, say
    feeding.land("b.parquet", rows(id=[count], lines=[[{"sku": "b", "price": 0.5}]]))
    assert not feeding.feed().quarantined
    feeding.land("c.parquet", rows(id=[count + 1], lines=[[{"n": [{"x": 1, "y": "z"}]}]]))
    assert not feeding.feed().quarantined
    for _ in range(3):
        assert feeding.connection.execute(
            "select count(*), count(line.sku), sum(line.price), count(distinct id),"
            f" max(line.n[1].x) from (select id, unnest(lines) as line from {TABLE})"
        ).fetchone() == (3 * (count - 1) + 2, 3 * (count - 1) + 1, 0.5, count + 1, 999)
    assert feeding.rows("id, lines[1].price, lines[1].n[1].y, _source_row")[-3:] == [
        (count - 1, None, None, count - 1),
        (count, 0.5, None, 0),
        (count + 1, None, "z", 0),
    ]
    assert feeding.rows("count(*), count(_source_file), count(_cursor_version)") == [
        (count + 1,) * 3
    ]


# type of the column, values of the file, what staging has afterwards
EXACT: dict[str, tuple[str, Any, list[Any]]] = {
    "int as double": ("bigint", pa.array([3.0, None, -(2.0**53)]), [3, None, -(2**53)]),
    "double as int": ("double", pa.array([3, None, 2**53]), [3.0, None, 2.0**53]),
    "number as text": ("double", ["12.50", "-0.1", "1e3", None], [12.5, -0.1, 1000.0, None]),
    "int as text": ("bigint", ["9007199254740993", None], [9007199254740993, None]),
    "decimal": ("double", pa.array([Decimal("12.34")], pa.decimal128(10, 2)), [12.34]),
    "boolean as text": ("boolean", ["true", "FALSE", None], [True, False, None]),
    "time as text": ("timestamptz", ["2024-05-01T12:30:00.123456Z", None], [NOON, None]),
    "time with offset": ("timestamptz", ["2024-05-01T14:30:00.123456+02:00"], [NOON]),
    "time without zone": ("timestamptz", pa.array([NOON.replace(tzinfo=None)]), [NOON]),
    "time in ms": (
        "timestamptz",
        pa.array([NOON.replace(microsecond=123000)], pa.timestamp("ms", "UTC")),
        [NOON.replace(microsecond=123000)],
    ),
    "small int": ("bigint", pa.array([1, None], pa.int32()), [1, None]),
    "unsigned": ("bigint", pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
    "number in a text column": ("varchar", pa.array([12, None]), ["12", None]),
    "only nulls": ("struct(a bigint)", pa.nulls(2), [None, None]),
    "dictionary": ("varchar", pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
    "object as text": (
        "struct(a bigint, b varchar)",
        ['{"a": 1, "b": "it\'s"}', None, "null"],
        [{"a": 1, "b": "it's"}, None, None],
    ),
    "empty object as text": ("struct(a bigint)", ["{}", None], [{"a": None}, None]),
    "list as text": (
        "struct(a double)[]",
        ['[{"a": 1}, {"a": 2.5}]', "[]"],
        [[{"a": 1.0}, {"a": 2.5}], []],
    ),
    "nested object as text": (
        "struct(b struct(c varchar, seen timestamptz))",
        [{"b": json.dumps({"c": AWKWARD, "seen": "2024-05-01T12:30:00.123456Z"})}],
        [{"b": {"c": AWKWARD, "seen": NOON}}],
    ),
    "objects in a list as text": (
        "struct(b struct(c bigint))[]",
        [[{"b": '{"c": 1}'}, {"b": None}]],
        [[{"b": {"c": 1}}, {"b": None}]],
    ),
    "numbers as text in a struct": (
        "struct(price double, n bigint)[]",
        [[{"price": "1.10", "n": 2.0}], None],
        [[{"price": 1.1, "n": 2}], None],
    ),
    "a new field in an object as text": (
        "struct(a bigint)",
        ['{"a": 1, "new": {"deep": "x"}}'],
        [{"a": 1, "new": {"deep": "x"}}],
    ),
}


@pytest.mark.parametrize("case", EXACT)
def test_what_fits_is_fed_exactly(feeding: Feeding, case: str) -> None:
    """Another type that can say the same is converted without a change to any value."""
    type_, values, expected = EXACT[case]
    feeding.declare(id="bigint", v=type_)
    feeding.land("a.parquet", rows(id=list(range(len(values))), v=values))
    outcome = feeding.feed()
    assert not outcome.quarantined
    assert [value for _, value in feeding.rows("id, v")] == expected


LOSSY: dict[str, tuple[str, Any]] = {
    "1.5 for an int": ("bigint", pa.array([1.0, 1.5])),
    "infinity for an int": ("bigint", pa.array([float("inf")])),
    "nan for an int": ("bigint", pa.array([float("nan")])),
    "too large for an int": ("bigint", pa.array([1e30])),
    "2^53 + 1 for a double": ("double", pa.array([2**53 + 1])),
    "word for a number": ("double", ["1", "n/a"]),
    "1.5 as text for an int": ("bigint", ["1.5"]),
    "a tiny fraction as text for an int": ("bigint", ["1.00000000001"]),
    "empty text for a number": ("double", [""]),
    "too many digits for a double": ("double", ["12345678901234567890.12"]),
    "hexadecimal text": ("bigint", ["0x1F"]),
    "word for a boolean": ("boolean", ["maybe"]),
    "number for a boolean": ("boolean", [1]),
    "word for a time": ("timestamptz", ["tomorrow"]),
    "nanoseconds for a time": ("timestamptz", pa.array([1], pa.timestamp("ns", "UTC"))),
    "nanoseconds as text": ("timestamptz", ["2024-05-01T12:30:00.123456789Z"]),
    "number for a time": ("timestamptz", [1714566600]),
    "unsigned beyond bigint": ("bigint", pa.array([2**63], pa.uint64())),
    "number for an object": ("struct(a bigint)", [1]),
    "object for a number": ("bigint", [{"a": 1}]),
    "list for an object": ("struct(a bigint)", [[1]]),
    "text that is no JSON for an object": ("struct(a bigint)", ['{"a": 1}', "oops"]),
    "text of a list for an object": ("struct(a bigint)", ["[1, 2]"]),
    "objects and others in one text column": ("struct(a bigint)", ['{"a": 1}', "[1]"]),
    "1.5 deep inside": ("struct(n bigint)[]", [[{"n": 1.5}]]),
    "1.5 inside JSON text": ("struct(n bigint)", ['{"n": 1.5}']),
    "a word inside JSON text": ("struct(n bigint)", ['{"n": "many"}']),
}


@pytest.mark.parametrize("case", LOSSY)
def test_what_would_lose_something_is_quarantined(feeding: Feeding, case: str) -> None:
    """Nothing lossy is silent: the file is quarantined, the reason names the column, no column or
    row of it stays, and the other files are fed."""
    type_, values = LOSSY[case]
    feeding.declare(id="bigint", v=type_)
    feeding.land("good.parquet", rows(id=[-1]))
    feeding.land(
        "odd.parquet", rows(id=list(range(len(values))), v=values, new=["x"] * len(values))
    )
    outcome = feeding.feed()
    assert feeding.rows("id") == [(-1,)]
    assert list(feeding.reasons()) == ["odd.parquet"]
    assert "column v" in feeding.reasons()["odd.parquet"]
    assert outcome.files == 1
    assert "new" not in feeding.types()


def test_an_undeclared_int_becomes_wider(feeding: Feeding) -> None:
    """int → bigint is applied to a column that files brought; values before and after are exact."""
    feeding.land("a.parquet", rows(id=[1], n=pa.array([7], pa.int32())))
    feeding.feed()
    feeding.land("b.parquet", rows(id=[2], n=pa.array([2**40])))
    assert not feeding.feed().quarantined
    assert feeding.types()["n"] == "BIGINT"
    assert feeding.rows("id, n") == [(1, 7), (2, 2**40)]


def test_an_undeclared_nested_int_becomes_wider_or_is_refused(feeding: Feeding) -> None:
    """A nested int32 field that gets a bigint never loses a digit."""
    feeding.land("a.parquet", rows(id=[1], s=pa.array([{"n": 7}], pa.struct({"n": pa.int32()}))))
    feeding.feed()
    feeding.land("b.parquet", rows(id=[2], s=pa.array([{"n": 2**40}])))
    feeding.feed()
    found = feeding.rows("id, s.n")
    assert found == [(1, 7), (2, 2**40)] or (found == [(1, 7)] and "b.parquet" in feeding.reasons())


@pytest.mark.parametrize(
    "name",
    [
        *("select", "order", "filename", "file_row_number", "file_index", "year", "day", "rowid"),
        *("element_0", "value", "snapshot_id", "_Weird_Name", "column"),
    ],
)
def test_columns_with_odd_names(feeding: Feeding, name: str) -> None:
    """A column may have a name that SQL, DuckDB or DuckLake uses for something else."""
    feeding.land("a.parquet", rows(id=[1], **{name: ["x"]}))
    feeding.land("b.parquet", rows(id=[2], **{name: ["y"]}, nested=[[{name: 1.0}]]))
    feeding.land("plain.parquet", rows(id=[3]))
    feeding.feed()
    if name in ("file_row_number", "rowid", "snapshot_id"):  # not to be had in this DuckLake
        assert feeding.rows("id") == [(3,)]
        assert all(name in reason for reason in feeding.reasons().values())
    else:
        assert not feeding.reasons()
        assert feeding.rows(f'id, "{name}"') == [(1, "x"), (2, "y"), (3, None)]


@pytest.mark.parametrize(
    "name", ["_source_file", "_source_row", "_cursor_version", "__uri", "__row"]
)
def test_columns_named_like_the_lake_s_own(feeding: Feeding, name: str) -> None:
    """A file with a column of the lake's own name does not block its stream."""
    feeding.land("good.parquet", rows(id=[1]))
    feeding.land("odd.parquet", rows(id=[2], **{name: ["x"]}))
    feeding.feed()
    assert (1,) in feeding.rows("id")
    assert feeding.rows("_source_file")[0] == ("test/things/year=2024/month=05/good.parquet",)


def test_names_differ_in_capitals(feeding: Feeding) -> None:
    """Other capitals are the same column; of two such columns in one file neither is lost."""
    feeding.land("a.parquet", rows(id=[1], Name=["x"], s=[{"Key": 1}]))
    feeding.feed()
    feeding.land("b.parquet", rows(ID=[2], name=["y"], s=[{"key": 2}]))
    feeding.feed()
    assert feeding.rows('id, "Name", s."Key"') == [(1, "x", 1), (2, "y", 2)]
    feeding.land("c.parquet", pa.table([[3], ["z"], ["w"]], names=["id", "a", "A"]))
    feeding.land("d.parquet", pa.table([[4], ["z"], ["w"]], names=["id", "a", "a"]))
    feeding.feed()
    fed = feeding.rows()[2:]
    assert len(fed) + len(feeding.reasons()) == 2
    assert all({"z", "w"} <= set(row) for row in fed)


def test_a_column_of_nothing_but_nulls(feeding: Feeding) -> None:
    """A column in which a file has only nulls has no type yet: whatever comes next decides."""
    feeding.land("a.parquet", rows(id=[1], v=pa.nulls(1), l=[[]], s=[{"x": None}]))
    feeding.feed()
    feeding.land("b.parquet", rows(id=[2], v=["text"], l=[[{"k": "v"}]], s=[{"x": "y"}]))
    feeding.feed()
    assert not feeding.reasons()
    assert feeding.rows("id, v, l[1].k, s.x") == [(1, None, None, None), (2, "text", "v", "y")]


def test_types_that_only_some_tables_can_hold(feeding: Feeding) -> None:
    """New columns of rare types are fed or quarantined; they never block the rest."""
    rare = {
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "binary": pa.array([b"\x00\xff"]),
        "date": pa.array([NOON.date()]),
        "time": pa.array([NOON.time()]),
        "decimal": pa.array([Decimal("1.5")], pa.decimal128(38, 10)),
        "float": pa.array([1.5], pa.float32()),
        "half": pa.array([1.5], pa.float32()),
        "fixed": pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
        "nothing": pa.nulls(1),
        "list_of_nothing": pa.array([[None]], pa.list_(pa.null())),
        "struct_of_nothing": pa.array([{"a": None}], pa.struct({"a": pa.null()})),
        "nanoseconds": pa.array([1], pa.timestamp("ns", "UTC")),
        "uint8": pa.array([1], pa.uint8()),
    }
    feeding.land("good.parquet", rows(id=[1]))
    for number, (name, values) in enumerate(rare.items()):
        feeding.land(f"{name}.parquet", rows(id=[10 + number], **{f"c_{name}": values}))
    outcome = feeding.feed()
    assert outcome.files + len(outcome.quarantined) == len(rare) + 1
    assert len(feeding.rows("id")) == outcome.files
    assert (1,) in feeding.rows("id")


def test_a_text_column_that_turns_into_an_object(feeding: Feeding) -> None:
    """A free-form object (text) that later comes with known fields stays readable JSON."""
    feeding.declare(id="bigint", properties="varchar")
    feeding.land("a.parquet", rows(id=[1], properties=['{"a": "it\'s"}']))
    feeding.land("b.parquet", rows(id=[2], properties=[{"a": AWKWARD}]))
    assert not feeding.feed().quarantined
    (_, one), (_, two) = feeding.rows("id, properties")
    assert json.loads(one) == {"a": "it's"}
    assert json.loads(two) == {"a": AWKWARD}


def test_files_of_one_run_need_not_agree(feeding: Feeding) -> None:
    """Many shapes of one column in one run: each file is judged by itself, order plays no part."""
    feeding.declare(id="bigint", v="struct(a bigint, b double)")
    shapes: dict[str, Any] = {
        "text": ['{"a": 1, "b": 1}'],
        "struct": [{"a": 1}],
        "more": [{"a": 1, "c": {"d": [1]}}],
        "floats": [{"a": 1.0, "b": 1}],
        "lossy": [{"a": 1.5}],
        "broken": ['{"a": 1'],
        "null": pa.nulls(1),
    }
    for number, (name, values) in enumerate(shapes.items()):
        feeding.land(f"{name}.parquet", rows(id=[number], v=values))
    feeding.feed()
    assert sorted(feeding.reasons()) == ["broken.parquet", "lossy.parquet"]
    assert feeding.rows("id, v.a") == [(0, 1), (1, 1), (2, 1), (3, 1), (6, None)]
