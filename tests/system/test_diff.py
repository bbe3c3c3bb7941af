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
from lotus_lake.diff.compare import compare
from lotus_lake.diff.report import markdown, page, print_report
from lotus_lake.diff.results import LakeDiff, Problem, TableDiff
from lotus_lake.diff.sides import Side
from tests.system import browser
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
# The columns whose values a diff may show.
SHOWN = {"customer_id", "order_day", "ordered_at", "currency", "units", "net_sales", "note"}
SHOWN |= {"order_id", "small"}

HOSTILE = (
    "@everyone [a](http://x.example) ![b](//x.example/y.png) <img src=x onerror=ran()> `|` \\| "
    "a@x.example https://x.example #1 [/red]\n```\n# head\x1b]0;x\x07\u202e"
)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake with one fact."""
    with duckdb.connect() as connection:
        for name in ("sqlite_scanner", "ducklake"):
            connection.execute(f"load '{extension_file(name)}'")
        connection.execute(
            f"attach 'ducklake:sqlite:{tmp_path}/c.sqlite' as lake (data_path '{tmp_path}/data/');"
            "call lake.set_option('data_inlining_row_limit', 0); use lake;"
            f"create table fct_sales as {FACT}; create table dim as select 1 as id"
        )
        yield connection


def side(connection: duckdb.DuckDBPyConnection, label: str = "") -> Side:
    """The lake as it is now."""
    row = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    assert row
    return Side("lake", row[0], label)


def diff_of(
    connection: duckdb.DuckDBPyConnection, before: Side, *key: str, shown: set[str] = SHOWN
) -> TableDiff:
    """What a change since did to the fact."""
    keys = {"fct_sales": key or ("order_id",)}
    diff = compare(connection, before, side(connection), keys, {"fct_sales": shown}, ["fct_sales"])
    return diff.tables[0]


@pytest.mark.parametrize("rebuilt", [False, True], ids=["changed", "rebuilt"])
@pytest.mark.parametrize("trial", range(3))
def test_random_changes(lake: duckdb.DuckDBPyConnection, rebuilt: bool, trial: int) -> None:
    """Rows, values, sums, days, customers: as plain SQL over the two states counts them."""
    chance = random.Random(f"{SEED} {trial}")
    lake.execute("create temp table old as from fct_sales")
    before = side(lake)
    for _ in range(chance.randrange(1, 5)):
        low = chance.randrange(ROWS)
        where = f"order_id between {low} and {low + chance.choice([0, 30, ROWS])}"
        new = "(from old where order_id + {} not in (select order_id from fct_sales))"
        lake.execute(
            chance.choice(
                [
                    f"delete from fct_sales where {where} and order_id % 3 = 0",
                    f"update fct_sales set net_sales = net_sales + 1.25 where {where}",
                    f"update fct_sales set note = null, units = units * 2 where {where}",
                    f"update fct_sales set order_day = order_day + 1 where {where}",
                    f"update fct_sales set customer_id = customer_id // 2 where {where}",
                    f"insert into fct_sales from {new.format(0)} where {where}",
                    "insert into fct_sales select * replace (order_id + 1000000 as order_id)"
                    f" from {new.format(1000000)} where {where}",
                ]
            )
        )
    if rebuilt:
        lake.execute("create temp table new as from fct_sales order by random()")
        lake.execute("create or replace table fct_sales as from new")
    assert_what_sql_says(lake, diff_of(lake, before))


def assert_what_sql_says(lake: duckdb.DuckDBPyConnection, table: TableDiff) -> None:
    """Of the fact, and of what it was before, ``old``."""

    def value(sql: str) -> object:
        row = lake.execute(sql).fetchone()
        assert row
        return row[0]

    both = "from old as o join fct_sales as n using (order_id)"
    names = ("customer_id", "order_day", "currency", "units", "net_sales", "note")
    differ = [f"o.{name} is distinct from n.{name}" for name in names]
    assert table.added == value("select count(*) from fct_sales anti join old using (order_id)")
    assert table.removed == value("select count(*) from old anti join fct_sales using (order_id)")
    assert table.changed == value(f"select count(*) {both} where {' or '.join(differ)}")
    columns = {column.name: column for column in table.columns}
    for name, differs in zip(names, differ, strict=True):
        changed = value(f"select count(*) {both} where {differs}")
        assert (columns[name].values if name in columns else 0) == changed, name
        examples = columns[name].examples if name in columns else []
        assert len(examples) == min(5, int(str(changed)))
        for example in examples:
            key = example.partition(":")[0]
            text = f"concat(coalesce(o.{name}::varchar, 'null'), ' → ', "
            text += f"coalesce(n.{name}::varchar, 'null'))"
            assert example == f"{key}: {value(f'select {text} {both} where order_id = {key}')}"
    for name in ("units", "net_sales"):
        moved = value(f"select (select sum({name}) from fct_sales) - (select sum({name}) from old)")
        assert (columns[name].delta or 0 if name in columns else 0) == moved
        for group, deltas in (("order_day", table.by_day), ("customer_id", table.by_group)):
            by_group = dict(
                lake.execute(
                    f"select coalesce(n.g, o.g)::varchar, coalesce(n.s, 0) - coalesce(o.s, 0) as d"
                    f" from (select {group} as g, sum({name}) as s from fct_sales group by 1) as n"
                    f" full join (select {group} as g, sum({name}) as s from old group by 1) as o"
                    " using (g) where d <> 0"
                ).fetchall()
            )
            told = {delta.group: delta.sums[name] for delta in deltas if delta.sums.get(name)}
            if group == "order_day" or len(by_group) < 10:
                assert told == by_group
            else:
                assert told.items() <= by_group.items()
                assert len(deltas) == 10


def test_customers_that_changed_most(lake: duckdb.DuckDBPyConnection) -> None:
    """Largest first, by whichever sum."""
    before = side(lake)
    lake.execute("update fct_sales set net_sales = net_sales + customer_id, units = 0")
    groups = [delta.group for delta in diff_of(lake, before).by_group]
    assert groups == [str(customer) for customer in range(49, 39, -1)]


def test_values_that_move_far(lake: duckdb.DuckDBPyConnection) -> None:
    """Further than their types can say."""
    lake.execute("alter table fct_sales add column small tinyint")
    lake.execute("update fct_sales set net_sales = -9e15, small = -128 where order_id = 4")
    before = side(lake)
    lake.execute("update fct_sales set net_sales = 9e15, small = 127 where order_id = 4")
    deltas = {column.name: column.delta for column in diff_of(lake, before).columns}
    assert deltas == {"net_sales": Decimal("18e15"), "small": 255}


def test_a_time_belongs_to_its_day_in_utc(lake: duckdb.DuckDBPyConnection) -> None:
    """Wherever the reader's clock is."""
    lake.execute(
        "set timezone = 'America/New_York';"
        "create or replace table fct_sales as select range as order_id, 1.5::decimal(18, 2) as"
        " net_sales, timestamptz '2025-01-01 23:30:00+00' + to_hours(range::int) as ordered_at"
        " from range(2)"
    )
    before = side(lake)
    lake.execute("update fct_sales set net_sales = net_sales * 2")
    days = [(one.group, one.sums) for one in diff_of(lake, before).by_day]
    moved = {"net_sales": Decimal("1.5")}
    assert days == [("2025-01-01", moved), ("2025-01-02", moved)]


