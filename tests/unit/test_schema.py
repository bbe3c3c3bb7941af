"""Types: what fits a column exactly, what is noticed when it does not, and how columns grow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from struct import pack, unpack
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lotus_lake.schema.conversion import Conflict, carry, convert
from lotus_lake.schema.growth import join, merge
from lotus_lake.schema.plain_json import plain_json, register
from lotus_lake.schema.types import Type, literal


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'; set threads = 1")
        register(opened)
        yield opened


def converted(
    connection: duckdb.DuckDBPyConnection, value: str, source: Type, target: Type
) -> tuple[Any, bool]:
    """A value (as SQL) in the target's type, and whether the check calls it exact."""
    conversion = convert("value", source, target)
    row = connection.execute(
        f"select cast({conversion.value} as {target.sql()}), {conversion.is_exact}"
        f" from (select cast({value} as {source.sql()}) as value)"
    ).fetchone()
    assert row is not None
    assert row[1] is not None, "a check that says neither yes nor no"
    return row[0], row[1]


LOST = object()

# (value in SQL, the file's type, the column's type, what the column gets, or LOST)
CONVERSIONS = [
    # integers
    ("7", "tinyint", "bigint", 7),
    ("7", "bigint", "integer", 7),
    ("3000000000", "bigint", "integer", LOST),
    ("255", "utinyint", "smallint", 255),
    ("200", "utinyint", "tinyint", LOST),
    ("18446744073709551615", "ubigint", "bigint", LOST),
    ("-1", "integer", "uinteger", LOST),
    ("null", "bigint", "integer", None),
    # floating point
    ("1.5", "float", "double", 1.5),
    ("12", "double", "bigint", 12),
    ("12.5", "double", "bigint", LOST),
    ("1e300", "double", "bigint", LOST),
    ("'nan'", "double", "bigint", LOST),
    ("'inf'", "double", "bigint", LOST),
    ("0.1", "double", "float", LOST),
    ("0.5", "double", "float", 0.5),
    ("9007199254740992", "bigint", "double", 2.0**53),
    ("9007199254740993", "bigint", "double", LOST),
    ("16777217", "integer", "float", LOST),
    # decimals
    ("0.1", "double", "decimal(18,2)", Decimal("0.10")),
    ("0.001", "double", "decimal(18,2)", LOST),
    ("12.34", "decimal(10,2)", "double", 12.34),
    ("12.34", "decimal(10,2)", "decimal(12,4)", Decimal("12.3400")),
    ("12.34", "decimal(10,2)", "decimal(12,1)", LOST),
    ("12", "bigint", "decimal(18,2)", Decimal("12.00")),
    ("3026.7184", "decimal(18,4)", "float", LOST),
    ("3026.5", "decimal(18,4)", "float", 3026.5),
    ("3026.7185", "float", "decimal(18,4)", Decimal("3026.7185")),
    ("null", "float", "decimal(18,4)", None),
    # numbers as text
    ("'12'", "varchar", "integer", 12),
    ("' 12 '", "varchar", "integer", 12),
    ("'+5'", "varchar", "integer", 5),
    ("'-0'", "varchar", "integer", 0),
    ("'12.0'", "varchar", "integer", 12),
    ("'1e5'", "varchar", "integer", 100000),
    ("'12.7'", "varchar", "integer", LOST),
    ("''", "varchar", "integer", LOST),
    ("'abc'", "varchar", "integer", LOST),
    ("'0x1F'", "varchar", "integer", LOST),
    ("'3000000000'", "varchar", "integer", LOST),
    ("'0.1'", "varchar", "double", 0.1),
    ("'.5'", "varchar", "double", 0.5),
    ("'1e30'", "varchar", "double", 1e30),
    ("'1e-400'", "varchar", "double", LOST),
    ("'0.12345678901234567'", "varchar", "double", LOST),
    ("'12345678901234567'", "varchar", "double", LOST),
    ("'123456789012345678901234567890123'", "varchar", "double", LOST),
    ("'nan'", "varchar", "double", LOST),
    ("'inf'", "varchar", "double", LOST),
    ("'12.50'", "varchar", "decimal(18,2)", Decimal("12.50")),
    ("'0.00000000001'", "varchar", "decimal(18,2)", LOST),
    ("null", "varchar", "double", None),
    # truth values
    ("'TRUE'", "varchar", "boolean", True),
    ("'t'", "varchar", "boolean", LOST),
    ("'1'", "varchar", "boolean", LOST),
    # times
    ("'2025-01-15'", "varchar", "date", date(2025, 1, 15)),
    ("'2025-01-15T00:00:00Z'", "varchar", "date", date(2025, 1, 15)),
    ("'2025-01-15 12:00:00'", "varchar", "date", LOST),
    ("'2025-01-15T00:00:00+02:00'", "varchar", "date", LOST),
    ("'infinity'", "varchar", "date", LOST),
    ("'2025-01-15T10:00:00+02:00'", "varchar", "timestamptz", datetime(2025, 1, 15, 8, tzinfo=UTC)),
    ("'2025-01-15 10:00:00'", "varchar", "timestamptz", datetime(2025, 1, 15, 10, tzinfo=UTC)),
    ("'1600-01-15T10:00:00Z'", "varchar", "timestamptz", datetime(1600, 1, 15, 10, tzinfo=UTC)),
    ("'2025-01-15T10:00:00Z'", "varchar", "timestamp", datetime(2025, 1, 15, 10)),
    ("'2025-01-15T10:00:00+02:00'", "varchar", "timestamp", LOST),
    ("timestamp_ms '2025-01-15 10:00:00.5'", "timestamp_ms", "timestamptz")
    + (datetime(2025, 1, 15, 10, 0, 0, 500_000, UTC),),
    ("'tomorrow'", "varchar", "timestamptz", LOST),
    ("'2025-01-15T10:00:00.1234567Z'", "varchar", "timestamptz", LOST),
    ("'2025-01-15 10:00:00.5'", "varchar", "timestamp_s", LOST),
    ("timestamp_ns '2025-01-15 10:00:00.123456789'", "timestamp_ns", "timestamptz", LOST),
    ("timestamptz '2025-01-15 10:00:00.5Z'", "timestamptz", "timestamp_s", LOST),
    # anything as text
    ("12", "bigint", "varchar", "12"),
    ("0.1", "double", "varchar", "0.1"),
    ("true", "boolean", "varchar", "true"),
    ("{'a': 1}", "struct(a int)", "varchar", '{"a":1}'),
    ("['x', null]", "varchar[]", "varchar", '["x",null]'),
    ("[{'b': 'it''s'}]", "struct(b varchar)[]", "varchar", '[{"b":"it\'s"}]'),
    ("null", "struct(a int)", "varchar", None),
    # parts
    ("{'a': 1}", "struct(a int)", "struct(b int, a int)", {"b": None, "a": 1}),
    ("{'A': 1}", "struct(\"A\" int)", "struct(a int)", {"a": 1}),
    ("null", "struct(a int)", "struct(b int, a bigint)", None),
    ("{'a': null}", "struct(a int)", "struct(a bigint)", {"a": None}),
    ("{'a': 3e9}", "struct(a double)", "struct(a int)", LOST),
    ("[{'a': 1}, null]", "struct(a int)[]", "struct(a double)[]", [{"a": 1.0}, None]),
    ("[1.0, null]", "double[]", "bigint[]", [1, None]),
    ("[1.0, 1e300]", "double[]", "bigint[]", LOST),
    ("[]", "double[]", "bigint[]", []),
    ("[['1'], ['2.5']]", "varchar[][]", "int[][]", LOST),
]  # fmt: skip


