"""DuckLake itself against a plain table: what says whether an upgrade is safe.

Random operations are done to a DuckLake table and to a plain DuckDB table at once; after each the
two have to hold the same rows. The settings are those that the project uses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from lotus_lake.connection import extension_file
from tests.system import services
from tests.system.conftest import SEED

STEPS = 25
AWKWARD = [
    "it's",
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    "a,b",
    "üñí 🪷",
    "line\nbreak",
    "tab\t",
    "NULL",
    "",
    "{'a': 1}",
    "$$",
    "%s",
    "\x01",
    "--",
    "null",
    " ",
]


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new catalog, as what follows ``ducklake:``."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/catalog.sqlite"
    server: services.Postgres = request.getfixturevalue("postgres")
    return f"postgres:{services.libpq(server.database(tmp_path.name))}"


@pytest.fixture
def connection(catalog: str, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the catalog attached as the project attaches it."""
    connection = duckdb.connect()
    _attach(connection, catalog, tmp_path)
    yield connection
    connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, catalog: str, tmp_path: Path) -> None:
    for name in ("sqlite_scanner", "postgres_scanner", "ducklake"):
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(
        f"attach 'ducklake:{catalog}' as lake"
        f" (data_path '{tmp_path}/data/', data_inlining_row_limit 0)"
    )


class _Twins:
    """A table in the lake and its plain twin, and random things to do to both."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, chance: random.Random) -> None:
        self._lake = connection
        self._plain = duckdb.connect()
        self._plain.execute("set TimeZone = 'UTC'; attach ':memory:' as lake")
        self._chance = chance
        self._next = 0
        self._added = 0
        self._both("create table lake.twin (id bigint, name varchar, amount decimal(18,2))")

    def _both(self, sql: str) -> None:
        for connection in (self._lake, self._plain):
            connection.execute(sql)

    def insert(self) -> None:
        count = self._chance.choice([1, 3, 200])
        start, self._next = self._next, self._next + count
        word = self._chance.choice(AWKWARD).replace("'", "''")
        self._both(
            f"insert into lake.twin (id, name, amount) select range, '{word}' || (range % 7),"
            f" range / 3 from range({start}, {self._next})"
        )

    def delete(self) -> None:
        start = self._chance.randrange(self._next + 1)
        self._both(f"delete from lake.twin where id between {start} and {start + 40}")

    def update(self) -> None:
        rest = self._chance.randrange(5)
        self._both(f"update lake.twin set amount = amount + 1, name = 'u''' where id % 5 = {rest}")

    def delete_and_insert(self) -> None:
        self._both("begin")
        self.delete()
        self.insert()
        self._both("commit")

    def undone(self) -> None:
        self._both("begin")
        self.update()
        self._both("rollback")

    def add_column(self) -> None:
        self._added += 1
        name = f"extra_{self._added}"
        self._both(f"alter table lake.twin add column {name} timestamptz")
        self._both(
            f"update lake.twin set {name} = '2024-05-01 12:30:00.123456+00' where id % 2 = 0"
        )

    def merge(self) -> None:
        self._lake.execute("call ducklake_merge_adjacent_files('lake')")

    def expire(self) -> None:
        self._lake.execute("call ducklake_expire_snapshots('lake', older_than => now())")

    def clean_up(self) -> None:
        self._lake.execute("call ducklake_cleanup_old_files('lake', cleanup_all => true)")

    def rows(self, where: str = "true") -> list[list[tuple[object, ...]]]:
        """Rows of both, in a fixed order."""
        return [
            connection.execute(f"from lake.twin where {where} order by all").fetchall()
            for connection in (self._lake, self._plain)
        ]

    def some_rows(self) -> list[list[tuple[object, ...]]]:
        """Rows that a filter finds, for which files are pruned."""
        start = self._chance.randrange(self._next + 1)
        return self.rows(f"id >= {start} and amount < {start} and name like '%1'")


@pytest.mark.parametrize("number", range(3))
def test_random_operations(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    """Any sequence of what the project does to a flat table leaves what a plain table has."""
    chance = random.Random(f"{SEED} ducklake {number}")
    twins = _Twins(connection, chance)
    steps: list[Callable[[], None]] = [
        *(twins.insert, twins.insert, twins.delete, twins.update, twins.delete_and_insert),
        *(twins.undone, twins.add_column, twins.merge, twins.expire, twins.clean_up),
    ]
    done = []
    twins.insert()
    for _ in range(STEPS):
        step = chance.choice(steps)
        done.append(step.__name__)
        step()
        for lake, plain in (twins.rows(), twins.some_rows()):
            assert lake == plain, done


def test_inlined_bookkeeping(
    connection: duckdb.DuckDBPyConnection, catalog: str, tmp_path: Path
) -> None:
    """Small flat rows that live in the catalog (schema meta) keep every character and moment."""
    now = datetime(2024, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
    connection.execute("create schema lake.meta")
    connection.execute("call lake.set_option('data_inlining_row_limit', 50, schema => 'meta')")
    connection.execute("create table lake.meta.notes (id bigint, note varchar, seen timestamptz)")
    rows = [(number, word, now + timedelta(days=number)) for number, word in enumerate(AWKWARD)]
    for row in rows:
        connection.execute("insert into lake.meta.notes values (?, ?, ?)", row)
    connection.execute("update lake.meta.notes set note = note || 'x''y' where id % 2 = 0")
    connection.execute("delete from lake.meta.notes where id % 5 = 4")
    expected = [
        (number, word + "x'y" if number % 2 == 0 else word, seen)
        for number, word, seen in rows
        if number % 5 != 4
    ]
    assert connection.execute("from lake.meta.notes order by id").fetchall() == expected
    assert not list((tmp_path / "data").rglob("*.parquet"))
    with duckdb.connect() as other:
        _attach(other, catalog, tmp_path)
        assert other.execute("from lake.meta.notes order by id").fetchall() == expected


def test_nested_rows_are_not_inlined(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """With inlining off, structs keep apostrophes and moments, however few rows are inserted."""
    connection.execute("call lake.set_option('data_inlining_row_limit', 0)")
    connection.execute(
        "create table lake.nested (id bigint, s struct(name varchar, seen timestamptz, deep"
        " struct(name varchar)[]))"
    )
    seen = datetime(2024, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
    expected = []
    for number, word in enumerate(AWKWARD):
        value = {"name": word, "seen": seen, "deep": [{"name": word}, {"name": None}]}
        connection.execute("insert into lake.nested values (?, ?)", [number, value])
        expected.append((number, value))
    assert connection.execute("from lake.nested order by id").fetchall() == expected
    assert len(list((tmp_path / "data").rglob("*.parquet"))) == len(AWKWARD)
    connection.execute("alter table lake.nested add column s.fresh varchar")
    connection.execute("alter table lake.nested add column s.deep.element.fresh bigint")
    connection.execute("call ducklake_merge_adjacent_files('lake')")
    assert connection.execute(
        "select id, s.name, s.seen, s.deep[1].name, s.fresh, s.deep[1].fresh from lake.nested"
        " order by id"
    ).fetchall() == [
        (number, value["name"], seen, value["name"], None, None) for number, value in expected
    ]