def test_keys(lake: duckdb.DuckDBPyConnection) -> None:
    """Of several columns, null and the day among them; a key that names a row twice is none."""
    before = side(lake)
    lake.execute("update fct_sales set net_sales = 0 where order_id in (1, 2)")
    composed = diff_of(lake, before, "currency", "order_id")
    assert (composed.added, composed.removed, composed.changed) == (0, 0, 2)
    assert composed.columns[0].examples == ["null, 2: 0.50 → 0.00", "EUR, 1: 0.25 → 0.00"]
    by_day = diff_of(lake, before, "order_day", "order_id")
    assert [delta.group for delta in by_day.by_day] == ["2025-01-02", "2025-01-03"]
    lake.execute("insert into fct_sales from fct_sales where order_id = 5")
    repeated = diff_of(lake, before)
    assert (repeated.key, repeated.added, repeated.removed) == ((), 3, 2)
    assert "no column is declared and found to be its key" in repeated.reason


def test_rows_without_a_key(lake: duckdb.DuckDBPyConnection) -> None:
    """As a multiset: a row that is there twice more was added twice, in whatever order; and a key
    that repeats itself on both sides multiplies nothing."""
    lake.execute("insert into fct_sales from fct_sales where order_id in (5, 6, 6)")
    before = side(lake)
    lake.execute("insert into fct_sales from fct_sales where order_id = 5")
    lake.execute("delete from fct_sales where order_id = 6")
    for key in ("order_id", "no_such_column"):
        table = diff_of(lake, before, key)
        assert (table.key, table.added, table.removed, table.changed) == ((), 2, 2, 0)


