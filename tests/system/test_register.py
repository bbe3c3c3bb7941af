"""Register mode: zero copies, and no command that can delete a landed file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.system.feeding import TABLE, Feeding, rows

MAINTENANCE = (
    "call ducklake_merge_adjacent_files('lakehouse')",
    "call ducklake_expire_snapshots('lakehouse', older_than => now())",
    "call ducklake_cleanup_old_files('lakehouse', cleanup_all => true)",
    "call ducklake_delete_orphaned_files('lakehouse', cleanup_all => true)",
    "checkpoint lakehouse",
)


@pytest.fixture
def registering(feeding: Feeding) -> Feeding:
    """A stream in register mode, with two registered files."""
    feeding.declare(id="bigint", price="double", lines="struct(sku varchar)[]")
    feeding.set(feed_mode="register")
    for part in range(2):
        feeding.land(f"part_{part}.parquet", _table(part))
    outcome = feeding.feed()
    assert not outcome.quarantined
    assert outcome.files == 2
    return feeding


def _table(number: int) -> pa.Table:
    return rows(id=[number], price=[0.5], lines=[[{"sku": "it's"}]])


def test_rows_are_read_from_landed_files(registering: Feeding) -> None:
    """Registered files are read where they lie: staging has their rows and no file of its own."""
    assert registering.rows("id, price, lines") == [
        (0, 0.5, [{"sku": "it's"}]),
        (1, 0.5, [{"sku": "it's"}]),
    ]
    assert registering.ledger("path, row_count, feed_mode") == [
        ("part_0.parquet", 1, "register"),
        ("part_1.parquet", 1, "register"),
    ]
    assert not list((registering.lake.data / "staging").rglob("*things*/*.parquet"))
    assert registering.feed().files == 0


def test_what_does_not_fit_is_copied(registering: Feeding) -> None:
    """Files that need a conversion are copied instead, and missing columns read NULL."""
    registering.land("text.csv", "id,price\n7,1.25\n")
    registering.land("missing.parquet", rows(id=[8]))
    registering.land("as_text.parquet", rows(id=[9], price=["2.5"]))
    registering.land("grown.parquet", rows(id=[10], fresh=["x"], lines=[[{"sku": "s", "n": 1}]]))
    outcome = registering.feed()
    assert not outcome.quarantined
    assert registering.rows("id, price, fresh")[2:] == [
        (7, 1.25, None),
        (8, None, None),
        (9, 2.5, None),
        (10, None, "x"),
    ]
    modes = dict(registering.ledger("path, feed_mode"))
    assert modes["text.csv"] == modes["as_text.parquet"] == "copy"


def test_new_fields_in_lists_make_copies(registering: Feeding) -> None:
    """DuckDB 1.5.5 cannot read lists of fewer fields than the table: what is registered becomes the
    lake's own, with its lineage, and no landed file is deleted for it."""
    new = {"price": [0.5], "lines": [[{"sku": "s", "n": 1}]]}
    registering.land("grown.parquet", rows(id=[10], **new))
    registering.feed()
    registering.land("old_shape.parquet", _table(12))
    registering.feed()
    registering.land("grown_again.parquet", rows(id=[13], **new))
    registering.feed()
    before = _contents(registering)
    for statement in MAINTENANCE:
        registering.connection.execute(statement)
        assert _contents(registering) == before, statement
    assert registering.rows("id, lines[1].n, _source_row, parse_filename(_source_file)") == [
        (0, None, 0, "part_0.parquet"),
        (1, None, 0, "part_1.parquet"),
        (10, 1, 0, "grown.parquet"),
        (12, None, 0, "old_shape.parquet"),
        (13, 1, None, None),
    ]
    assert registering.ledger("path, feed_mode") == [
        ("part_0.parquet", "copy"),
        ("part_1.parquet", "copy"),
        ("grown.parquet", "copy"),
        ("old_shape.parquet", "copy"),
        ("grown_again.parquet", "register"),
    ]
    assert registering.rows("id, _cursor_version")[:2] == [(0, 1), (1, 1)]


def test_what_is_missing_is_null(feeding: Feeding) -> None:
    """DuckDB answers `is null` from DuckLake's statistics: they have to know what a file lacks,
    whichever of the files came first, and that registered rows have no lineage."""
    feeding.declare(id="bigint", price="double", buyer="struct(name varchar, mail varchar)")
    feeding.set(feed_mode="register")
    lands = {
        "text.csv": "id,price\n1,1.25\n",
        "whole.parquet": rows(id=[2], price=[1.0], buyer=[{"name": "x", "mail": "y"}]),
        "missing.parquet": rows(id=[3]),
        "inner.parquet": rows(id=[4], price=[1.0], buyer=[{"name": "x"}]),
        "grown.parquet": rows(id=[5], price=[1.0], fresh=["x"]),
        "again.parquet": rows(id=[6]),
    }
    for together in (False, True):
        for name, content in lands.items():
            feeding.land(f"{together}_{name}", content)
            if not together:
                assert feeding.feed().files == 1
    assert feeding.feed().files == len(lands)
    columns = ("id", "price", "buyer", "buyer.mail", "fresh", "_source_file", "_source_row")
    for column in columns:
        values = [value for (value,) in feeding.rows(column)]
        assert len(values) == 2 * len(lands)
        folded = feeding.connection.execute(
            f"select count(*) from {TABLE} where {column} is null"
        ).fetchone()
        assert folded == (values.count(None),), column
    modes = [mode for (mode,) in feeding.ledger("feed_mode")]
    assert {"register", "copy"} == set(modes), modes
    assert feeding.rows("coalesce(_source_file, 'registered')").count(("registered",)) == (
        modes.count("register")
    )


def test_bad_files_are_quarantined(registering: Feeding) -> None:
    """A bad file does not block the registration of the others."""
    registering.land("a_cut.parquet", b"PAR1 and nothing more")
    registering.land("b_lossy.parquet", rows(id=[1.5]))
    registering.land("c_good.parquet", _table(3))
    assert registering.feed().files == 1
    assert sorted(registering.reasons()) == ["a_cut.parquet", "b_lossy.parquet"]


def test_no_maintenance_deletes_a_landed_file(registering: Feeding) -> None:
    """Merging, expiring, cleaning up and checkpoints leave every landed file and every row."""
    for part in range(2, 5):
        registering.land(f"part_{part}.parquet", _table(part))
        registering.feed()
    before = _contents(registering)
    found = registering.rows("id, price, lines")
    for statement in MAINTENANCE * 2:
        registering.connection.execute(statement)
        assert _contents(registering) == before, statement
    assert registering.rows("id, price, lines") == found


def test_copied_files_are_no_business_of_landing(feeding: Feeding) -> None:
    """In copy mode maintenance may do what it likes to the lake's own files."""
    for part in range(4):
        feeding.land(f"part_{part}.parquet", rows(id=[part]))
        feeding.feed()
    before = _contents(feeding)
    feeding.connection.execute(f"delete from {TABLE} where id = 0")
    for statement in MAINTENANCE:
        feeding.connection.execute(statement)
    assert _contents(feeding) == before
    assert feeding.rows("id") == [(1,), (2,), (3,)]


def _contents(feeding: Feeding) -> dict[str, bytes]:
    return {path: Path(feeding.lake.landing / path).read_bytes() for path in feeding.landed()}
