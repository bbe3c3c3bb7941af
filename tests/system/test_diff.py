"""The diff: what it says of random changes is what plain SQL over both sides says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from lotus_lake.connection import extension_file
from lotus_lake.diff import finding, glance, shifts
from lotus_lake.diff.compare import compare
from lotus_lake.diff.relations import Side
from lotus_lake.diff.report import markdown, page, print_report
from lotus_lake.diff.results import LakeDiff, TableDiff
from lotus_lake.diff.verdict import Problem, Verdict
from tests.system import browser, services
from tests.system.browser import NARROW, WIDE, Tab
from tests.system.conftest import SEED

ROWS = 3_000
FACT = f"""
    select
        range as order_id, range % 50 as customer_id,
        date '2025-01-01' + (range % 30)::int as order_day,
        ['USD', 'EUR', null][range % 3 + 1] as currency,
        (range % 7)::bigint as units, (range % 100 / 4)::decimal(18, 2) as net_sales,
        case when range % 4 > 0 then 'note ' || range end as note
    from range({ROWS})
"""
KEYS_OF_TABLES = {"fct_sales": ["order_id"]}
# The columns whose values a diff may show.
SHOWN = {
    "fct_sales": {
        *("order_id", "customer_id", "order_day", "ordered_at", "currency", "units"),
        *("net_sales", "note", "small", "big"),
    }
}

# Changes of some of its rows, and of the keys of nearly all.
SOME = {
    "changed": "update fct_sales set net_sales = net_sales + 1 where order_id % 3 = 0",
    "fewer": "delete from fct_sales where order_id % 3 = 0",
    "more": "insert into fct_sales select order_id + 5000, * exclude (order_id) from fct_sales"
    " where order_id % 3 = 0",
    "other keys": "update fct_sales set order_id = order_id + 5000 where order_id % 12 = 0;"
    " update fct_sales set note = 'odd' where order_id % 6 = 1",
}
KEYS = {
    "keys": "update fct_sales set order_id = order_id + 5000"
    " where order_id not in (101, 102, 103, 1601)",
}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake with one fact."""
    with duckdb.connect() as connection:
        make_lake(connection, tmp_path, f"{tmp_path}/data/")
        yield connection


def make_lake(connection: duckdb.DuckDBPyConnection, folder: Path, data: str) -> None:
    """Attach a new lake with one fact."""
    for name in ("sqlite_scanner", "httpfs", "ducklake"):
        connection.execute(f"load '{extension_file(name)}'")
    connection.execute(f"attach 'ducklake:sqlite:{folder}/c.sqlite' as lake (data_path '{data}')")
    connection.execute("call lake.set_option('data_inlining_row_limit', 0); use lake")
    connection.execute(f"create table fct_sales as {FACT}; create table dim as select 1 as id")