@pytest.mark.parametrize(("value", "source", "target", "expected"), CONVERSIONS)
def test_a_value_is_kept_or_its_loss_is_noticed(
    connection: duckdb.DuckDBPyConnection, value: str, source: str, target: str, expected: Any
) -> None:
    stored, exact = converted(connection, value, Type.parse(source), Type.parse(target))
    if expected is LOST:
        assert not exact
    else:
        assert exact
        assert stored == expected


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("bigint", "boolean"),
        ("boolean", "bigint"),
        ("double", "timestamptz"),
        ("bigint", "timestamptz"),
        ("struct(a int)", "int"),
        ("int", "struct(a int)"),
        ("struct(a int)", "struct(a int)[]"),
        ("varchar[]", "struct(a int)"),
        ("timestamptz", "date"),
        ("blob", "bigint"),
    ],
)
def test_what_never_fits_is_a_conflict(source: str, target: str) -> None:
    with pytest.raises(Conflict, match="where the lake has"):
        convert("value", Type.parse(source), Type.parse(target))


# -- JSON texts --------------------------------------------------------------------------------


def json_type(connection: duckdb.DuckDBPyConnection, *texts: str) -> Type:
    """What the feeder finds out about texts before it converts them."""
    values = ", ".join(f"({literal(text)})" for text in texts)
    found = connection.execute(
        f"select json_group_structure(text::json)::varchar from (values {values}) as t (text)"
    ).fetchone()
    assert found is not None
    return Type.json_of(Type.of_json(json.loads(found[0])))


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ('{"a": 1, "b": "x"}', "struct(b varchar, a bigint)", {"b": "x", "a": 1}),
        ('{"a": "12.5"}', "struct(a double)", {"a": 12.5}),
        ('{"a": "12.5"}', "struct(a bigint)", LOST),
        ('{"a": 12.5}', "struct(a bigint)", LOST),
        ("{}", "struct(a bigint)", {"a": None}),
        ("null", "struct(a bigint)", None),
        ('{"a": null}', "struct(a struct(b bigint))", {"a": None}),
        ('{"a": {}}', "struct(a struct(b bigint))", {"a": {"b": None}}),
        ('{"a": []}', "struct(a struct(b bigint)[])", {"a": []}),
        ("[]", "struct(a bigint)[]", []),
        ("[null]", "struct(a bigint)[]", [None]),
        ('[{"a": 1}, {}]', "struct(a bigint)[]", [{"a": 1}, {"a": None}]),
        ('[{"a": {"b": [1, null]}}]', "struct(a struct(b double[]))[]", [{"a": {"b": [1, None]}}]),
        ('{"a": "2025-01-15"}', "struct(a date)", {"a": date(2025, 1, 15)}),
        ('{"a": {"b": 1}}', "struct(a varchar)", {"a": '{"b":1}'}),
        ('{"a": 9007199254740993}', "struct(a bigint)", {"a": 9007199254740993}),
        ('{"a": 123456789012345678901234}', "struct(a double)", LOST),
        ('{"a": [9007199254740993, 0.5]}', "struct(a double[])", LOST),
        ('{"a": [1, 0.5]}', "struct(a double[])", {"a": [1.0, 0.5]}),
        # some text, some number: a number that came as text
        ('{"a": [1, "2"]}', "struct(a bigint[])", {"a": [1, 2]}),
        ('{"a": [1, "x"]}', "struct(a bigint[])", LOST),
        ('{"a": ["x", {"b": 1}]}', "struct(a varchar[])", {"a": ["x", '{"b":1}']}),
        ('{"a": [true, 1]}', "struct(a varchar[])", {"a": ["true", "1"]}),
        ('{"it\'s": "x\'y"}', 'struct("a b" int, "it\'s" varchar)', {"a b": None, "it's": "x'y"}),
    ],
)  # fmt: skip
def test_json_text_becomes_what_the_lake_has(
    connection: duckdb.DuckDBPyConnection, text: str, target: str, expected: Any
) -> None:
    source = json_type(connection, text)
    stored, exact = converted(connection, literal(text), source, Type.parse(target))
    assert exact is (expected is not LOST)
    if exact:
        assert stored == expected


