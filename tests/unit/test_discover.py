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
from lotus_lake.discover.compare import Discovery, common, discover, dotted
from lotus_lake.discover.new_stream import NewStream
from lotus_lake.discover.yaml_text import column_sql, columns_text, type_text
from lotus_lake.landing import open_landing
from lotus_lake.schema import Type
from lotus_lake.streams import Stream

WIDE = (
    "struct(id bigint, address struct(city varchar, country varchar, zip varchar, province varchar,"
    " phone varchar, company varchar), lines struct(price double, taxes struct(rate double, title "
    'varchar)[], "Odd name" timestamp with time zone)[])[]'
)


@pytest.mark.parametrize("sql", ["bigint", "varchar[]", "decimal(18,3)", "struct(a bigint)", WIDE])
def test_a_type_is_read_back_as_it_was(sql: str) -> None:
    type_ = Type.parse(sql)
    assert Type.parse(type_text(type_)) == type_
    (column,) = yaml.safe_load(columns_text({"x": type_}))
    assert Type.parse(column["data_type"]) == type_
    assert column["description"]


@pytest.mark.parametrize(
    "name", ["no", "on", "null", "123", "1e3", "a: b", "# x", "it's", '"', "Größe (cm)", "- x", "a"]
)
def test_a_name_is_read_back_as_it_was(name: str) -> None:
    (column,) = yaml.safe_load(
        columns_text({name: Type.parse(f'struct("end" int, {quoted(name)} int)')})
    )
    assert column["name"] == name
    assert [field for field, _ in Type.parse(column["data_type"]).fields] == ["end", name]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("title", "title"),
        ("Title", "title"),
        ("no", "no"),
        ("order", '"order"'),
        ("Order", '"Order"'),
        ("left", '"left"'),
        ("values", "values"),
        ("a b", '"a b"'),
        ("2nd", '"2nd"'),
    ],
)
def test_sql_has_quotes_where_they_are_needed(name: str, sql: str) -> None:
    assert column_sql(name) == sql
    with duckdb.connect() as connection:
        relation = connection.sql(f"select {sql} from (select 7 as {quoted(name)})")
        assert relation.fetchone() == (7,)


@pytest.mark.parametrize(
    ("path", "name"),
    [(("a",), "a"), (("a", "[]", "b"), "a[].b"), (("a", "b", "[]"), "a.b[]")],
)
def test_a_part_is_named_as_people_write_it(path: tuple[str, ...], name: str) -> None:
    assert dotted(path) == name


def found(**columns: str) -> Discovery:
    """A stream with these columns."""
    types = {name: Type.parse(sql) for name, sql in columns.items()}
    return Discovery("shop", "entries", is_declared=False, columns=types, is_airbyte=True)


def test_key_and_cursor_are_chosen() -> None:
    stream = NewStream.of(
        found(id="bigint", created_at="varchar", updated_at="varchar"), None, None
    )
    assert (stream.key, stream.cursor, stream.key_name) == ("id", "updated_at", "entry_id")
    whole = NewStream.of(found(id="bigint", title="varchar"), None, None)
    assert whole.cursor is None and whole.is_sent_whole
    other = NewStream.of(found(sku="varchar", at="timestamp"), "SKU", "at")
    assert (other.key, other.cursor, other.key_name) == ("sku", "at", "sku")


def test_objects_become_columns() -> None:
    """Lists and objects inside objects stay in staging; names that are taken get their object's."""
    stream = NewStream.of(
        found(
            id="bigint",
            name="varchar",
            owner="struct(name varchar, a struct(b bigint))",
            tags="int[]",
        ),
        None,
        None,
    )
    assert {name: expression for name, (expression, _) in stream.outputs().items()} == {
        "entry_id": "id",
        "name": "name",
        "owner_name": "owner.name",
    }


def test_columns_of_the_model_have_plain_names_of_their_own() -> None:
    columns = {
        "id": Type.parse("bigint"),
        "order": Type.parse("varchar"),
        "Upper": Type.parse("varchar"),
        "Größe (cm)": Type.parse("double"),
        "größe-cm": Type.parse("double"),
        "image": Type.parse("struct(id bigint, src varchar)"),
    }
    stream = NewStream.of(
        Discovery("shop", "entries", is_declared=False, columns=columns), None, None
    )
    assert {name: expression for name, (expression, _) in stream.outputs().items()} == {
        "entry_id": "id",
        "entry_order": '"order"',
        "upper": "upper",
        "groe_cm": '"Größe (cm)"',
        "groe_cm_2": '"größe-cm"',
        "image_id": "image.id",
        "src": "image.src",
    }


