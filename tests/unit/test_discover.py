"""Declarations that discovery writes: read back, they are what landed."""

from __future__ import annotations

import pytest
import yaml

from lotus_lake.config import LakeError
from lotus_lake.discover.compare import Discovery, dotted
from lotus_lake.discover.new_stream import NewStream
from lotus_lake.discover.yaml_text import columns_text, type_text
from lotus_lake.schema import Type

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


@pytest.mark.parametrize(
    ("stream", "key", "cursor", "message"),
    [
        (found(id="bigint"), "sku", None, "no column sku: name its key with --key"),
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