def few_are(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Have tables of a few thousand rows compared as if they were large."""
    monkeypatch.setattr(finding, "_FEW", few)
    monkeypatch.setattr(finding, "_KEPT", few)
    monkeypatch.setattr(finding, "_RARE", few // 10)


def side(connection: duckdb.DuckDBPyConnection, label: str = "") -> Side:
    """The lake as it is now."""
    row = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    assert row
    return Side("lake", row[0], label)


def diff_of(
    connection: duckdb.DuckDBPyConnection, before: Side, key: tuple[str, ...] = ("order_id",)
) -> TableDiff:
    """What a change since did to the fact."""
    keys = {"fct_sales": key, "dim": ["id"]}
    found = compare(connection, before, side(connection), keys, SHOWN)
    return next(table for table in found.tables if table.name == "main.fct_sales")


@pytest.mark.parametrize("few", [10 * ROWS, 100], ids=["few", "many"])
@pytest.mark.parametrize("rebuilt", [False, True], ids=["changed", "rebuilt"])
@pytest.mark.parametrize("trial", range(4))
def test_random_changes(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    rebuilt: bool,
    trial: int,
) -> None:
    """Rows, values, sums, days: as plain SQL over the two states counts them.

    Whether they are few enough to be looked at one by one, or so many that sums are asked of all.
    """
    few_are(monkeypatch, few)
    chance = random.Random(f"{SEED} {trial}")
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    for _ in range(chance.randrange(1, 5)):
        low = chance.randrange(ROWS)
        some = f"order_id between {low} and {low + chance.choice([0, 30, ROWS])}"
        lake.execute(
            chance.choice(
                [
                    f"delete from fct_sales where {some} and order_id % 3 = 0",
                    f"update fct_sales set net_sales = net_sales + 1.25 where {some}",
                    f"update fct_sales set note = null, units = units * 2 where {some}",
                    f"update fct_sales set order_day = order_day + 1 where {some}",
                    f"insert into fct_sales from old where {some} and order_id not in"
                    " (select order_id from fct_sales)",
                    "insert into fct_sales select order_id + 1000000, * exclude (order_id) from old"
                    f" where {some} and order_id + 1000000 not in (select order_id from fct_sales)",
                ]
            )
        )
    if rebuilt:
        lake.execute("create temp table new as from fct_sales order by random()")
        lake.execute("create or replace table fct_sales as from new")
    assert_what_sql_says(lake, diff_of(lake, before))


def assert_what_sql_says(lake: duckdb.DuckDBPyConnection, found: TableDiff) -> None:
    """Rows, values, sums, days, customers, of the fact and of what it was before, ``old``."""

    def one(sql: str) -> object:
        row = lake.execute(sql).fetchone()
        assert row
        return row[0]

    both = "from old as o join fct_sales as n using (order_id)"
    assert found.added == one("select count(*) from fct_sales anti join old using (order_id)")
    assert found.removed == one("select count(*) from old anti join fct_sales using (order_id)")
    assert found.changed == one(
        f"select count(*) {both} where row(o.customer_id, o.order_day, o.currency, o.units,"
        " o.net_sales, o.note) is distinct from row(n.customer_id, n.order_day, n.currency,"
        " n.units, n.net_sales, n.note)"
    )
    columns = {column.name: column for column in found.columns}
    for name in ("customer_id", "order_day", "currency", "units", "net_sales", "note"):
        changed = one(f"select count(*) {both} where o.{name} is distinct from n.{name}")
        assert (columns[name].values if name in columns else 0) == changed, name
        for example in columns[name].examples if name in columns else ():
            values = lake.execute(
                f"select o.{name}::varchar, n.{name}::varchar {both} where order_id = ?",
                [int(example.key)],
            ).fetchone()
            assert (example.before, example.after) == values
    for name in ("units", "net_sales"):
        moved = one(f"select (select sum({name}) from fct_sales) - (select sum({name}) from old)")
        assert (columns[name].shift or 0 if name in columns else 0) == moved
    for name in ("units", "net_sales"):
        expected = lake.execute(
            "select coalesce(n.order_day, o.order_day) as day, coalesce(n.s, 0) - coalesce(o.s, 0)"
            f" from (select order_day, sum({name}) as s from fct_sales group by all) as n full join"
            f" (select order_day, sum({name}) as s from old group by all) as o using (order_day)"
            " where coalesce(n.s, 0) <> coalesce(o.s, 0)"
        ).fetchall()
        by_day = {
            shift.group: shift.shifts[name] for shift in found.by_day if shift.shifts.get(name)
        }
        assert by_day == {day.isoformat(): moved for day, moved in expected}
    for shift in found.by_customer:
        for name, moved in shift.shifts.items():
            where = f"where customer_id = {shift.group}"
            assert moved == one(
                f"select coalesce((select sum({name}) from fct_sales {where}), 0)"
                f" - coalesce((select sum({name}) from old {where}), 0)"
            )


@pytest.mark.parametrize(
    ("change", "joined", "reason"),
    [
        ("order_id between 1200 and 1210", 3_000, "hashes of all rows, added up"),
        ("order_id between 1200 and 1210", 0, "all rows, joined by key"),
        ("order_id % 100 = 0", 3_000, "all rows, joined by key"),
        ("order_id > 2500 or order_id % 50 = 0", 3_000, "all rows, joined by key"),
        ("order_id % 2 = 0", 3_000, "all rows, joined by key"),
    ],
    ids=["rare", "in too many buckets", "some", "more than seen", "many"],
)
def test_each_way_to_find_rows(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    joined: int,
    reason: str,
) -> None:
    """Of a table that was built anew, with rows that came, went and moved to another customer."""
    few_are(monkeypatch, 100)
    monkeypatch.setattr(finding, "_JOINED", joined)
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(
        f"update fct_sales set net_sales = net_sales - 0.25 where {change};"
        "delete from fct_sales where order_id = 2990;"
        "insert into fct_sales values (9000, 1, '2025-01-01', null, 7, 5, null);"
        "update fct_sales set customer_id = 49, note = null where order_id = 2991;"
        "create temp table new as from fct_sales order by order_id;"
        "create or replace table fct_sales as from new"
    )
    found = diff_of(lake, before)
    assert found.reason == reason
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize(
    "change",
    [
        "update fct_sales set net_sales = net_sales + 1",
        "delete from fct_sales where order_id % 2 = 0",
    ],
    ids=["written again", "deleted"],
)
def test_very_many_rows_written(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """DuckLake is not asked which, as it takes longer to say so than to compare all rows."""
    few_are(monkeypatch, 100)
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(change)
    found = diff_of(lake, before)
    assert found.reason.startswith("all rows, ")
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize("place", ["order_id >= 1500", "order_id < 1500", "order_id % 2 = 0"])
@pytest.mark.parametrize(
    "change",
    [
        "update fct_sales set net_sales = net_sales + 1 where {place}",
        "delete from fct_sales where {place}",
        "insert into fct_sales select order_id + 5000, * exclude (order_id) from fct_sales"
        " where {place}",
        "update fct_sales set order_id = order_id + 5000 where {place}",
    ],
    ids=["changed", "fewer", "more", "other keys"],
)
def test_a_glance_sees_many_rows_wherever_they_are(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, change: str, place: str
) -> None:
    """So that no other way is tried first in vain."""
    few_are(monkeypatch, 100)
    monkeypatch.setattr(finding, "_some_rows", None)
    monkeypatch.setattr(finding, "bucket_sql", None)
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(change.format(place=place))
    lake.execute("create temp table new as from fct_sales order by order_id")
    lake.execute("create or replace table fct_sales as from new")
    assert_what_sql_says(lake, diff_of(lake, before))


@pytest.mark.parametrize(
    "change",
    [
        "update fct_sales set net_sales = net_sales + customer_id, units = units + 1",
        "update fct_sales set net_sales = case when order_id % 3 > 0 then net_sales + 1 end",
        "delete from fct_sales where order_id % 2 = 0",
        "insert into fct_sales select order_id + 5000, * exclude (order_id) from fct_sales",
        "delete from fct_sales where order_id % 2 = 0; update fct_sales set units = units + 1",
    ],
    ids=["values", "values go", "fewer", "more", "fewer and values"],
)
def test_many_rows_are_read_once(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """What differs in them is counted, and added up by day and by customer, in the same pass."""
    few_are(monkeypatch, 100)
    monkeypatch.setattr(shifts, "_Sums", None)  # which asks the sides again
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(f"{change}; create temp table new as from fct_sales order by random()")
    lake.execute("create or replace table fct_sales as from new")
    found = diff_of(lake, before)
    assert found.reason == "all rows, joined by key"
    assert len(found.by_customer) == 10
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize("change", [*SOME], ids=[*SOME])
def test_some_rows_are_read_once(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """What is asked of them is kept from the join in which they are found."""
    few_are(monkeypatch, 1500)
    monkeypatch.setattr(finding, "whole_rows_sql", None)  # which reads them by their keys
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(f"{SOME[change]}; create temp table new as from fct_sales order by hash(order_id)")
    lake.execute("create or replace table fct_sales as from new")
    found = diff_of(lake, before)
    assert found.reason == "all rows, joined by key"
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize("few", [1500, 100], ids=["some", "many"])
@pytest.mark.parametrize("change", [*(SOME | KEYS)], ids=[*(SOME | KEYS)])
@pytest.mark.parametrize(
    "missed",
    [
        "delete from fct_sales where {these}",
        "insert into fct_sales select order_id * -1, * exclude (order_id) from fct_sales"
        " where {these}",
        "update fct_sales set order_id = order_id * -1, units = 60 where {these}",
        "update fct_sales set note = 'odd' where {these}",
        "update fct_sales set customer_id = 7 where {these}",
        "update fct_sales set order_day = date '2025-03-01', units = 60 where {these}",
    ],
    ids=["fewer", "more", "other keys", "notes", "customers", "days"],
)
def test_a_glance_misses_few_rows(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    change: str,
    missed: str,
) -> None:
    """They differ in another way than the rows that it sees, and are found all the same."""
    few_are(monkeypatch, few)
    monkeypatch.setattr(glance, "_ROWS", 40)
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute((SOME | KEYS)[change])
    lake.execute(missed.format(these="order_id in (101, 102, 103, 1601)"))
    # So that they lie where nobody looks, and no two tables have the same order.
    place = "order_id % 5000"
    lake.execute(f"create temp table new as from fct_sales order by {place} % 2, {place}")
    lake.execute("create or replace table fct_sales as from new")
    found = diff_of(lake, before)
    assert found.reason == "all rows, joined by key"
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize("room", [True, False], ids=["room", "no room"])
@pytest.mark.parametrize(
    "change",
    [
        "net_sales = net_sales + customer_id, units = units + 1",
        "net_sales = net_sales + 1, customer_id = customer_id // 2",
        "net_sales = net_sales + 1, order_day = order_day + 1",
        "net_sales = net_sales + 1, order_id = if(order_id = 2990, 9000, order_id),"
        " units = if(order_id = 2990, 60, units)",
        # Further than the type of net_sales can say.
        "net_sales = if(order_id = 4, 9e15, net_sales + 1)",
    ],
    ids=["values", "customers", "days", "another row", "far"],
)
@pytest.mark.parametrize("order", ["order_id", "random()"])
def test_many_rows_that_move(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    change: str,
    room: bool,
) -> None:
    """To other days, to other customers, far: sums are right, if one pass can tell them or not."""
    few_are(monkeypatch, 100)
    if not room:
        monkeypatch.setattr(finding, "_BYTES_PER_ROW", 2**60)
    lake.execute("update fct_sales set net_sales = -9e15 where order_id = 4")
    lake.execute("create or replace table fct_sales as from fct_sales order by order_id")
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(f"update fct_sales set {change}")
    lake.execute(f"create temp table new as from fct_sales order by {order}")
    lake.execute("create or replace table fct_sales as from new")
    found = diff_of(lake, before)
    assert found.changed >= 2_999
    assert_what_sql_says(lake, found)


@pytest.mark.parametrize("change", ["order_id % 200 = 150", "true"], ids=["some", "many"])
@pytest.mark.parametrize(
    ("rebuilt", "reason"),
    [
        ("select * from new order by order_id", "side by side"),
        ("select * from new order by hash(order_id)", "joined by key"),
        # These look as if they were in the same order, where that is looked at.
        (
            "select * from new order by if(order_id in (1500, 1501), 3001 - order_id, order_id)",
            "joined by key",
        ),
        (
            "select * replace (if(order_id = 700, 9000, order_id) as order_id) from new"
            " order by new.order_id",
            "joined by key",
        ),
        ("select * from new where order_id <> 700 order by order_id", "joined by key"),
    ],
    ids=["same order", "other order", "two swapped", "one replaced", "one missing"],
)
def test_rows_in_the_same_order(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    rebuilt: str,
    reason: str,
) -> None:
    """If many differ they need no join; where only some are in order, the result is that of one."""
    few_are(monkeypatch, 100)
    lake.execute("create or replace table fct_sales as from fct_sales order by order_id")
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(
        "create temp table new as select * replace"
        f" (if({change}, net_sales + 20.25 - customer_id, net_sales) as net_sales,"
        f" if({change}, null, note) as note) from old"
    )
    lake.execute(f"create or replace table fct_sales as {rebuilt}")
    found = diff_of(lake, before)
    assert found.reason.endswith(reason if change == "true" else "joined by key")
    assert_what_sql_says(lake, found)
    leaders = lake.execute(
        "select n.customer_id::varchar from (select customer_id, sum(net_sales) as s from fct_sales"
        " group by all) as n join (select customer_id, sum(net_sales) as s from old group by all)"
        " as o using (customer_id) where n.s <> o.s order by abs(n.s - o.s) desc limit 10"
    ).fetchall()
    assert {shift.group for shift in found.by_customer} == {one for (one,) in leaders}


def test_a_rare_difference_among_rows_in_the_same_order(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a column that a glance takes for unchanged, beside one that changes in every row."""
    few_are(monkeypatch, 100)
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    lake.execute(
        "create or replace table fct_sales as select * replace (net_sales + 1 as net_sales,"
        " if(order_id = 2990, 49, customer_id) as customer_id) from fct_sales"
    )
    found = diff_of(lake, before)
    assert found.reason == "all rows, side by side"
    assert_what_sql_says(lake, found)


def test_rows_in_the_same_order_in_s3(
    s3: services.S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their order is read from the files themselves, wherever these lie."""
    few_are(monkeypatch, 100)
    bucket = tmp_path.name.replace("_", "-")
    s3.client.create_bucket(Bucket=bucket)
    with duckdb.connect() as lake:
        lake.execute(f"load '{extension_file('httpfs')}'; {s3.duckdb_secret}")
        make_lake(lake, tmp_path, f"s3://{bucket}/data/")
        lake.execute("create temp table old as from fct_sales")
        before = side(lake)
        lake.execute(
            "create or replace table fct_sales as"
            " select * replace (net_sales + 1 as net_sales) from fct_sales"
        )
        found = diff_of(lake, before)
        assert found.reason == "all rows, side by side"
        assert_what_sql_says(lake, found)


@pytest.mark.parametrize("order", ["order_id", "random()"])
def test_a_key_that_names_two_rows_on_both_sides(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Its rows are not counted twice: they go together by their places, or as whole rows."""
    few_are(monkeypatch, 100)
    lake.execute(
        "create or replace table fct_sales as"
        " select * from (from fct_sales union all from fct_sales where order_id = 2500)"
        " order by order_id"
    )
    before = side(lake)
    lake.execute(
        "create temp table new as select * replace (net_sales + 1 as net_sales) from fct_sales;"
        f"create or replace table fct_sales as from new order by {order}"
    )
    found = diff_of(lake, before)
    counted = (found.key, found.added, found.removed, found.changed)
    if order == "order_id":
        assert counted == (("order_id",), 0, 0, ROWS + 1)
    else:
        assert counted == ((), ROWS + 1, ROWS + 1, 0)


@pytest.mark.parametrize("key", [("order_id",), ("currency", "order_id")])
@pytest.mark.parametrize("spread", [1, 2**40, 2**52])
@pytest.mark.parametrize(
    ("few", "order", "reason"),
    [
        (10 * ROWS, "", "hashes of all rows, added up"),
        (ROWS // 2, "", "all rows, joined by key"),
        (100, "order by hash(order_id)", "all rows, joined by key"),
        (100, "", "all rows, side by side"),
    ],
    ids=["rare", "some", "many", "in the same order"],
)
def test_keys_of_any_size(
    lake: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    key: tuple[str, ...],
    spread: int,
    few: int,
    order: str,
    reason: str,
) -> None:
    """Negative, null or far apart: rows are found wherever their keys lie, of whatever type."""
    few_are(monkeypatch, few)
    lake.execute(
        "create or replace table fct_sales as select * replace"
        f" (if(order_id = 5, null, (order_id - 1500) * {spread}) as order_id) from fct_sales"
    )
    before = side(lake)
    lake.execute(
        "create or replace table fct_sales as"
        f" select * replace (net_sales + if(units = 5, 1, 0) as net_sales) from fct_sales {order}"
    )
    found = diff_of(lake, before, key)
    assert found.reason == reason
    changed = len([order for order in range(ROWS) if order % 7 == 5])
    assert (found.added, found.removed, found.changed) == (0, 0, changed)
    assert [(one.name, one.values, one.shift) for one in found.columns] == [
        ("net_sales", changed, changed)
    ]


def test_money_that_only_moves(lake: duckdb.DuckDBPyConnection) -> None:
    """From a day to another, from a customer to another: the sum of the table says nothing."""
    before = side(lake)
    lake.execute(
        "update fct_sales set net_sales = net_sales + case order_id when 1 then 5 else -5 end"
        " where order_id in (1, 2)"
    )
    found = diff_of(lake, before)
    assert [(one.name, one.values, one.shift) for one in found.columns] == [("net_sales", 2, 0)]
    assert [(one.group, one.shifts) for one in found.by_day] == [
        ("2025-01-02", {"net_sales": 5}),
        ("2025-01-03", {"net_sales": -5}),
    ]
    assert {one.group: one.shifts["net_sales"] for one in found.by_customer} == {"1": 5, "2": -5}
    assert page(LakeDiff(before, side(lake), [found])).count("<svg") == 1


@pytest.mark.parametrize("added", [0, 2])
def test_a_rare_difference_beside_one_in_every_row(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, added: int
) -> None:
    """A glance at the first rows does not see it; and new rows add to sums that else are equal."""
    few_are(monkeypatch, 100)
    before = side(lake)
    lake.execute(
        "create or replace table fct_sales as"
        " select * replace (net_sales + 1 as net_sales, if(order_id = 2999, 'odd', note) as note)"
        f" from fct_sales order by hash(order_id);"
        "insert into fct_sales select 9000 + range, 1, date '2025-01-01', null, 7, 5, null"
        f" from range({added})"
    )
    found = diff_of(lake, before)
    assert found.reason == "all rows, joined by key"
    assert (found.added, found.removed, found.changed) == (added, 0, ROWS)
    columns = {one.name: (one.values, one.shift) for one in found.columns}
    expected = {"net_sales": (ROWS, ROWS + 5 * added), "note": (1, None)}
    assert columns == expected | ({"units": (0, 7 * added)} if added else {})
    assert [one.examples[0].after for one in found.columns if one.name == "note"] == ["odd"]


@pytest.mark.parametrize("few", [10 * ROWS, 0], ids=["few", "many"])
def test_a_time_belongs_to_its_day_in_utc(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Wherever the reader's clock is."""
    few_are(monkeypatch, few)
    lake.execute(
        "set timezone = 'America/New_York';"
        "create or replace table fct_sales as select range as order_id, 1.5::decimal(18, 2) as"
        " net_sales, timestamptz '2025-01-01 23:30:00+00' + to_hours(range::int) as ordered_at"
        " from range(2)"
    )
    before = side(lake)
    lake.execute(
        "create or replace table fct_sales as"
        " select * replace (net_sales * 2 as net_sales) from fct_sales"
    )
    days = [(one.group, one.shifts) for one in diff_of(lake, before).by_day]
    moved = {"net_sales": Decimal("1.5")}
    assert days == [("2025-01-01", moved), ("2025-01-02", moved)]


@pytest.mark.parametrize("few", [10 * ROWS, 100], ids=["few", "many"])
@pytest.mark.parametrize("order", ["order_day, currency", "random()"])
def test_a_fact_whose_key_is_a_day(
    lake: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, few: int, order: str
) -> None:
    """Its days are in no column that is compared."""
    few_are(monkeypatch, few)
    lake.execute(
        "create or replace table fct_sales as select date '2020-01-01' + (range // 3)::int as"
        " order_day, ['USD', 'EUR', null][range % 3 + 1] as currency, range::decimal(18, 2) as"
        f" net_sales from range({ROWS})"
    )
    before = side(lake)
    lake.execute(
        "create temp table new as select * replace (net_sales + if(order_day > '2020-02-01', 1, 0)"
        " as net_sales) from fct_sales;"
        f"create or replace table fct_sales as from new order by {order}"
    )
    found = diff_of(lake, before, ("order_day", "currency"))
    days = ROWS // 3 - 32
    assert (found.added, found.removed, found.changed) == (0, 0, 3 * days)
    assert [(one.name, one.values, one.shift) for one in found.columns] == [
        ("net_sales", 3 * days, 3 * days)
    ]
    assert len(found.by_day) == days
    assert found.by_day[0].group == "2020-02-02"
    assert {one.shifts["net_sales"] for one in found.by_day} == {3}


def test_the_same_is_proved(lake: duckdb.DuckDBPyConnection) -> None:
    """By its snapshots where nothing touched it, by its contents where it was built anew."""
    before = side(lake)
    lake.execute("insert into dim values (2)")
    untouched = diff_of(lake, before)
    assert (untouched.status, untouched.rows_after) == ("same", ROWS)
    assert "no snapshot after" in untouched.reason
    lake.execute(f"create or replace table fct_sales as {FACT} order by random()")
    rebuilt = diff_of(lake, before)
    assert (rebuilt.status, rebuilt.reason) == ("same", "hashes of all rows, added up")
    lake.execute("delete from fct_sales where order_id = 7")
    lake.execute("call ducklake_merge_adjacent_files('lake')")
    assert diff_of(lake, before).removed == 1


def test_columns_that_differ(lake: duckdb.DuckDBPyConnection) -> None:
    """A column that came, went, or has another type is said; its unchanged values are no change."""
    before = side(lake)
    lake.execute(
        "create temp table new as select * exclude (note), units + 1 as more from fct_sales"
    )
    lake.execute(
        "create or replace table fct_sales as select * replace (units::int as units) from new"
    )
    found = diff_of(lake, before)
    assert {change.column: (change.before, change.after) for change in found.schema} == {
        "note": ("VARCHAR", None),
        "more": (None, "BIGINT"),
        "units": ("BIGINT", "INTEGER"),
    }
    assert (found.status, found.changed, found.columns) == ("changed", 0, [])


def test_keys(lake: duckdb.DuckDBPyConnection) -> None:
    """A key of several columns, null among them; and a key that is none, which only counts rows."""
    before = side(lake)
    lake.execute("update fct_sales set net_sales = 0 where order_id in (1, 2)")
    composed = diff_of(lake, before, ("currency", "order_id"))
    assert (composed.added, composed.removed, composed.changed) == (0, 0, 2)
    assert {one.key for one in composed.columns[0].examples} == {"EUR, 1", "null, 2"}
    lake.execute("insert into fct_sales from fct_sales where order_id = 5")
    wrong = diff_of(lake, before)
    assert (wrong.key, wrong.added, wrong.removed) == ((), 3, 2)
    assert "no column is declared and found to be its key" in wrong.reason


def test_tables_that_came_and_went(lake: duckdb.DuckDBPyConnection) -> None:
    """Tables that only one side has."""
    before = side(lake, "the lake")
    lake.execute("drop table dim; create table dim_new as select 1 as id")
    found = compare(lake, before, side(lake, "branch x"), {}, {})
    assert [(table.name, table.status) for table in found.changed] == [
        ("main.dim_new", "added"),
        ("main.dim", "removed"),
    ]


def test_reports(lake: duckdb.DuckDBPyConnection) -> None:
    """Both reports name the tables, columns, days, problems; values cannot break their markup."""
    before = side(lake, "the lake")
    lake.execute("update fct_sales set note = '<script>alert(1)</script> | x', net_sales = 99")
    found = compare(lake, before, side(lake, "branch x"), KEYS_OF_TABLES, SHOWN)
    verdict = Verdict(1, ["main.fct_sales"])
    problems = [Problem("unique_fct_order_id", "Got 1 result\nsecond line")]
    text = markdown(found, verdict, problems)
    for said in (
        "branch x",
        "`main.fct_sales`",
        "`net_sales`",
        "2025-01-01",
        "NOT THE SAME",
        "second line",
    ):
        assert said in text
    assert "\\x3cscript\\x3ealert(1)\\x3c/script\\x3e \\x7c x" in text
    html = page(found, verdict, problems)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | x" in html
    assert html.count("<svg") == 1
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    nothing = LakeDiff(before, before, [])
    assert "Nothing." in markdown(nothing)


HOSTILE = (
    "@everyone [a](http://x.example) ![b](//x.example/y.png) <img src=x onerror=ran()> `|` \\| "
    "a@x.example https://x.example #1 [/red]\n```\n# head\x1b]0;x\x07\u202e"
)


def test_data_is_inert_in_reports(lake: duckdb.DuckDBPyConnection) -> None:
    """Whatever names and values are: no link, image, HTML or mention, no control of a terminal."""
    lake.execute(f'alter table fct_sales add column "{HOSTILE}" varchar')
    before = side(lake, "the lake")
    lake.execute(f'update fct_sales set "{HOSTILE}" = ?, units = 2 where order_id < 9', [HOSTILE])
    lake.execute(f'create table "{HOSTILE}" as select 1 as id')
    lake.execute("alter table fct_sales add column more struct(a int)")
    shown = {"fct_sales": {*SHOWN["fct_sales"], HOSTILE}}
    found = compare(lake, before, side(lake, "branch x"), KEYS_OF_TABLES, shown)
    verdict = Verdict(1, [HOSTILE])
    reports = (found, verdict, [Problem(HOSTILE, HOSTILE)], [HOSTILE])
    _assert_inert(markdown(*reports))
    html = page(*reports)
    assert "everyone" in html
    assert "<img" not in html
    assert "\x1b" not in html
    console = Console(file=StringIO(), width=400)
    print_report(found, console, *reports[1:])
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert told.count("@everyone") >= 6
    assert {char for char in told if not char.isprintable()} == {"\n"}


def _assert_inert(text: str) -> None:
    """Data is in code spans, in blocks of code and in elements `code` only."""
    assert text.count("@everyone") >= 6
    inert = 0
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or [token]:
            if child.type in ("code_inline", "fence"):
                inert += child.content.count("everyone")
                continue
            assert child.type not in ("link_open", "image"), child.content
            if child.type in ("html_inline", "html_block"):
                tags = set(re.findall(r"<\s*/?\s*(\w+)", child.content))
                assert tags <= {"br", "details", "summary", "code"}, child.content
                assert not re.search("everyone", re.sub("<code>.*?</code>", "", child.content))
                inert += child.content.count("everyone")
            else:
                assert "everyone" not in child.content
                assert "x.example" not in child.content
    assert inert == text.count("everyone")


def test_personal_and_unknown_columns_show_no_value(lake: duckdb.DuckDBPyConnection) -> None:
    """Only that they differ, and how often; a key that is personal is hidden too."""
    before = side(lake)
    lake.execute(
        "update fct_sales set note = nullif('new ' || note, 'new note 1'), net_sales = 99,"
        " units = 9 where order_id < 9"
    )

    def differing(key: str, *shown: str) -> TableDiff:
        now = side(lake)
        return compare(lake, before, now, {"fct_sales": [key]}, {"fct_sales": shown}).tables[0]

    found = differing("order_id", "order_id", "order_day", "net_sales")
    columns = {column.name: column for column in found.columns}
    assert columns["net_sales"].examples[0].after == "99.00"
    assert columns["net_sales"].shift
    assert columns["note"].values == 6
    assert {(one.before, one.after) for one in columns["note"].examples} == {
        ("•••", "•••"),
        ("•••", None),
    }
    assert columns["note"].examples[0].key == "1"
    assert columns["units"].shift is None
    assert {name for shift in found.by_day for name in shift.shifts} == {"net_sales"}
    assert {shift.group for shift in found.by_customer} == {"•••"}
    unknown = differing("order_id")
    assert {one.key for column in unknown.columns for one in column.examples} == {"•••"}
    assert (unknown.changed, unknown.by_day) == (9, [])
    for report in (markdown, page):
        assert "note 1" not in report(LakeDiff(before, before, [unknown]))


def test_the_page_in_a_browser(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Legible, accessible and not too wide on a phone and on a desk; a bar for each day."""
    before = side(lake, "the lake")
    lake.execute(
        "create table fct_new as select 1 as id;"
        "alter table fct_sales add column margin decimal(18, 2);"
        "update fct_sales set note = '<b>' || note, net_sales = net_sales + 1 + order_id % 7"
    )
    found = compare(lake, before, side(lake, "branch x"), KEYS_OF_TABLES, SHOWN)
    problems = [Problem("unique_fct_order_id", "Got 1 result\nsecond line")]
    report = tmp_path / "report.html"
    report.write_text(page(found, Verdict(1, ["main.fct_sales"]), problems), encoding="utf-8")
    with browser.chromium() as chromium:
        for colours in ("light", "dark"):
            opened = chromium.new_page(color_scheme=colours)
            tab = Tab(opened)
            for width in (NARROW, WIDE):
                tab.resize(width)
                tab.open(report.as_uri(), "h1")
                assert tab.faults() == [], f"{colours}, {width} px"
            bars = opened.locator("figure.chart [aria-roledescription=bar]")
            days = sum("net_sales" in shift.shifts for shift in found.tables[0].by_day)
            assert (days, bars.count()) == (30, 30)