@pytest.mark.parametrize(
    ("stream", "key", "cursor", "message"),
    [
        (found(id="bigint"), "sku", None, "no column sku: name its key with KEY"),
        (found(order="bigint"), "order", None, "'order' of shop.entries is no name for a key"),
        (
            Discovery("shop", "order", is_declared=False, columns={"id": Type.parse("int")}),
            None,
            None,
            "'order' is no name for a table",
        ),
        (found(id="bigint"), None, "later", "no column later"),
        (found(), None, None, r"No file of shop\.entries has a column"),
        (
            Discovery("shop", "Odd", is_declared=False, columns={"id": Type.parse("int")}),
            None,
            None,
            "'Odd'",
        ),
        (Discovery("shop", "a"), None, None, "declared already"),
    ],
)
def test_what_cannot_be_added_is_said(
    stream: Discovery, key: str | None, cursor: str | None, message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        NewStream.of(stream, key, cursor)


# -- what landed -----------------------------------------------------------------------------------

Look = Callable[..., Discovery]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Lands files of a stream, and compares them with a declaration."""

    def looks(
        files: Mapping[str, str | pa.Table],
        declared: Mapping[str, str] | None = None,
        most: int = 0,
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
            landing = open_landing(str(tmp_path))
            (found,) = discover(connection, landing, known, ["shop.things"], files=0)
        return found

    return looks


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_text_has_the_types_that_its_values_are_written_in(look: Look) -> None:
    """Of all files and values, and never of what is only digits: names such as 007 stay text."""
    header = "whole,real,code,phone,day,time,flag,mixed,later,empty\n"
    found = look(
        {
            "a.csv": header + "1,1,007,+491,2025-01-01,2025-01-01 10:00:00,true,1,7,\n",
            "b.csv": header + "-20,2.50,8,2,2025-01-02,2025-01-02T10:00:00Z,false,x,8.5,\n",
        }
    )
    assert {name: type_.sql() for name, type_ in found.columns.items()} == {
        "whole": "BIGINT",
        "real": "DOUBLE",
        "code": "VARCHAR",
        "phone": "VARCHAR",
        "day": "DATE",
        "time": "TIMESTAMP WITH TIME ZONE",
        "flag": "BOOLEAN",
        "mixed": "VARCHAR",
        "later": "DOUBLE",
    }


def test_a_new_column_has_a_type_that_takes_all_files(look: Look) -> None:
    found = look(
        {
            "a.jsonl": lines({"n": 1, "t": 1, "o": {"a": 1}, "at": "2025-01-01T10:00:00Z"}),
            "b.jsonl": lines({"n": 1.5, "t": "x", "o": {"a": 1.5, "b": "y"}, "at": "2025-01-02"}),
        }
    )
    assert {name: type_text(type_) for name, type_ in found.columns.items()} == {
        "n": "double",
        "t": "varchar",
        "o": "struct(a double, b varchar)",
        "at": "timestamp with time zone",
    }


def test_a_type_that_differs_in_a_later_file_is_named(look: Look) -> None:
    """With that file, and whether it can be fed; the one declared is not forgotten."""
    found = look(
        {
            "a.parquet": pa.table({"price": [1.5], "size": [{"w": 1}]}),
            "b.parquet": pa.table({"price": ["2.5"], "size": [{"w": 1, "h": 2}]}),
            "c.parquet": pa.table({"price": ["dear"], "size": ['{"w": 1}']}),
            "d.parquet": pa.table({"price": pa.array([None], pa.null()), "size": [None]}),
        },
        {"price": "double", "size": "struct(w bigint, d bigint)", "name": "varchar"},
    )
    told = [(part.name, part.landed, part.path.rsplit("/")[-1]) for part in found.different]
    assert told == [
        ("price", Type.parse("varchar"), "b.parquet"),
        ("size", Type.parse("varchar"), "c.parquet"),
    ]
    assert [path.rsplit("/")[-1] for path, _ in found.unreadable] == ["c.parquet"]
    assert "column price has 1 values that cannot become" in found.unreadable[0][1]
    assert [part.name for part in found.undeclared] == ["size.h"]
    assert [part.name for part in found.missing] == ["size.d", "name"]
    # What is offered takes the place of the declared type.
    assert type_text(found.columns["size"]) == "struct(w bigint, d bigint, h bigint)"
    assert found.columns["price"] == Type.parse("double")


def test_values_of_a_text_are_compared_with_what_is_declared(look: Look) -> None:
    """CSV and JSON have few types of their own, so only values that do not fit are worth a line."""
    declared = {"id": "bigint", "at": "timestamp with time zone", "price": "double"}
    fine = {
        "a.csv": "id,at,price\n1,2025-01-01,1\n",
        "b.jsonl": lines({"id": 1, "at": "2025-01-01"}),
    }
    assert look(fine, declared).in_step
    (told,) = look({"c.csv": "id,at,price\n1,soon,1\n"}, declared).unreadable
    assert "column at has 1 values" in told[1]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("integer", "bigint", "bigint"),
        ("bigint", "double", "double"),
        ("decimal(9,2)", "bigint", "double"),
        ("date", "timestamp", "timestamp with time zone"),
        ("boolean", "bigint", "varchar"),
        ("varchar", "struct(a int)", "struct(a int)"),
        ("struct(a int)[]", "struct(b int)[]", "struct(a int, b int)[]"),
    ],
)
def test_what_landed_as_two_types(one: str, other: str, both: str) -> None:
    assert common(Type.parse(one), Type.parse(other)) == Type.parse(both)