def test_an_empty_text_is_no_object(connection: duckdb.DuckDBPyConnection) -> None:
    source = json_type(connection, '{"a": 1}')
    assert converted(connection, "''", source, Type.parse("struct(a int)")) == (None, True)


# -- whatever the value ------------------------------------------------------------------------

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "tinyint": st.integers(-128, 127),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "uinteger": st.integers(0, 2**32 - 1),
    "ubigint": st.integers(0, 2**64 - 1),
    "float": st.floats(width=32),
    "double": st.one_of(st.floats(), st.integers(-(2**60), 2**60).map(float)),
    "decimal(18,4)": st.decimals(-(10**13), 10**13, places=4, allow_nan=False),
    "varchar": st.one_of(
        st.integers(-(2**70), 2**70).map(str),
        st.floats().map(str),
        st.decimals(-(10**20), 10**20, places=7).map(str),
        st.text(max_size=5).filter(lambda text: "\0" not in text),
    ),
}


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_number_is_ever_changed_silently(
    connection: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    source = data.draw(st.sampled_from(sorted(SCALARS)), label="source")
    target = data.draw(st.sampled_from(sorted(SCALARS)), label="target")
    value = data.draw(SCALARS[source], label="value")
    wrap, put, take = data.draw(st.sampled_from(WRAPPED), label="inside")
    try:
        conversion = convert(
            "value", Type.parse(wrap.format(source)), Type.parse(wrap.format(target))
        )
    except Conflict:
        return
    row = connection.execute(
        f"select cast({conversion.value} as {wrap.format(target)}){take},"
        f" {conversion.is_exact}"
        f" from (select {put.format(f'cast($1 as {source})')} as value)",
        [value],
    ).fetchone()
    assert row is not None
    stored, exact = row
    assert exact is not None
    assert not exact or same(value, stored, source, target)


# A type with the value inside, how the value gets in, and how it gets out.
WRAPPED = [
    ("{}", "{}", ""),
    ("struct(f {})", "struct_pack(f := {})", ".f"),
    ("{}[]", "[{}]", "[1]"),
    ("struct(f {})[]", "[struct_pack(f := {})]", "[1].f"),
]


def same(before: Any, after: Any, source: str, target: str) -> bool:
    """Whether two values are the same number, or the same text."""
    if source == target:
        return before == after or (before != before and after != after)
    if after is None:
        return False
    if target == "varchar":
        if source == "float":  # a shorter text than its value as a double's
            (as_float,) = unpack("f", pack("f", float(after)))
            return as_float == before or math.isnan(before)
        return str(Decimal(str(before)).normalize()) == str(Decimal(after).normalize())
    if source == "varchar":
        number = Decimal(before.strip().replace("_", ""))
        shown = Decimal(repr(after)) if target == "double" else None
        if target == "float":
            return bool(abs(number - Decimal(after)) <= abs(number) * Decimal("1e-6"))
        return number == (Decimal(str(after)) if shown is None else shown)
    if isinstance(before, float) and isinstance(after, Decimal):
        shown = float(after)
        return before == (unpack("f", pack("f", shown))[0] if source == "float" else shown)
    if isinstance(before, Decimal) and isinstance(after, float):
        return float(before) == after or abs(before - Decimal(after)) < Decimal("0.00005")
    if isinstance(before, float) and isinstance(after, float):
        return before == after or (math.isnan(before) and math.isnan(after))
    return bool(before == after)


# -- growth ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ("int", "bigint", "bigint"),
        ("bigint", "int", "bigint"),
        ("float", "double", "double"),
        ("bigint", "double", "bigint"),
        ("varchar", "bigint", "varchar"),
        ("struct(a int)", "struct(b int)", "struct(a int, b int)"),
        ("struct(a int)", "struct(A int, b int)", "struct(a int, b int)"),
        ("struct(a int)", "struct(a bigint)", "struct(a int)"),  # DuckLake cannot change it
        ("struct(a int)[]", "struct(b struct(c int))[]", "struct(a int, b struct(c int))[]"),
        ("int[]", "bigint[]", "int[]"),
        ("struct(a int)", "varchar", "struct(a int)"),
    ],
)
def test_a_column_grows_to_hold_both(old: str, new: str, merged: str) -> None:
    assert merge(Type.parse(old), Type.parse(new)) == Type.parse(merged)


