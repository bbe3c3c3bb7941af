"""The marts in PostgreSQL: what is published, what is written, and what is left alone."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable

import psycopg2
import pytest
import sqlalchemy

from tests.system.lake import Lake
from tests.system.scheduling import Ticks
from tests.system.serving import MARTS, Serving, publish, same
from tests.system.small_project import Shop

pytestmark = pytest.mark.slow


def test_the_shop(reference_copy: Lake, serving: Serving) -> None:
    """Every fact and dimension, without personal columns, described; and the saved queries."""
    lake = reference_copy
    lake.environment["LAKE_SERVING_URL"] = serving.url
    assert lake.command("publish", "--dry-run").code == 0
    assert serving.run("select 1 from pg_tables where schemaname = 'marts'") == []
    publish(lake)

    inspector = sqlalchemy.inspect(
        sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: serving.connect("bi"))
    )
    tables = set(inspector.get_table_names("marts"))
    facts = {
        name
        for (name,) in lake.query(
            "select table_name from duckdb_tables() where schema_name = 'main'"
            " and table_name similar to '(fct|dim)_.*'"
        )
    }
    assert facts <= tables and {"sales_by_day", "customers_by_month"} <= tables
    for table in facts:
        found = {column["name"]: column for column in inspector.get_columns(table, "marts")}
        assert same(lake, serving, table, ", ".join(found)), table
        assert all(column["comment"] for column in found.values()), table
        assert inspector.get_table_comment(table, "marts")["text"]
    sales = {
        column["name"]: column["type"] for column in inspector.get_columns("fct_sales", "marts")
    }
    assert repr(sales["net_sales"]) == "NUMERIC(precision=18, scale=2)"
    assert inspector.get_pk_constraint("fct_sales", "marts")["constrained_columns"] == ["order_id"]
    customers = {column["name"] for column in inspector.get_columns("dim_customers", "marts")}
    assert {"customer_id", "segment"} <= customers and "email" not in customers
    metrics = "orders, gross_sales, returns, net_sales, total_sales"
    assert serving.rows("sales_by_day", f"metric_time__day, currency, {metrics}") == sorted(
        lake.query(
            f"select sale_day, currency, {metrics} from fct_daily_sales where sale_day is not null"
        ),
        key=repr,
    )
    assert publish(lake) == {}


def test_only_what_changed_is_written(marts: Shop, serving: Serving) -> None:
    """Changed keys where the lake knows them; nothing where nothing changed; all with --full."""
    lake = marts.lake
    assert publish(lake) == {"dim_customers": ("created", 2), "fct_statuses": ("created", 2)}
    assert serving.rows("dim_customers") == [(7, 2), (8, 1)]
    assert publish(lake) == {}

    marts.deliver(2, "8,Bob,B.", "9,Cy,C.", stream="customers")
    assert marts.build().ok
    before, others = serving.versions("fct_statuses"), serving.versions("dim_customers")
    assert publish(lake) == {"dim_customers": ("changed", 2)}
    assert serving.rows("dim_customers") == [(7, 2), (8, 1), (9, 0)]
    assert serving.versions("fct_statuses") == before
    assert others < serving.versions("dim_customers"), "customer 7 was written again"

    assert publish(lake, "--full") == {
        "dim_customers": ("changed", 3),
        "fct_statuses": ("changed", 2),
    }
    assert "marts.dim_customers: clean" in lake.command("reconcile").output
    serving.run("drop table marts.fct_statuses")
    serving.run("update marts.dim_customers set orders = 9 where customer_id = 7")
    differs = lake.command("reconcile")
    assert differs.code == 20, differs
    assert (
        "marts.dim_customers  difference: orders: 10.00000000 published, 3.00000000 in the lake"
        in differs.output
    )
    assert "marts.fct_statuses  difference: the table is gone" in differs.output
    assert publish(lake) == {"fct_statuses": ("created", 2)}
    assert publish(lake, "--full")["dim_customers"] == ("changed", 3)
    assert same(lake, serving, "fct_statuses")


def test_columns_and_tables_come_and_go(marts: Shop, serving: Serving) -> None:
    """In place: views, rights and policies stay; what needs a column that goes is named."""
    lake = marts.lake
    publish(lake)
    marts.write("models/marts.yml", MARTS.replace("Who bought.", "Everybody who bought."))
    assert publish(lake) == {"dim_customers": ("changed", 0)}, "a description rewrites no row"
    serving.run(
        "create schema finance; create view finance.buyers as select customer_id from"
        " marts.dim_customers; create view finance.loyal as select orders from marts.dim_customers;"
        " alter table marts.dim_customers enable row level security;"
        " create policy own on marts.dim_customers to bi using (customer_id = 8)"
    )
    serving.run("revoke select on marts.fct_statuses from bi")
    serving.run("grant select (status) on marts.fct_statuses to bi")
    renamed = MARTS.replace("name: orders, description", "name: number, description")
    renamed = renamed.replace("indexes: [orders]", "indexes: [number]")
    marts.write("models/marts.yml", renamed)
    model = marts.project / "models/dim_customers.sql"
    marts.write("models/dim_customers.sql", model.read_text().replace("as orders\n", "as number\n"))
    assert marts.build().ok
    refused = lake.command("publish")
    assert refused.code == 64, refused.output
    assert "view finance.loyal depends on column orders" in refused.output
    assert serving.rows("dim_customers") == [(8, 1)]

    serving.run("drop view finance.loyal")
    assert publish(lake) == {"dim_customers": ("changed", 2)}
    assert serving.rows("dim_customers", "customer_id, number") == [(8, 1)]
    assert serving.run("select * from finance.buyers order by 1") == [(7,), (8,)]
    assert len(serving.run("select 1 from pg_indexes where tablename = 'dim_customers'")) == 2
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        serving.rows("fct_statuses")

    marts.write("models/marts.yml", renamed.partition("  - name: fct_statuses")[0])
    assert publish(lake) == {"fct_statuses": ("dropped", 0)}
    assert serving.run("select table_name from marts.published") == [("dim_customers",)]


def test_a_reader_is_not_waited_for(marts: Shop, serving: Serving) -> None:
    """Nor does it see anything but one state of all tables; it can write nothing."""
    lake = marts.lake
    publish(lake)
    reader = serving.connect("bi")
    reader.autocommit = False
    cursor = reader.cursor()
    cursor.execute("set transaction isolation level repeatable read")
    cursor.execute("select sum(orders) from marts.dim_customers")
    marts.deliver(2, "4,7,placed")
    assert marts.build().ok
    started = time.monotonic()
    assert set(publish(lake)) == {"dim_customers", "fct_statuses"}
    assert time.monotonic() - started < 30
    cursor.execute("select sum(orders) from marts.fct_statuses")
    assert cursor.fetchone() == (3,)
    reader.close()
    assert serving.rows("dim_customers") == [(7, 3), (8, 1)]
    for attempt in (
        "delete from marts.dim_customers",
        "update marts.published set code = ''",
        "create table marts.mine (a int)",
        "create table public.mine (a int)",
    ):
        with pytest.raises(psycopg2.Error):
            serving.run(f"set default_transaction_read_only = off; {attempt}", "bi")


def test_what_cannot_be_published(marts: Shop, serving: Serving) -> None:
    """One line says why, with the exit code; no password is in it."""
    lake, url = marts.lake, serving.url
    for bad, code, said in (
        ("", 64, "LAKE_SERVING_URL is not set"),
        ("mysql://publisher:secret@host/serving", 64, "no connection string that libpq knows"),
        (url.replace("secret", "wrong"), 40, "password authentication failed"),
        (url.replace(f"/{serving.name}", "/nowhere"), 40, "does not exist"),
        (f"{url}&port=1", 40, "Check the URL"),
    ):
        lake.environment["LAKE_SERVING_URL"] = bad
        done = lake.command("publish")
        assert (done.code, said in done.output) == (code, True), done.output
        assert "secret" not in done.output and "wrong" not in done.output
        assert len(done.output.strip().splitlines()) == 1
    lake.environment["LAKE_SERVING_URL"] = url
    serving.run("alter schema marts owner to postgres; revoke all on schema marts from publisher")
    done = lake.command("publish")
    assert done.code == 64 and "permission denied for schema marts" in done.output
    serving.run("alter schema marts owner to publisher")
    marts.write("models/marts.yml", MARTS.replace("[orders]", "[first_name]"))
    done = lake.command("publish")
    assert done.code == 64 and "index on first_name, which is not published" in done.output


def test_killed_at_random_moments(marts: Shop, serving: Serving) -> None:
    """All tables are of the old snapshot or all of the new one, and the next one gets there."""
    lake, chance = marts.lake, random.Random(7)
    publish(lake)
    for day in range(2, 8):
        old = (serving.rows("dim_customers"), serving.rows("fct_statuses"))
        orders = [f"{100 * day + number},{number % 5},placed" for number in range(2000)]
        marts.deliver(day, *orders)
        assert marts.build().ok
        lake.start_command("publish").kill(after=chance.uniform(0.8, 2.5))
        found = (serving.rows("dim_customers"), serving.rows("fct_statuses"))
        if found != old:
            assert same(lake, serving, "dim_customers", "customer_id, orders")
            assert same(lake, serving, "fct_statuses")
        publish(lake)
        assert same(lake, serving, "dim_customers", "customer_id, orders")
        assert same(lake, serving, "fct_statuses")


def test_a_tick_publishes(new_shop: Callable[..., Shop], serving: Serving) -> None:
    """Last of all, also in a new pod; what fails there is said, and fails nothing. The lake's own
    catalog is in PostgreSQL too, with another password."""
    marts = new_shop("postgres")
    marts.write("models/marts.yml", MARTS)
    marts.lake.environment |= serving.variables
    marts.deliver(1, "1,7,placed", "2,7,placed", "3,8,shipped")
    marts.deliver(1, "7,Ann,A.", "8,Bo,B.", stream="customers")
    ticks = Ticks(marts.lake)
    serving.run("alter role publisher connection limit 0")
    done = ticks.run()
    assert done.code == 0 and done.says("Not published: The database of LAKE_SERVING_URL"), done
    serving.run("alter role publisher connection limit 5")
    shutil.rmtree(marts.lake.target)
    done = ticks.run()
    assert done.code == 0 and done.says("Published: 2 tables, 4 rows written."), done
    assert not ticks.run().says("Published")

    marts.deliver(2, "4,7,placed")
    assert ticks.run().says("Published: 2 tables")
    assert same(marts.lake, serving, "fct_statuses")
    marts.write("tests/nothing.sql", "select * from {{ ref('int_orders') }} where order_id = 5")
    marts.deliver(3, "5,7,placed")
    ticks.run(code=20)
    assert serving.rows("dim_customers") == [(7, 3), (8, 1)], "of a build that failed"
