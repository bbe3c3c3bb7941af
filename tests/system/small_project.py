"""A project of six models over two streams: for tests of the engine, not of the shop's models.

    shop.deliver(1, "1,7,placed", "2,7,placed")
    assert shop.build().ok
    assert shop.tables() == shop.truth()

Its lake is built by the project's own macros, so all that the engine does is the same; a build
takes a few seconds, and what the tables have to be is a few lines of Python.
"""

from __future__ import annotations

import csv
import random
import shutil
from collections import Counter
from pathlib import Path

import yaml

from tests.system.dbt_process import PROJECT
from tests.system.lake import Build, Lake

DAYS = 8
BEGUN = 4  # so many days have been fed in a lake that is copied

SOURCES = """\
sources:
  - name: jaffle_shop
    config: {meta: {external_location: "landed('{schema}', '{name}')"}}
    tables:
      - name: orders
        config: &feeder
          meta: {feeder: {sync_mode: append, primary_key: id, airbyte: false}}
          freshness: {warn_after: {count: 30, period: day}}
        columns:
          - {name: id, data_type: bigint}
          - {name: user_id, data_type: bigint}
          - {name: status, data_type: varchar}
      - name: customers
        config: *feeder
        columns:
          - {name: id, data_type: bigint}
          - {name: first_name, data_type: varchar}
          - {name: last_name, data_type: varchar}
"""
FEED = """\
def model(dbt, session):
    dbt.config(materialized="feed")
    return dbt.source("jaffle_shop", "{}")
"""

MODELS = {
    "models/landing/sources.yml": SOURCES,
    "models/landing/stg_jaffle_shop__orders.py": FEED.format("orders"),
    "models/landing/stg_jaffle_shop__customers.py": FEED.format("customers"),
    "models/int_orders.sql": """\
{{ config(unique_key='order_id') }}

select id as order_id, user_id as customer_id, status
from {{ follow(ref('stg_jaffle_shop__orders'), 'id') }}
qualify row_number() over (partition by id order by _source_file desc, _source_row desc) = 1
""",
    "models/int_customers.sql": """\
{{ config(unique_key='customer_id') }}

select id as customer_id, first_name
from {{ follow(ref('stg_jaffle_shop__customers'), 'id') }}
qualify row_number() over (partition by id order by _source_file desc, _source_row desc) = 1
""",
    "models/fct_customers.sql": """\
select customer_id, count(*) as orders from {{ ref('int_orders') }} group by customer_id
""",
    "models/fct_statuses.sql": """\
select status, count(*) as orders from {{ ref('int_orders') }} group by status
""",
    "models/fct_customer_statuses.sql": """\
{{ config(unique_key=['customer_id', 'status']) }}

select customer_id, status, count(*) as orders
from {{ follow(ref('int_orders'), ['customer_id', 'status']) }}
group by customer_id, status
""",
    "models/dim_customers.sql": """\
{{ config(unique_key='customer_id') }}

select customers.customer_id, customers.first_name, coalesce(facts.orders, 0) as orders
from {{ follow(ref('int_customers'), 'customer_id') }} as customers
left join {{ follow(ref('fct_customers'), 'customer_id') }} as facts using (customer_id)
""",
    "models/tests.yml": """\
models:
  - name: int_orders
    columns:
      - name: order_id
        data_tests: [unique]
""",
    "tests/nothing_is_returned.sql": """\
{{ config(severity='warn') }}
select * from {{ ref('int_orders') }} where status = 'returned'
""",
    "tests/time_goes_on.sql": "select 1 from {{ ref('int_orders') }} where now() < '2020-01-01'\n",
}
TABLES = (
    *("int_orders", "int_customers", "fct_customers", "fct_statuses", "fct_customer_statuses"),
    "dim_customers",
)
COLUMNS = {"orders": "id,user_id,status", "customers": "id,first_name,last_name"}

Rows = list[tuple[object, ...]]


def make_project(folder: Path) -> None:
    """Write the project: the engine as a project that reads its folders in place has it."""
    engine = yaml.safe_load((PROJECT / "engine/dbt_project.yml").read_text())
    project = {
        "name": "lotus_lake",
        "profile": "lotus_lake",
        "flags": {"send_anonymous_usage_stats": False},
        "macro-paths": ["macros", "engine"],
        **{hooks: engine[hooks] for hooks in ("on-run-start", "on-run-end")},
        "models": {
            "lotus_lake": {
                "+materialized": "lake_table",
                "landing": {"+schema": "staging", "+full_refresh": False},
                "meta": {"+materialized": "lake_view"},
            }
        },
    }
    for name, text in MODELS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(project))
    (folder / "macros").mkdir()
    (folder / "engine").symlink_to(PROJECT / "engine/macros")
    for name in ("generate_schema_name.sql", "unchanged.sql"):
        (folder / "macros" / name).symlink_to(PROJECT / "macros/project" / name)


def path_of(stream: str, day: int, part: int = 0) -> str:
    """Where a file lands; the greatest name has the truth."""
    return f"jaffle_shop/{stream}/year=2024/month=01/day={day:02}/part_{part:02}.csv"


