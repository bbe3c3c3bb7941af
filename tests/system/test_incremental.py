"""How models and tests follow their inputs, on the small project."""

from __future__ import annotations

import re

from tests.system.small_project import MODELS, Shop


def test_only_differing_rows_are_written(shop: Shop) -> None:
    """By its key or whole, a model writes what became another, and its readers see only that."""
    before = shop.lake.snapshot()
    shop.deliver(2, "2,7,shipped", "3,8,shipped")
    assert shop.build().ok
    assert re.search("int_orders: keys, stg_jaffle_shop__orders changed", shop.logged())
    assert re.search("fct_statuses: whole, int_orders changed", shop.logged())
    assert shop.changed("int_orders", before) == [
        ("delete", 2, 7, "placed"),
        ("insert", 2, 7, "shipped"),
    ]
    assert shop.changed("fct_customers", before) == []
    assert shop.changed("fct_statuses", before) == [
        ("delete", "placed", 2),
        ("delete", "shipped", 1),
        ("insert", "placed", 1),
        ("insert", "shipped", 2),
    ]


def test_a_key_of_several_columns(shop: Shop) -> None:
    """Only its keys are computed again, those with a null in them too."""
    shop.deliver(2, "4,,placed", "5,,placed")
    assert shop.build().ok
    before = shop.lake.snapshot()
    shop.deliver(3, "2,7,shipped", "5,,shipped")
    assert shop.build().ok
    assert "fct_customer_statuses: keys, int_orders changed" in shop.logged()
    assert shop.changed("fct_customer_statuses", before) == [
        ("delete", 7, "placed", 2),
        ("delete", None, "placed", 2),
        ("insert", 7, "placed", 1),
        ("insert", 7, "shipped", 1),
        ("insert", None, "placed", 1),
        ("insert", None, "shipped", 1),
    ]


def test_the_newest_version_by_several_columns(shop: Shop) -> None:
    """Of files without Airbyte too: the row that landed last, part_10 after part_9."""
    sources = "models/landing/sources.yml"
    feeder = "{meta: {feeder: {sync_mode: append, primary_key: id, airbyte: false}}}"
    declared = MODELS[sources].replace("*feeder", feeder)
    shop.write(sources, declared.replace("primary_key: id", "primary_key: [id, user_id]", 1))
    shop.write(
        "models/int_orders.sql",
        "{{ config(unique_key=['order_id', 'customer_id']) }}"
        "select id as order_id, user_id as customer_id, status"
        " from ({{ newest_of('jaffle_shop', 'orders') }})",
    )
    shop.deliver(2, "4,8,placed", "4,9,placed")
    assert shop.build("--exclude", "unique_int_orders_order_id").ok
    before = shop.lake.snapshot()
    shop.deliver(3, "4,8,shipped", part=10)
    shop.deliver(3, "4,8,returned", "5,,placed", part=9)
    shop.deliver(3, "4,8,cancelled", "1,7,placed", part=8)
    assert shop.build("--exclude", "unique_int_orders_order_id").ok
    assert "int_orders: keys, stg_jaffle_shop__orders changed" in shop.logged()
    assert shop.changed("int_orders", before) == [
        ("delete", 4, 8, "placed"),
        ("insert", 4, 8, "shipped"),
    ]
    (reason,) = shop.lake.query("select reason from meta.quarantine")
    assert reason == ("row 1, column user_id has no value",)


def test_equal_rows_of_a_model_without_a_key(shop: Shop) -> None:
    """Rows that come twice stay as often as they are."""
    shop.write("models/fct_statuses.sql", "select status from {{ ref('int_orders') }}")
    assert shop.build().ok
    shop.deliver(2, "4,9,placed", "3,8,placed")
    assert shop.build().ok
    rows = shop.lake.query("select status, count(*) from fct_statuses group by status")
    assert rows == [("placed", 4)]


def test_an_input_that_is_read_in_both_ways(shop: Shop) -> None:
    """An input that is followed and also read by plain ref computes the model whole."""
    shop.write(
        "models/fct_statuses.sql",
        "{{ config(unique_key='status') }}"
        "select status, count(*) as orders, (select count(*) from {{ ref('int_orders') }}) as total"
        " from {{ follow(ref('int_orders'), 'status') }} group by status",
    )
    assert shop.build().ok
    shop.deliver(2, "4,9,placed")
    assert shop.build().ok
    assert "fct_statuses: whole, int_orders changed" in shop.logged()
    rows = shop.lake.query("from fct_statuses order by status")
    assert rows == [("placed", 3, 4), ("shipped", 1, 4)]


def test_layout_builds_nothing(shop: Shop) -> None:
    """White space and comments are no change of code; another column is."""
    before = shop.lake.snapshot()
    text = MODELS["models/fct_statuses.sql"]
    shop.write("models/fct_statuses.sql", "-- How many.\n" + text.replace(" ", "\n    "))
    assert shop.build("--select", "fct_statuses").ok
    assert shop.lake.snapshot() == before
    shop.write("models/fct_statuses.sql", text.replace("count(*)", "count(*) + 0"))
    assert shop.build("--select", "fct_statuses").ok
    assert "fct_statuses: create, its code or variables changed" in shop.logged()


def test_nothing_to_do_takes_one_statement(shop: Shop) -> None:
    """A model whose inputs have not changed asks the catalog once."""
    assert shop.build().ok
    for model in ("int_orders", "fct_customers"):
        sent = re.findall(rf"On model\.lotus_lake\.{model}: (?!Close)", shop.logged())
        assert len(sent) == 1, sent


def test_tests_remember(shop: Shop) -> None:
    """A test that passed is run again when its SQL or its input changed, or when told so."""
    not_run = "not run, because nothing that they read has changed since they passed"
    again = shop.build()
    # Not the one that asks for the time.
    assert again.ok and f"3 tests: 1 run, 2 {not_run}." in again.output, again
    assert not_run not in shop.build("--full-refresh").output
    assert not_run not in shop.build("--vars", "run_all_tests: true").output
    shop.write(
        "tests/nothing_is_returned.sql",
        MODELS["tests/nothing_is_returned.sql"].replace("'returned'", "'shipped'"),
    )
    for _ in range(2):
        warned = shop.build()
        assert f"1 {not_run}, 1 warned." in warned.output and "WARN=1" in warned.output, warned
    shop.deliver(2, "4,9,placed")
    assert not_run not in shop.build().output


def test_a_build_keeps_up(shop: Shop) -> None:
    """A build that wrote something merges the small files that builds have left."""
    files = "select count(distinct filename) from staging.stg_jaffle_shop__orders"
    for number in range(10, 26):
        shop.lake.change(
            "insert into staging.stg_jaffle_shop__orders by name"
            f" select {number} as id, 7 as user_id, 'placed' as status"
        )
    assert shop.lake.value(files) == 17
    shop.deliver(2, "4,9,placed")
    built = shop.build()
    assert built.ok and "up to 18 small files" in built.output, built
    assert shop.lake.value(files) < 4
    assert shop.lake.value("select sum(orders) from fct_customers") == 20