# -- what no stream declares --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        ("int", "bigint", "bigint"),
        ("utinyint", "uinteger", "uinteger"),
        ("utinyint", "tinyint", "smallint"),
        ("ubigint", "int", "bigint"),
        ("float", "double", "double"),
        ("int", "float", "double"),
        ("bigint", "varchar", "varchar"),
        ("decimal(9,2)", "double", "varchar"),
        ("date", "timestamp", "varchar"),
        ("struct(a int)", "varchar", "varchar"),
        ("struct(a int)", "int[]", "varchar"),
        ("struct(a int)", "struct(A bigint, b int)", "struct(a bigint, b int)"),
        ("struct(a int)[]", "struct(a varchar)[]", "struct(a varchar)[]"),
    ],
)
def test_undeclared_types_are_joined(one: str, other: str, joined: str) -> None:
    assert join(Type.parse(one), Type.parse(other)) == Type.parse(joined)
    assert merge(Type.parse(f"struct(x {one})"), Type.parse(f"struct(x {other})"), DECLARED) == (
        Type.parse(f"struct(x {joined})")
    )


DECLARED = Type.parse("struct(y int)")


@pytest.mark.parametrize(
    ("value", "source", "text"),
    [
        ("12", "bigint", "12"),
        ("12", "double", "12"),
        ("-0.0", "double", "0"),
        ("0.1", "float", "0.10000000149011612"),
        ("1e18", "double", "1e+18"),
        ("'nan'", "double", "nan"),
        ("'12.0'", "varchar", "12.0"),
        ("'2025-01-15T10:00:00Z'", "timestamptz", "2025-01-15 10:00:00+00"),
        ("{'b': 2.0, 'a': null}", "struct(b double, a int)", '{"b":2}'),
        ("{'b': 'é', 'a': 1.5}", "struct(b varchar, a double)", '{"a":1.5,"b":"é"}'),
        ("{'a': '1', 'b': '1.0'}", "struct(a varchar, b varchar)", '{"a":1,"b":"1.0"}'),
        ("[1, null]", "int[]", "[1,null]"),
        ("null", "struct(a int)", None),
    ],
)
def test_a_text_does_not_tell_its_type(
    connection: duckdb.DuckDBPyConnection, value: str, source: str, text: str | None
) -> None:
    carried = carry("value", Type.parse(source), Type.scalar("VARCHAR")).value
    rows = connection.execute(f"select {carried} from (select {value}::{source} as value)")
    assert rows.fetchall() == [(text,)]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ('{"b": 1.0, "a": [9007199254740993, 1e300, null], "c": null}',)
        + ('{"a":[9007199254740993,1e+300,null],"b":1}',),
        ('"1.0"', "1.0"),
        ("null", None),
        ('{"a": "{\\"b\\":1}"}', '{"a":{"b":1}}'),
        ('{"a": "{ }", "b": "NaN", "c": "null", "d": "true"}',)
        + ('{"a":"{ }","b":"NaN","c":"null","d":true}',),
    ],
)
def test_plain_json(document: str, text: str | None) -> None:
    assert plain_json(document) == text
