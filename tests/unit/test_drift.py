"""Schemas that change: what fits is fed exactly, what would lose something is quarantined, and what
no source declares ends in the same columns whatever landed first.

Which value fits which type is tested in test_schema.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest

from lotus_lake.config import LakeError
from lotus_lake.schema.types import Type

from .conftest import FOLDER, TABLE, Content, SmallLake, json_lines

AWKWARD = "it's \"quoted\", 100 % ünïcödé 🪷\nsecond line\t\\ back; -- not a comment $$ {} NULL ''"
NOON = datetime(2024, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
A, B, C = ({"id": number, "name": name} for number, name in ((1, "a"), (2, "b"), (3, "c")))


# -- columns and fields ------------------------------------------------------------------------


def test_columns_and_fields_come_and_go(lake: SmallLake) -> None:
    """Old rows have no value in what is new, nor new rows in what is missing; other capitals are
    the same column or field."""
    lake.settings["columns"] = {
        "id": "bigint",
        "who": "struct(name varchar)",
        "lines": "struct(a bigint, inner_ struct(x varchar))[]",
    }
    home = {"city": AWKWARD, "since": NOON}
    deliveries: list[dict[str, Any]] = [
        {"who": {"name": "A"}, "lines": [{"a": 1, "inner_": {"x": "one"}}]},
        {
            "who": {"home": home},
            "lines": [{"inner_": {"x": "two", "it's": [{"new y": 2.5}]}, "b": "B"}, None],
            "note": AWKWARD,
        },
        {"Who": {"home": {"zip": 8}, "Name": "C"}, "lines": [{"b": "C"}], "seen": NOON},
        {"who": None, "lines": []},
        {"who": {"name": None}, "NOTE": "n"},
    ]
    for number, row in enumerate(deliveries):
        lake.land(f"part_{number}.parquet", [{"id": number, **row}])
        lake.feed()
    lake.query("call ducklake_merge_adjacent_files('lakehouse')")
    assert lake.reasons() == {}
    assert lake.rows("note, seen, who, lines", "id") == [
        (
            *(None, None, {"name": "A", "home": None}),
            [{"a": 1, "inner_": {"x": "one", "it's": None}, "b": None}],
        ),
        (
            *(AWKWARD, None, {"name": None, "home": {**home, "zip": None}}),
            [{"a": None, "inner_": {"x": "two", "it's": [{"new y": 2.5}]}, "b": "B"}, None],
        ),
        (
            *(None, NOON, {"name": "C", "home": {"city": None, "since": None, "zip": 8}}),
            [{"a": None, "inner_": None, "b": "C"}],
        ),
        (None, None, None, []),
        ("n", None, {"name": None, "home": None}, None),
    ]


def test_new_fields_in_long_lists(lake: SmallLake) -> None:
    """No file is left with lists of fewer fields than the table, which DuckDB 1.5.5 reads beyond
    its memory as soon as 2,048 rows have more than 2,048 elements. The process would end here."""
    count = 130_000
    lake.settings["columns"] = {"id": "bigint", "lines": "struct(sku varchar, n struct(x int)[])[]"}
    lines = [[{"sku": f"a text of some length {i}", "n": [{"x": i}] * 3}] * 3 for i in range(1000)]
    lake.land("a.parquet", pa.table({"id": range(count), "lines": lines * (count // 1000)}))
    lake.feed()
    lake.query(f"delete from {TABLE} where id = 7")  # an undone delivery, say
    lake.land("b.parquet", [{"id": count, "lines": [{"sku": "b", "price": 0.5}]}])
    assert not lake.feed().quarantined
    lake.land("c.parquet", [{"id": count + 1, "lines": [{"n": [{"x": 1, "y": "z"}]}]}])
    assert not lake.feed().quarantined
    for _ in range(3):
        assert lake.query(
            "select count(*), count(line.sku), sum(line.price), count(distinct id),"
            f" max(line.n[1].x) from (select id, unnest(lines) as line from {TABLE})"
        ) == [(3 * (count - 1) + 2, 3 * (count - 1) + 1, 0.5, count + 1, 999)]
    assert lake.rows("id, lines[1].price, lines[1].n[1].y, _source_row")[-3:] == [
        (count - 1, None, None, count - 1),
        (count, 0.5, None, 0),
        (count + 1, None, "z", 0),
    ]
    assert lake.rows("count(*), count(_source_file), count(_cursor_version)") == [(count + 1,) * 3]


def test_columns_with_odd_names(lake: SmallLake) -> None:
    """A column may have a name that SQL, DuckDB or DuckLake uses for something else."""
    names = [
        *("select", "order", "filename", "file_index", "year", "day", "element_0", "value"),
        *("_Weird_Name", "column", "a.b", "it's", 'a "b"', "é x", "__filename"),
    ]
    for number, known in enumerate((names[::2], names)):
        values = {name: f"{name}'{number}" for name in known}
        row = {**values, "id": number, "nested": [{"o": values}], "o": {"l": [values]}}
        lake.land(f"part_{number}.parquet", [row])
        lake.feed()
    assert not lake.reasons()
    first = {name: f"{name}'0" if name in names[::2] else None for name in names}
    second = {name: f"{name}'1" for name in names}
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    assert lake.rows(quoted, "id") == [(*first.values(),), (*second.values(),)]
    assert lake.rows("nested, o", "id") == [
        ([{"o": values}], {"l": [values]}) for values in (first, second)
    ]


DRIFTING: list[dict[str, Any]] = [
    {"id": 1, "o": {"a": 1, "b": [{"c": "x"}]}, "amount": 1.5, "flag": True},
    {"id": 2, "o": '{"a": "2", "b": [{"c": "y"}, {}]}', "amount": "2.5", "flag": "false"},
    {"id": 3.0, "o": "{}", "amount": 3, "flag": None},
    {"id": "4", "o": None, "amount": None},
    {"id": 5, "o": {"a": None, "b": None}, "Amount": "5"},
    {"id": 6, "o": {"b": [{"c": None}]}},
    {"id": 7, "o": '{"a": null, "b": []}', "amount": "0.1"},
    {"id": 8, "o": {"b": '[{"c": "z"}]'}},
]
DECLARED = {
    "id": "bigint",
    "o": "struct(a bigint, b struct(c varchar)[])",
    "amount": "double",
    "flag": "boolean",
}
AS_DECLARED = [
    (1, {"a": 1, "b": [{"c": "x"}]}, 1.5, True),
    (2, {"a": 2, "b": [{"c": "y"}, {"c": None}]}, 2.5, False),
    (3, {"a": None, "b": None}, 3.0, None),
    (4, None, None, None),
    (5, {"a": None, "b": None}, 5.0, None),
    (6, {"a": None, "b": [{"c": None}]}, None, None),
    (7, {"a": None, "b": []}, 0.1, None),
    (8, {"a": None, "b": [{"c": "z"}]}, None, None),
]


@pytest.mark.parametrize(("order", "at_once"), [(1, True), (-1, True), (5, True), (-1, False)])
def test_declared_columns_never_depend_on_the_order_of_the_files(
    lake: SmallLake, order: int, at_once: bool
) -> None:
    lake.settings["columns"] = DECLARED
    for number in range(len(DRIFTING)):
        lake.land(f"part_{number}.parquet", [DRIFTING[number * order % len(DRIFTING)]])
        if not at_once:
            lake.feed()
    lake.feed()
    assert lake.reasons() == {}
    assert lake.types() == {
        "id": "BIGINT",
        "o": "STRUCT(a BIGINT, b STRUCT(c VARCHAR)[])",
        "amount": "DOUBLE",
        "flag": "BOOLEAN",
    }
    assert lake.rows("id, o, amount, flag", "id") == AS_DECLARED


def test_a_column_declared_later_is_added(lake: SmallLake) -> None:
    """Which is no change of what lands."""
    lake.land("part_0.parquet", [A])
    lake.feed()
    lake.settings["columns"] = {"id": "bigint", "name": "varchar", "o": "struct(a bigint)"}
    lake.land("part_1.parquet", [B])
    lake.feed()
    assert lake.types()["o"] == "STRUCT(a BIGINT)"
    assert changes(lake) == set()
    lake.land("part_2.parquet", [{**C, "o": {"a": 1}}])
    lake.feed()
    assert lake.rows("id, o") == [(1, None), (2, None), (3, {"a": 1})]


def test_a_stream_without_declared_columns_takes_what_lands(lake: SmallLake) -> None:
    lake.land("part_0.parquet", [{"a": 1, "nothing": None}])
    lake.land("part_1.csv", "b,c\nx,\n")
    lake.land("part_2.jsonl", json_lines({"d": 2**40, "e": {"f": "x"}, "g": None}, {"h": 1.5}))
    lake.feed(columns={})
    assert lake.reasons() == {}
    assert lake.types() == {
        "a": "BIGINT",
        "b": "VARCHAR",
        "c": "VARCHAR",
        "d": "BIGINT",
        "e": "STRUCT(f VARCHAR)",
        "h": "DOUBLE",
    }
    assert lake.rows("a, b, c, d, e, h", "a, b, d, h") == [
        (1, None, None, None, None, None),
        (None, "x", None, None, None, None),
        (None, None, None, 2**40, {"f": "x"}, None),
        (None, None, None, None, None, 1.5),
    ]


def test_a_column_of_nulls_takes_no_type(lake: SmallLake) -> None:
    """Whatever comes next decides, in the same run or a later one."""
    columns = {"id": "bigint", "o": "struct(a bigint)[]"}
    nulls = {"o": pa.nulls(1), "new": pa.nulls(1), "l": pa.array([[None]]), "late": pa.nulls(1)}
    lake.land("part_0.parquet", pa.table({"id": [1], **nulls}))
    lake.land("part_1.parquet", [{"id": 2, "o": [{"a": 5}], "new": "text"}])
    lake.feed(columns=columns)
    lake.land("part_2.parquet", [{"id": 3, "l": [{"k": "v"}], "late": 1.5}])
    lake.feed(columns=columns)
    assert lake.reasons() == {}
    assert lake.rows("id, o, new, l, late") == [
        (1, None, None, None, None),
        (2, [{"a": 5}], "text", None, None),
        (3, None, None, [{"k": "v"}], 1.5),
    ]


def test_integers_widen_and_old_rows_stay(lake: SmallLake) -> None:
    """Also inside an object, for which the table is written anew."""
    small = pa.array([{"n": 7}], pa.struct({"n": pa.int32()}))
    lake.land("part_0.parquet", pa.table({"n": pa.array([5], pa.int32()), "o": small}))
    lake.feed()
    lake.land("part_1.parquet", [{"n": 2**40}])
    lake.land("part_2.parquet", [{"n": 6, "o": {"n": 2**40}}])
    lake.feed()
    assert lake.types()["n"] == "BIGINT"
    assert lake.rows("n, o.n") == [(5, 7), (6, 2**40), (2**40, None)]
    assert lake.reasons() == {}
    assert changes(lake) == {
        ("n", "widened", "INTEGER", "BIGINT", "part_1.parquet"),
        ("o.n", "widened", "INTEGER", "BIGINT", "part_2.parquet"),
    }


# -- what no source declares -------------------------------------------------------------------

PARQUET: list[Any] = [
    *(7, 2**60, 2.5, 3.0, 1e18, "x", "12", "3.0", '{"a":1}', True, NOON, NOON.date(), None),
    *(Decimal("1.50"), {"a": 1}, {"a": 1.0}, {"a": "1", "b": 2.5}, {"a": {"b": None, "c": 1}}),
    *({"a": None}, [1], [2.5, None], ["x", "1"], [{"a": 1}], [{"a": "x", "b": None}], [None], []),
    *(pa.scalar(7, pa.int32()), pa.scalar(2**63, pa.uint64()), pa.scalar(0.1, pa.float32())),
    *(pa.scalar(200, pa.uint8()), -0.0, 1e-7, "null", '["a", 1]', NOON.replace(tzinfo=None)),
]
JSON: list[Any] = [
    *(7, 2**53 + 1, 2**63, 2**70, 1.5, 3.0, 1e300, "x", True, None, {"a": 1}, {"b": {"c": 1.5}}),
    *({"a": [1, "x", {"z": 1.0, "b": None}]}, [1, 2.5], [2**53 + 1, 0.5], [1, "x"], [], [{}], {}),
]
UNDECLARED = 24


def odd_files(seed: int) -> dict[str, Content]:
    """Three files with many columns and fields that no source declares, of types by chance."""
    draw = random.Random(seed)
    files: dict[str, Content] = {}
    for name in ("a.parquet", "b.parquet"):
        values = {f"u{number}": pa.array([draw.choice(PARQUET)]) for number in range(UNDECLARED)}
        inner = pa.StructArray.from_arrays([pa.array([1]), *values.values()], ["a", *values])
        nested = {"o": inner, "l": pa.ListArray.from_arrays([0, 1], inner)}
        files[name] = pa.table({"name": [name], **values, **nested})
    row = {f"u{number}": draw.choice(JSON) for number in range(UNDECLARED)}
    inner_row = {"a": 1, **row}
    files["c.jsonl"] = json_lines({"name": "c", **row, "o": inner_row, "l": [inner_row]})
    return files


def fed_in_order(lake: SmallLake, contents: Sequence[Content], *, at_once: bool) -> Any:
    """What staging has, whatever the order of columns and fields; of a lake that forgot before."""
    lake.query(f"drop table if exists {TABLE}")
    lake.query("delete from lakehouse.meta.feeder_files")
    lake.query("update lakehouse.meta.feeder_cursors set cursor_version = 0, files_loaded = 0")
    for file in lake.file(FOLDER).rglob("*.*"):
        file.unlink()
    for number, content in enumerate(contents):
        lake.land(f"{number}.{'jsonl' if isinstance(content, bytes) else 'parquet'}", content)
        if not at_once:
            lake.feed()
    lake.feed()
    assert lake.reasons() == {}
    types = {name: in_order(Type.parse(type_)) for name, type_ in sorted(lake.types().items())}
    return types, [in_order(list(row)) for row in lake.rows(", ".join(types), "name")]


def in_order(what: Any) -> Any:
    """A type or a value in which the order of fields does not matter."""
    if isinstance(what, Type):
        if what.kind == "struct":
            return {name: in_order(child) for name, child in sorted(what.fields)}
        return [in_order(what.element)] if what.element else what.name
    if isinstance(what, dict):
        return {name: in_order(what[name]) for name in sorted(what)}
    return [in_order(element) for element in what] if isinstance(what, list) else what


@pytest.mark.parametrize(("seed", "feed_mode"), [(1, "copy"), (2, "register")])
def test_undeclared_parts_never_depend_on_the_order_of_the_files(
    lake: SmallLake, seed: int, feed_mode: str
) -> None:
    lake.settings = {
        "columns": {"name": "varchar", "o": "struct(a bigint)", "l": "struct(a bigint)[]"},
        "feed_mode": feed_mode,
    }
    first, *others = permutations(odd_files(seed).values())
    expected = fed_in_order(lake, first, at_once=True)
    assert fed_in_order(lake, first, at_once=False) == expected
    for number, order in enumerate(others):
        assert fed_in_order(lake, order, at_once=number % 2 == seed % 2) == expected


def test_integers_that_no_double_is_become_text(lake: SmallLake) -> None:
    """Of one file, and of those that are in staging."""
    lake.land("a.jsonl", '{"id": 1, "new": 9007199254740993}\n{"id": 2, "new": 0.5}\n')
    lake.land("b.parquet", [{"id": 3, "late": 2**53 + 1, "small": 2**53 - 1}])
    lake.feed()
    lake.land("c.parquet", [{"id": 4, "late": 2.0, "small": 2.0}])
    lake.feed()
    assert lake.types()["small"] == "DOUBLE"
    assert lake.rows("id, new, late, small", "id") == [
        (1, "9007199254740993", None, None),
        (2, "0.5", None, None),
        (3, None, "9007199254740993", 2.0**53 - 1),
        (4, None, "2", 2.0),
    ]
    assert changes(lake) == {
        ("late", "widened", "BIGINT", "VARCHAR", "c.parquet"),
        ("small", "widened", "BIGINT", "DOUBLE", "c.parquet"),
    }


def test_what_became_text_and_is_declared_later_is_converted(lake: SmallLake) -> None:
    """If every value fits; else a line says what to do, and nothing is fed."""
    lake.land("0.parquet", [{"id": 1, "n": 1, "o": {"a": 1}, "s": {"n": 7}, "odd": 1}])
    lake.land("1.parquet", [{"id": 2, "n": "2", "o": '{"a": "2"}', "s": {"n": "8"}, "odd": "x"}])
    lake.feed()
    assert {*lake.types().values()} == {"BIGINT", "VARCHAR", "STRUCT(n VARCHAR)"}
    declared = {"id": "bigint", "n": "bigint", "o": "struct(a bigint)", "s": "struct(n bigint)"}
    lake.land("2.parquet", [{"id": 3, "n": 3.0}])
    with pytest.raises(LakeError, match="column odd is declared as DOUBLE since"):
        lake.feed(columns={**declared, "odd": "double"})
    assert lake.rows("id") == [(1,), (2,)]
    lake.feed(columns=declared)
    assert lake.rows("id, n, o, s, odd") == [
        (1, 1, {"a": 1}, {"n": 7}, "1"),
        (2, 2, {"a": 2}, {"n": 8}, "x"),
        (3, 3, None, None, None),
    ]
    assert changes(lake) == set()


# -- values ------------------------------------------------------------------------------------

# type of the column, values of the file, what staging has afterwards
EXACT: dict[str, tuple[str, Any, list[Any]]] = {
    "time without zone": ("timestamptz", pa.array([NOON.replace(tzinfo=None)]), [NOON]),
    "dictionary": ("varchar", pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
    "nested object as text": (
        "struct(b struct(c varchar, seen timestamptz))",
        [{"b": json.dumps({"c": AWKWARD, "seen": "2024-05-01T12:30:00.123456Z"})}],
        [{"b": {"c": AWKWARD, "seen": NOON}}],
    ),
    "a new field in an object as text": (
        "struct(a bigint)",
        ['{"a": 1, "new": {"deep": "x"}}'],
        [{"a": 1, "new": {"deep": "x"}}],
    ),
}


def test_what_fits_is_fed_exactly(lake: SmallLake) -> None:
    """Another type that can say the same is converted without a change to any value."""
    lake.settings["columns"] = {case: type_ for case, (type_, _, _) in EXACT.items()}
    for case, (_, values, _) in EXACT.items():
        lake.land(f"{case}.parquet", pa.table({case: values}))
    assert not lake.feed().quarantined
    fed = {}
    for case in EXACT:
        of_file = f"where _source_file like '%/{case}.parquet' order by _source_row"
        fed[case] = [value for (value,) in lake.query(f'select "{case}" from {TABLE} {of_file}')]
    assert fed == {case: expected for case, (_, _, expected) in EXACT.items()}


LOSSY: dict[str, tuple[str, Any]] = {
    "object for a number": ("bigint", [{"a": 1}]),
    "text that is no JSON for an object": ("struct(a bigint)", ['{"a": 1}', "oops"]),
    "text of a list for an object": ("struct(a bigint)", ["[1, 2]"]),
    "objects and others in one text column": ("struct(a bigint)", ['{"a": 1}', "[1]"]),
    "1.5 inside JSON text": ("struct(n bigint)", ['{"n": 1.5}']),
}


def test_what_would_lose_something_is_quarantined(lake: SmallLake) -> None:
    """Nothing lossy is silent: the file is quarantined, the reason names the column, no column or
    row of it stays, and the other files are fed."""
    lake.settings["columns"] = {
        "id": "bigint",
        **{case: type_ for case, (type_, _) in LOSSY.items()},
    }
    lake.land("good.parquet", [{"id": -1}])
    for case, (_, values) in LOSSY.items():
        table = {"id": range(len(values)), case: values, "new": ["x"] * len(values)}
        lake.land(f"{case}.parquet", pa.table(table))
    texts = {
        "too large an integer.jsonl": '{"id": 18446744073709551615}\n',
        "integers and doubles.jsonl": '{"id": 9007199254740993}\n{"id": 1.5}\n',
    }
    for name, text in texts.items():
        lake.land(name, text)
    assert lake.feed().files == 1
    assert lake.rows("id") == [(-1,)]
    assert "new" not in lake.types()
    reasons = lake.reasons()
    assert {*reasons} == {*(f"{case}.parquet" for case in LOSSY), *texts}
    assert [case for case in LOSSY if f"column {case}" not in reasons[f"{case}.parquet"]] == []


def test_types_that_only_some_tables_can_hold(lake: SmallLake) -> None:
    """New columns of rare types are fed or quarantined; they never block the rest."""
    rare = {
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "binary": pa.array([b"\x00\xff"]),
        "date": pa.array([NOON.date()]),
        "time": pa.array([NOON.time()]),
        "decimal": pa.array([Decimal("1.5")], pa.decimal128(38, 10)),
        "float": pa.array([1.5], pa.float32()),
        "half": pa.array([1.5], pa.float16()),
        "fixed": pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
        "list_of_nothing": pa.array([[None]], pa.list_(pa.null())),
        "struct_of_nothing": pa.array([{"a": None}], pa.struct({"a": pa.null()})),
        "nanoseconds": pa.array([1], pa.timestamp("ns", "UTC")),
        "uint8": pa.array([1], pa.uint8()),
    }
    lake.land("good.parquet", [{"id": -1}])
    for number, (name, values) in enumerate(rare.items()):
        lake.land(f"{name}.parquet", pa.table({"id": [number], f"c_{name}": values}))
    outcome = lake.feed()
    assert outcome.files + len(outcome.quarantined) == len(rare) + 1
    assert len(lake.rows("id")) == outcome.files
    assert lake.rows("id")[0] == (-1,)


# -- what is recorded of changes ---------------------------------------------------------------


def changes(lake: SmallLake) -> set[tuple[Any, ...]]:
    """What meta.schema_changes says, with the names of the files."""
    return {
        (*row[:4], row[4].rsplit("/", 1)[-1])
        for row in lake.query(
            "select column_name, change, type_before, type_after, path"
            " from lakehouse.meta.schema_changes"
            " where source = 'shop' and stream = 'orders' and seen_at <= now()"
        )
    }


def test_the_first_delivery_changes_nothing(lake: SmallLake) -> None:
    """Whatever it brings; and an empty one before it was none."""
    lake.land("part_0.parquet", b"")
    assert lake.feed().files == 0
    assert lake.types() == {"id": "BIGINT", "name": "VARCHAR"}
    lake.land("part_1.parquet", [{"id": 1, "note": "more than declared"}])
    lake.feed()
    lake.land("part_2.parquet", [{"id": 2, "note": "the same"}, {"id": 3, "note": None}])
    lake.feed()
    assert changes(lake) == set()


def test_changes_name_the_part_and_its_first_file(lake: SmallLake) -> None:
    lake.settings["columns"] = {
        "id": "integer",
        "who": "struct(name varchar)",
        "lines": "struct(sku varchar)[]",
    }
    lake.land("part_0.parquet", [{"who": {"name": "A"}, "lines": [{"sku": "x"}]}])
    lake.feed()
    lake.land("part_1.parquet", pa.table({"id": pa.array([1], pa.int32())}))
    grown = {"who": {"name": "B", "zip": 8}, "lines": [{"sku": "y", "tax": [{"rate": 0.2}]}]}
    lake.land("part_10.parquet", [{"id": 2**40, **grown, "NOTE": "n"}])
    lake.land("part_9.parquet", [{"note": "the first, for 9 comes before 10"}])
    lake.feed()
    assert changes(lake) == {
        ("id", "widened", "INTEGER", "BIGINT", "part_10.parquet"),
        ("who.zip", "added", None, "BIGINT", "part_10.parquet"),
        ("lines[].tax", "added", None, 'STRUCT("rate" DOUBLE)[]', "part_10.parquet"),
        ("note", "added", None, "VARCHAR", "part_9.parquet"),
    }