def history(seed: int) -> dict[str, str]:
    """Eight days of orders and customers, new ones and changed ones: files by their paths."""
    chance = random.Random(seed)
    files: dict[str, str] = {}
    for day in range(1, DAYS + 1):
        for part in range(2):
            first = 100 * day + 50 * part
            numbers = [*range(first, first + 30), *chance.sample(range(100, first + 1), 1)]
            if day > 1:
                numbers += [100 * chance.randrange(1, day) + chance.randrange(30) for _ in range(9)]
            orders = [
                f"{number},{chance.randrange(12 * day)},{chance.choice(('placed', 'shipped'))}"
                for number in numbers
            ]
            customers = [
                f"{chance.randrange(12 * day)},Name{chance.randrange(99)},X." for _ in range(8)
            ]
            for stream, rows in (("orders", orders), ("customers", customers)):
                files[path_of(stream, day, part)] = "\n".join([COLUMNS[stream], *rows, ""])
    return files


class Shop:
    """A lake of the small project.

    Args:
        lake: The lake.
        project: The project's folder, which others use too until ``write``.
    """

    def __init__(self, lake: Lake, project: Path) -> None:
        self.lake = lake
        self.project = project
        lake.environment["DBT_PROJECT_DIR"] = str(project)
        lake.environment["DBT_PROFILES_DIR"] = str(PROJECT)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project, in a copy that is this lake's own."""
        own = self.lake.home / "project"
        if self.project != own:
            shutil.copytree(self.project, own, symlinks=True)
            parsed = self.lake.home / "parsed"
            if self.lake.parsed:
                shutil.copytree(self.lake.parsed, parsed)
                self.lake.parsed = parsed
            self.project = own
            self.lake.environment["DBT_PROJECT_DIR"] = str(own)
        path = own / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def add_meta(self) -> None:
        """Have the real project's models of the runs, which the site shows."""
        folder = PROJECT / "engine/models/meta"
        for file in (*folder.glob("*.sql"), folder / "_meta__sources.yml", folder / "docs.md"):
            self.write(f"models/meta/{file.name}", file.read_text())

    def land(self, path: str, content: str | bytes) -> Path:
        """Let a file land, which appears whole."""
        file = self.lake.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        arriving = file.with_name(".arriving")
        arriving.write_bytes(content.encode() if isinstance(content, str) else content)
        arriving.replace(file)
        return file

    def deliver(self, day: int, *rows: str, stream: str = "orders", part: int = 0) -> str:
        """Let a file land, of orders (id, customer and status) unless told otherwise; its path."""
        path = path_of(stream, day, part)
        self.land(path, "\n".join([COLUMNS[stream], *rows, ""]))
        return path

    def deliver_days(self, first: int, last: int, seed: int) -> list[str]:
        """Let some days of the history land; the files' paths."""
        files = {
            path: text
            for path, text in history(seed).items()
            if first <= int(path.partition("day=")[2][:2]) <= last
        }
        for path, text in files.items():
            self.land(path, text)
        return list(files)

    def build(self, *arguments: str) -> Build:
        """Build, and forget the log of what was before."""
        (self.lake.logs / "dbt.log").unlink(missing_ok=True)
        return self.lake.build(*arguments)

    def logged(self) -> str:
        """What dbt logged in the last build."""
        return (self.lake.logs / "dbt.log").read_text()

    def changed(self, table: str, since: int) -> Rows:
        """Rows that came or went after a snapshot."""
        return self.lake.query(
            "select change_type, * exclude (snapshot_id, rowid, change_type)"
            f" from ducklake_table_changes('lakehouse', 'main', '{table}', {since + 1},"
            f" {self.lake.snapshot()}) order by all"
        )

    def tables(self) -> dict[str, Rows]:
        """Rows of every model, in order."""
        with self.lake.connection() as connection:
            return {
                name: connection.execute(f"from main.{name} order by all").fetchall()
                for name in TABLES
            }

    def truth(self, landing: Path | None = None) -> dict[str, Rows]:
        """The same, computed from the files that the ledger calls loaded.

        Args:
            landing: A folder with these files, where the lake's own has them no more.
        """
        newest: dict[str, dict[int, list[str]]] = {"orders": {}, "customers": {}}
        for path in sorted(self.lake.loaded()):
            stream = newest[path.split("/")[1]]
            with open((landing or self.lake.landing) / path) as file:
                stream |= {int(row[0]): row for row in list(csv.reader(file))[1:]}
        orders = [(key, int(row[1]), row[2]) for key, row in newest["orders"].items()]
        customers = [(key, row[1]) for key, row in newest["customers"].items()]
        of_customers = Counter(customer for _, customer, _ in orders)
        statuses = Counter(status for *_, status in orders)
        of_both = Counter((customer, status) for _, customer, status in orders)
        return {
            "int_orders": sorted(orders),
            "int_customers": sorted(customers),
            "fct_customers": sorted(of_customers.items()),
            "fct_statuses": sorted(statuses.items()),
            "fct_customer_statuses": sorted((*key, count) for key, count in of_both.items()),
            "dim_customers": sorted((key, name, of_customers[key]) for key, name in customers),
        }

    def assert_right(self) -> None:
        """No row is there twice or missing, and every model has the rows that it has to have."""
        assert not self.lake.wrong_counts()
        assert self.tables() == self.truth()

    def assert_whole(self) -> None:
        """It is right, and all that landed is fed."""
        self.assert_right()
        landed = {
            str(path.relative_to(self.lake.landing)) for path in self.lake.landing.rglob("*.csv")
        }
        assert set(self.lake.loaded()) == landed
        assert not self.lake.backlog()