@pytest.mark.nightly
def test_more_rows_than_memory(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """They are spilled to disk."""
    rows = 1_000_000
    big = FACT.replace(f"range({ROWS})", f"range({rows})")
    lake.execute(f"create or replace table fct_sales as {big}")
    before = side(lake)
    lake.execute(
        f"create or replace table fct_sales as select * replace (-net_sales as net_sales,"
        f" note || '!' as note, units + 1 as units) from ({big})"
    )
    lake.execute(f"set temp_directory = '{tmp_path}/spilled'; set memory_limit = '200MB'")
    table = diff_of(lake, before)
    assert {column.name: column.values for column in table.columns} == {
        "units": rows,
        "net_sales": rows - rows // 100,
        "note": rows - rows // 4,
    }


def test_the_same(lake: duckdb.DuckDBPyConnection) -> None:
    """Known by its snapshots where nothing touched it, by its rows where it was built again."""
    before = side(lake)
    lake.execute("insert into dim values (2)")
    untouched = diff_of(lake, before)
    assert (untouched.status, untouched.rows_after) == ("same", ROWS)
    assert "no snapshot after" in untouched.reason
    lake.execute(f"create or replace table fct_sales as {FACT} order by random()")
    rebuilt = diff_of(lake, before)
    assert (rebuilt.status, rebuilt.reason) == ("same", "all rows, joined by key")
    lake.execute("delete from fct_sales where order_id = 7")
    lake.execute("call ducklake_merge_adjacent_files('lake')")
    assert diff_of(lake, before).removed == 1


def test_columns_that_differ(lake: duckdb.DuckDBPyConnection) -> None:
    """A column that came, went, or has another type is said; its unchanged values are no change,
    and one that no longer reads as before is one."""
    before = side(lake)
    lake.execute(
        "create temp table new as select * exclude (note) replace (units::int as units,"
        " net_sales::double as net_sales), units + 1 as more from fct_sales"
    )
    lake.execute("create or replace table fct_sales as from new")
    table = diff_of(lake, before)
    assert table.schema == [
        "+more BIGINT",
        "-note",
        "units: BIGINT → INTEGER",
        "net_sales: DECIMAL(18,2) → DOUBLE",
    ]
    assert (table.status, table.changed, table.columns) == ("changed", 0, [])
    lake.execute(
        "create or replace table fct_sales as"
        " select * replace (try_cast(currency as int) as currency) from new"
    )
    assert [(one.name, one.values) for one in diff_of(lake, before).columns] == [
        ("currency", ROWS - ROWS // 3)
    ]


def test_new_columns(lake: duckdb.DuckDBPyConnection) -> None:
    """Nulls, distinct values, range and the most frequent values; of a personal or unknown column
    only counts. Every report shows them, and folds the tables that are the same."""
    before = side(lake, "the lake")
    lake.execute(
        "create or replace table fct_sales as select *, units - 3 as margin, note || '' as note_2,"
        ' if(order_id = 7, null, order_id % 2) as "e""mail", {\'a\': units} as nested,'
        f" null::date as empty from ({FACT})"
    )
    shown = {"fct_sales": SHOWN | {"margin", "empty", "note_2"}}
    diff = compare(lake, before, side(lake), {"fct_sales": ["order_id"]}, shown)
    (table,) = diff.changed
    told = {new.name: (new.nulls, new.distinct, new.range) for new in table.new_columns}
    assert told == {
        "margin": (0, 7, "-3 … 3"),
        "note_2": (ROWS // 4, ROWS * 3 // 4, "note 1 … note 999"),
        'e"mail': (1, 2, "•••"),
        "nested": (0, 7, "•••"),
        "empty": (ROWS, 0, ""),
    }
    examples = {new.name: new.examples for new in table.new_columns}
    assert examples.pop("margin") == [
        str(margin)
        for (margin,) in lake.execute(
            "select margin from fct_sales group by 1 order by count(*) desc, 1 limit 5"
        ).fetchall()
    ]
    assert examples.pop("note_2") == ["note 1", "note 10", "note 1001", "note 1002", "note 1003"]
    assert examples == {'e"mail': [], "nested": [], "empty": []}
    console = Console(file=StringIO(), width=200)
    print_report(diff, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"note_2 +750 +2,250 +note 1 … note 999 +note 1\b", printed)
    assert "1 of 2 tables differs, 1 the same." in printed
    cells = [
        "`note_2`",
        "750",
        "2,250",
        "`note 1 … note 999`",
        "`note 1`<br>`note 10`<br>`note 1001`",
    ]
    assert f"| {' | '.join(cells)} |" in markdown(diff)
    assert "main.dim" not in printed + markdown(diff)
    html = page(diff)
    assert '<td class="n">2,250</td><td>note 1 … note 999</td><td>note 1<br>note 10<br>' in html
    folded = html.partition("<details>")[2].partition("</details>")[0]
    assert folded.startswith("<summary>The same: 1 of 2</summary>")
    assert "main.dim" in folded and "main.dim" not in html.replace(folded, "")


def test_tables_that_came_and_went(lake: duckdb.DuckDBPyConnection) -> None:
    """Tables that only one side has."""
    before = side(lake, "the lake")
    lake.execute("drop table dim; create table dim_new as select 1 as id")
    diff = compare(lake, before, side(lake, "branch x"), {}, {})
    assert [(table.name, table.status) for table in diff.changed] == [
        ("main.dim_new", "added"),
        ("main.dim", "removed"),
    ]


def told_of(
    lake: duckdb.DuckDBPyConnection, before: Side, name: str = "a", message: str = "1\nline 2"
) -> LakeDiff:
    """A report of everything: differences, a failed test, an unbuilt model, a full refresh."""
    shown = {"fct_sales": {*SHOWN, HOSTILE, f"{HOSTILE}2", f"{HOSTILE}3"}}
    diff = compare(lake, before, side(lake, "branch x"), {"fct_sales": ["order_id"]}, shown)
    diff.full_refresh = LakeDiff(before, before, [TableDiff(name, status="changed")])
    diff.unbuilt = [name]
    diff.problems = [Problem(name, message)]
    return diff


def test_reports(lake: duckdb.DuckDBPyConnection) -> None:
    """Both reports name the tables, columns, days, problems; values cannot break their markup."""
    before = side(lake, "the lake")
    lake.execute("update fct_sales set note = '<script>alert(1)</script> | x', net_sales = 99")
    diff = told_of(lake, before)
    text = markdown(diff)
    for said in ("branch x", "`main.fct_sales`", "| `net_sales` | 3,000 |", "2025-01-01", "line 2"):
        assert said in text
    assert "NOT THE SAME after a full refresh" in text
    assert "10 of 30." in text
    assert "\\x3cscript\\x3ealert(1)\\x3c/script\\x3e \\x7c x" in text
    html = page(diff)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | x" in html
    assert html.count("<svg") == 1
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    assert "Nothing." in markdown(LakeDiff(before, before, []))


def test_data_is_inert_in_reports(lake: duckdb.DuckDBPyConnection) -> None:
    """Whatever names and values are: no link, image, HTML or mention, no control of a terminal."""
    lake.execute(f'alter table fct_sales add column "{HOSTILE}" varchar')
    lake.execute(f'alter table fct_sales add column "{HOSTILE}2" int')
    before = side(lake, "the lake")
    lake.execute(
        f'update fct_sales set "{HOSTILE}" = ?, "{HOSTILE}2" = 1 where order_id < 9', [HOSTILE]
    )
    lake.execute(f'create table "{HOSTILE}" as select 1 as id')
    lake.execute("alter table fct_sales add column more struct(a int)")
    lake.execute(f'alter table fct_sales add column "{HOSTILE}3" varchar')
    lake.execute(f'update fct_sales set "{HOSTILE}3" = ?', [HOSTILE])
    diff = told_of(lake, before, HOSTILE, HOSTILE)
    _assert_inert(markdown(diff))
    html = page(diff)
    assert "everyone" in html
    assert "<img" not in html
    assert "\x1b" not in html
    console = Console(file=StringIO(), width=400)
    print_report(diff, console)
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
    """Only that they differ, and how often; a key, a customer or a day that is personal is hidden
    too."""
    before = side(lake)
    lake.execute(
        "update fct_sales set note = nullif('new ' || note, 'new note 1'), net_sales = 99,"
        " units = 9 where order_id < 9"
    )
    table = diff_of(lake, before, shown={"order_id", "order_day", "net_sales"})
    columns = {column.name: column for column in table.columns}
    assert columns["net_sales"].examples[0].endswith("→ 99.00")
    assert columns["net_sales"].delta
    assert columns["note"].values == 6
    assert columns["note"].examples[:2] == ["1: ••• → null", "2: ••• → •••"]
    assert (columns["units"].values, columns["units"].delta) == (9, None)
    assert {name for delta in table.by_day for name in delta.sums} == {"net_sales"}
    assert {delta.group for delta in table.by_group} == {"•••"}
    assert diff_of(lake, before, shown={"order_id", "net_sales"}).by_day == []
    unknown = diff_of(lake, before, shown=set())
    assert {example[:6] for column in unknown.columns for example in column.examples} == {"•••: •"}
    assert (unknown.changed, unknown.by_day, unknown.by_group) == (9, [], [])
    for report in (markdown, page):
        text = report(LakeDiff(before, before, [unknown]))
        assert "note 1" not in text
        assert "99" not in text.partition("<section>")[2]


@pytest.mark.nightly
def test_the_page_in_a_browser(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Legible, accessible and not too wide on a phone and on a desk; a bar for each day."""
    before = side(lake, "the lake")
    lake.execute(
        "create table fct_new as select 1 as id;"
        "alter table fct_sales add column margin decimal(18, 2);"
        "update fct_sales set note = '<b>' || note, net_sales = net_sales + 1 + order_id % 7"
    )
    report = tmp_path / "report.html"
    report.write_text(page(told_of(lake, before)), encoding="utf-8")
    with browser.chromium() as chromium:
        for colours in ("light", "dark"):
            opened = chromium.new_page(color_scheme=colours)
            tab = Tab(opened)
            for width in (NARROW, WIDE):
                tab.resize(width)
                tab.open(report.as_uri(), "h1")
                assert tab.faults() == [], f"{colours}, {width} px"
            assert opened.locator("figure.chart [aria-roledescription=bar]").count() == 30
