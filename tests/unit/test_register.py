"""Register mode: zero copies, and no command that can delete a landed file."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from .conftest import FOLDER, TABLE, Content, SmallLake, damaged_page

MAINTENANCE = (
    "call ducklake_merge_adjacent_files('lakehouse')",
    "call ducklake_expire_snapshots('lakehouse', older_than => now())",
    "call ducklake_cleanup_old_files('lakehouse', cleanup_all => true)",
    "call ducklake_delete_orphaned_files('lakehouse', cleanup_all => true)",
    "checkpoint lakehouse",
)


def rows(number: int) -> list[dict[str, Any]]:
    """What a landed file has."""
    return [{"id": number, "price": 0.5, "lines": [{"sku": "it's"}]}]


@pytest.fixture
def registering(lake: SmallLake) -> SmallLake:
    """A stream in register mode, with two registered files; its table was made in copy mode."""
    columns = {"id": "bigint", "price": "double", "lines": "struct(sku varchar)[]"}
    lake.settings = {"columns": columns}
    lake.feed()
    lake.settings["feed_mode"] = "register"
    lake.land("part_0.parquet", rows(0))
    lake.land("it's [odd] 100%.parquet", rows(1))
    outcome = lake.feed()
    assert (outcome.files, outcome.quarantined) == (2, [])
    return lake


def landed(lake: SmallLake) -> dict[str, bytes]:
    """The landed files' contents."""
    return {file.name: file.read_bytes() for file in lake.file(FOLDER).rglob("*") if file.is_file()}


def maintain(lake: SmallLake) -> None:
    """Run whatever maintenance there is; no landed file changes."""
    before = landed(lake)
    for statement in MAINTENANCE * 2:
        lake.query(statement)
        assert landed(lake) == before, statement


def test_no_maintenance_deletes_a_landed_file(registering: SmallLake) -> None:
    """Registered files are read where they are: the lake has no data file of its own."""
    for part in range(2, 5):
        registering.land(f"part_{part}.parquet", rows(part))
        registering.feed()
    maintain(registering)
    assert registering.rows("id, price, lines") == [
        (part, 0.5, [{"sku": "it's"}]) for part in range(5)
    ]
    assert {*registering.ledger("row_count, feed_mode").values()} == {(1, "register")}
    assert not list((registering.folder / "lake data").rglob("stg_shop__orders/*.parquet"))
    assert registering.feed().files == 0


def test_what_needs_conversion_is_copied(lake: SmallLake) -> None:
    """Beside a bad file and a damaged one, which block nothing."""
    columns = {
        "id": "bigint",
        "o": "struct(a bigint, b varchar)",
        "l": "struct(x bigint, y bigint)[]",
    }
    pair = [{"x": 1, "y": 2}]
    lake.land("part_0.parquet", [{"id": 1, "o": {"b": "x", "a": 1}, "l": pair}])
    lake.land("part_1.parquet", [{"id": 2, "o": {"a": 2}, "l": pair}])
    lake.land("part_2.parquet", [{"id": "3", "o": '{"b": "y"}', "l": None}])
    lake.land("part_3.parquet", [{"id": 4, "o": {"a": 4, "new": True}, "l": pair}])
    lake.land("part_4.parquet", [{"id": 5, "o": {"a": 5, "b": "z"}, "l": [{"y": 2, "x": 1}]}])
    lake.land("part_5.parquet", pa.table({"id": [6], "nothing": pa.nulls(1)}))
    lake.land("part_6.csv", "id\n7\n")
    lake.land("cut.parquet", "PAR1")
    lake.land("damaged.parquet", damaged_page())
    lake.land("lossy.parquet", [{"id": 1.5}])
    assert lake.feed(feed_mode="register", columns=columns).files == 7
    assert lake.reasons().keys() == {"cut.parquet", "damaged.parquet", "lossy.parquet"}
    assert [*lake.types()] == ["id", "o", "l"]  # a column of nulls has no type yet
    assert lake.rows("id, o, l", "id") == [
        (1, {"a": 1, "b": "x", "new": None}, pair),
        (2, {"a": 2, "b": None, "new": None}, pair),
        (3, {"a": None, "b": "y", "new": None}, None),
        (4, {"a": 4, "b": None, "new": True}, pair),
        (5, {"a": 5, "b": "z", "new": None}, pair),
        (6, None, None),
        (7, None, None),
    ]
    assert [lake.ledger("feed_mode")[f"part_{part}.parquet"] for part in range(6)] == [
        *("register", "register", "copy", "register", "copy", "copy")
    ]
    assert lake.ledger("feed_mode")["part_6.csv"] == "copy"


def test_new_fields_in_lists_make_copies(registering: SmallLake) -> None:
    """DuckDB 1.5.5 cannot read lists of fewer fields than the table: what is registered becomes the
    lake's own, with its lineage, and no landed file is deleted for it."""
    grown = {"price": 0.5, "lines": [{"sku": "s", "n": 1}]}
    registering.land("grown.parquet", [{"id": 10, **grown}])
    registering.feed()
    registering.land("old_shape.parquet", rows(12))
    registering.feed()
    registering.land("grown_again.parquet", [{"id": 13, **grown}])
    registering.feed()
    maintain(registering)
    assert registering.rows("id, lines[1].n, _source_row, parse_filename(_source_file)") == [
        (0, None, 0, "part_0.parquet"),
        (1, None, 0, "it's [odd] 100%.parquet"),
        (10, 1, 0, "grown.parquet"),
        (12, None, 0, "old_shape.parquet"),
        (13, 1, None, None),
    ]
    assert registering.ledger("feed_mode") == {
        "part_0.parquet": "copy",
        "it's [odd] 100%.parquet": "copy",
        "grown.parquet": "copy",
        "old_shape.parquet": "copy",
        "grown_again.parquet": "register",
    }
    assert registering.rows("id, _cursor_version")[:2] == [(0, 1), (1, 1)]


def test_what_is_missing_is_null(lake: SmallLake) -> None:
    """DuckDB answers `is null` from DuckLake's statistics: they have to know what a file lacks,
    whichever of the files came first, and that registered rows have no lineage."""
    columns = {"id": "bigint", "price": "double", "buyer": "struct(name varchar, mail varchar)"}
    lake.settings = {"feed_mode": "register", "columns": columns}
    contents: dict[str, Content] = {
        "text.csv": "id,price\n1,1.25\n",
        "whole.parquet": [{"id": 2, "price": 1.0, "buyer": {"name": "x", "mail": "y"}}],
        "missing.parquet": [{"id": 3}],
        "inner.parquet": [{"id": 4, "price": 1.0, "buyer": {"name": "x"}}],
        "grown.parquet": [{"id": 5, "price": 1.0, "fresh": "x"}],
        "again.parquet": [{"id": 6}],
    }
    for together in (False, True):
        for name, content in contents.items():
            lake.land(f"{together}_{name}", content)
            if not together:
                assert lake.feed().files == 1
    assert lake.feed().files == len(contents)
    for column in (*columns, "buyer.mail", "fresh", "_source_file", "_source_row"):
        values = [value for (value,) in lake.rows(column)]
        assert len(values) == 2 * len(contents)
        by_statistics = lake.query(f"select count(*) from {TABLE} where {column} is null")
        assert by_statistics == [(values.count(None),)], column
    modes = [*lake.ledger("feed_mode").values()]
    assert {*modes} == {"register", "copy"}
    assert lake.rows("count(*) - count(_source_file)") == [(modes.count("register"),)]
