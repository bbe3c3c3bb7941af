"""How often the watching checks warn of a year in which nothing is wrong, and of what they miss.

    python -m benchmarks.false_alarms [--orders-per-day 30 300] [--settle 3 1] [--work DIR]

A shop's year is fed once. Then every day of it is lived through again, at 03:00 and at 12:00: the
compiled SQL of the checks runs over views that show what had landed by then. A day that a check
names is one alarm, however often it is named. Days are judged once as the sample has them, and once
with noise: everything of a day times exp(0.2 * N(0, 1)), for a real shop's days differ by more than
the sample's.

Then 20 days are spoilt, one at a time: half of a stream's rows, or of the orders, are gone; a
stream delivers nothing; a column is null. A spoilt day is caught when the check names it and its
stream or column.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.harness import lake
from lotus_lake.connection import extension_file
from sample import generate

START, DAYS = date(2025, 1, 1), 365
# A day that stands for the one on which a check is asked, in the SQL that dbt compiles.
TODAY = "1000-01-01"
# What has to lie behind a day before it is judged: the least weeks, and what may still grow.
WARM_UP = 35
# Of the logarithm of a day's rows.
NOISE = 0.2
VOLUMES = ("stream_volumes_are_usual", "daily_orders_are_usual")
# Each null rate check with its table, its key and the staging table that says when rows arrived.
NULL_RATES = {
    "null_rates_of_orders_are_usual": ("int_shopify__orders", "order_id", "order_date"),
    "null_rates_of_customers_are_usual": (
        "int_shopify__customers",
        "customer_id",
        "customer_created_at",
    ),
    "null_rates_of_profiles_are_usual": ("int_klaviyo__profiles", "profile_id", "created_at"),
    "null_rates_of_events_are_usual": ("int_klaviyo__events", "event_id", "event_at"),
}
OTHERS = ("refunds_are_within_sales", "currencies_are_known")
# What is nulled to see whether it is noticed.
NULLED = {
    "null_rates_of_orders_are_usual": "email",
    "null_rates_of_customers_are_usual": "country",
    "null_rates_of_profiles_are_usual": "first_name",
    "null_rates_of_events_are_usual": "metric_id",
}
# The columns that say what an alarm is about.
SUBJECTS = ("stream", "column_name", "currency", "order_id")
STREAMS = (
    "shopify.orders",
    "shopify.customers",
    "shopify.order_refunds",
    "klaviyo.profiles",
    "klaviyo.events",
)


@dataclass(frozen=True)
class Alarm:
    """What a check warned of.

    Args:
        check: The test.
        subject: The stream, column, currency or order.
        day: The day that is judged; None for orders and currencies.
    """

    check: str
    subject: str
    day: date | None


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders-per-day", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--settle", type=int, nargs="+", default=[3, 1])
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    console = Console(width=110)
    for orders_per_day in arguments.orders_per_day:
        environment = prepare(work, orders_per_day)
        for settle in arguments.settle:
            year = Year(environment, compiled(environment, settle))
            title = f"{orders_per_day} orders a day, watch_settle_days {settle}"
            console.print(false_alarms(year, f"{title}: alarms of a year without a fault"))
            console.print(caught(year, settle, f"{title}: spoilt days that were noticed"))
            year.close()


def prepare(work: Path, orders_per_day: int) -> dict[str, str]:
    """A lake that has fed a year of a shop of this size."""
    name = f"year_{orders_per_day}"
    landing = work / f"{name}_landing"
    print(f"making a lake with {orders_per_day} orders a day ...", flush=True)
    shutil.rmtree(landing, ignore_errors=True)
    generate(landing, orders=orders_per_day * DAYS, days=DAYS, seed=3, start=START)
    environment = lake(work, landing, name=name)
    dbt(
        environment,
        *("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
        *("--vars", "{feed_max_files: 100000, feed_max_bytes: 100000000000}"),
    )
    return environment


def compiled(environment: dict[str, str], settle: int) -> dict[str, str]:
    """The SQL of the checks, with a variable of DuckDB for the day on which they are asked."""
    variables = f"{{watch_as_of: '{TODAY}', watch_settle_days: {settle}}}"
    dbt(environment, "compile", "--select", "tag:watching", "--vars", variables)
    names = {*VOLUMES, *NULL_RATES, *OTHERS}
    return {
        path.stem: path.read_text().replace(f"'{TODAY}'", "getvariable('now')")
        for path in Path(environment["DBT_TARGET_PATH"], "compiled").rglob("*.sql")
        if path.stem in names
    }


def dbt(environment: dict[str, str], *words: str) -> None:
    """Run a dbt command."""
    program = str(Path(sys.executable).with_name("dbt"))
    subprocess.run(
        [program, "--quiet", *words], env=environment, check=True, stdout=subprocess.DEVNULL
    )


class Year:
    """The lake's year, seen from any moment in it, whole or spoilt.

    Args:
        environment: Where the lake lies.
        checks: The SQL of each check.
    """

    def __init__(self, environment: dict[str, str], checks: dict[str, str]) -> None:
        self.checks = checks
        self._connection = duckdb.connect()
        for extension in ("sqlite_scanner", "ducklake"):
            self._connection.execute(f"load '{extension_file(extension)}'")
        self._connection.execute("set TimeZone = 'UTC'; set threads = 2")
        catalog = environment["LAKE_CATALOG"]
        self._connection.execute(f"attach 'ducklake:{catalog}' as fed (read_only)")
        # The checks read lakehouse, which is what of it had landed.
        self._connection.execute("attach ':memory:' as lakehouse; use lakehouse")
        for statement in self._views():
            self._connection.execute(statement)
        self._connection.execute("detach fed")

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def alarms(
        self, moment: datetime, noise: float = 0, checks: Sequence[str] = ()
    ) -> Iterator[Alarm]:
        """What the checks say at a moment, all of them or some."""
        self._connection.execute("set variable now = $now", {"now": moment})
        self._connection.execute("set variable noise = $noise", {"noise": noise})
        for check in checks or self.checks:
            result = self._connection.execute(self.checks[check])
            names = [column[0] for column in result.description]
            for row in result.fetchall():
                found = dict(zip(names, row, strict=True))
                if not found.get("is_explained"):
                    subjects = (found.get(name) for name in SUBJECTS)
                    subject = next(filter(None, subjects), "orders")
                    yield Alarm(check, str(subject), found.get("day"))

    def spoil(self, **what: object) -> None:
        """Spoil a day: hit_day, and hit_stream or hit_column, and hit_share, what is left."""
        for name in ("hit_day", "hit_stream", "hit_column", "hit_share"):
            self._connection.execute(f"set variable {name} = $value", {"value": what.get(name)})

    def _views(self) -> Iterator[str]:
        """The statements that make the year, and what is seen of it."""
        yield "create schema meta; create schema staging"
        yield f"""
            create table noise as
            select
                date '{START}' - 5 + day_no::int as day,
                -- Box and Muller's, from hashes, so that every run has the same noise.
                sqrt(-2 * ln((hash(hash(day_no, 'a')) % 999983 + 1) / 999984))
                    * cos(2 * pi() * (hash(hash(day_no, 'b')) % 999983) / 999983) as deviate
            from range({DAYS + 20}) as days (day_no)
        """
        yield "create macro seen(arrived_at) as arrived_at <= getvariable('now')"
        yield "create macro noisy(deviate) as exp(coalesce(getvariable('noise') * deviate, 0))"
        yield """
            create macro left_of(day, subject) as if(
                day = getvariable('hit_day') and subject = getvariable('hit_stream'),
                getvariable('hit_share'), 1)
        """
        yield """
            create table ledger as
            select
                *,
                regexp_replace(path, '.*=(.*)/month=(.*)/day=(.*)/.*', '\\1-\\2-\\3')::date as day
            from fed.meta.feeder_files
        """
        yield """
            create view meta.feeder_files as
            select ledger.* replace (
                round(row_count * noisy(deviate) * left_of(ledger.day, source || '.' || stream))
                    as row_count
            )
            from ledger left join noise on ledger.day = noise.day
            where seen(last_modified)
        """
        for check, (table, key, moment) in NULL_RATES.items():
            staging = table.replace("int_", "stg_")
            spoilt = NULLED[check]
            yield f"""
                create table {table}_year as
                with arrivals as (
                    select rows.id as {key}, min(ledger.last_modified) as arrived_at
                    from fed.staging.{staging} as rows
                    inner join ledger on ledger.path = rows._source_file
                    group by rows.id
                )
                select records.*, arrivals.arrived_at
                from fed.main.{table} as records inner join arrivals using ({key})
            """
            yield f"""
                create view {table} as
                select * replace (
                    if({moment}::date = getvariable('hit_day')
                        and getvariable('hit_column') = '{spoilt}', null, {spoilt}) as {spoilt}
                )
                from {table}_year where seen(arrived_at)
            """
        yield """
            create table int_shopify__order_refunds_year as
            with arrivals as (
                select rows.id as refund_id, min(ledger.last_modified) as arrived_at
                from fed.staging.stg_shopify__order_refunds as rows
                inner join ledger on ledger.path = rows._source_file
                group by rows.id
            )
            select records.*, arrivals.arrived_at
            from fed.main.int_shopify__order_refunds as records
            inner join arrivals using (refund_id)
        """
        yield """
            create view int_shopify__order_refunds as
            from int_shopify__order_refunds_year where seen(arrived_at)
        """
        yield """
            create table staging.stg_shopify__order_refunds as
            from fed.staging.stg_shopify__order_refunds
        """
        yield """
            create table fct_sales_year as
            select sales.*, orders.arrived_at
            from fed.main.fct_sales as sales
            inner join int_shopify__orders_year as orders using (order_id)
        """
        yield "create view fct_sales as from fct_sales_year where seen(arrived_at)"
        yield """
            create view fct_daily_sales as
            select order_day, round(any_value(noisy(deviate)) * count(*)
                * any_value(left_of(order_day, 'orders'))) as orders
            from fct_sales left join noise on order_day = noise.day
            where is_counted group by order_day
        """


def moments(first: int = 28, last: int = DAYS + 1) -> Iterator[datetime]:
    """When the checks are asked: at 03:00 a sync has landed but for what is late.

    Not before anything is judged.
    """
    for day in range(first, last):
        for hour in (3, 12):
            yield datetime.combine(START + timedelta(days=day), time(hour))


def false_alarms(year: Year, title: str) -> Table:
    """Live through the year twice, and count what is named."""
    year.spoil()
    calm = {alarm for moment in moments() for alarm in year.alarms(moment)}
    noisy = {alarm for moment in moments() for alarm in year.alarms(moment, NOISE, VOLUMES)}
    table = Table(title=title)
    table.add_column("check")
    for heading in ("check-days", "alarms", "per 100", "with noise", "per 100"):
        table.add_column(heading, justify="right")
    totals = [0, 0, 0]
    for check in sorted(year.checks):
        # Each stream and each column is a check of its own.
        asked = (DAYS - WARM_UP) * subjects_of(check, year.checks[check])
        count = sum(alarm.check == check for alarm in calm)
        # Noise changes how many rows there are, and nothing else.
        more = sum(alarm.check == check for alarm in noisy) if check in VOLUMES else count
        totals = [sum(pair) for pair in zip(totals, (asked, count, more), strict=True)]
        table.add_row(check, *figures(asked, count, more))
    table.add_section()
    table.add_row("all", *figures(*totals))
    return table


def figures(asked: int, count: int, more: int) -> list[str]:
    """What a line of the table says."""
    return [
        f"{asked:,}",
        f"{count}",
        f"{100 * count / asked:.2f}",
        f"{more}",
        f"{100 * more / asked:.2f}",
    ]


def subjects_of(check: str, sql: str) -> int:
    """How many streams or columns a check judges each day."""
    if check == VOLUMES[0]:
        return len(STREAMS)
    if check in NULL_RATES:
        return sql.split("unpivot counted on")[1].split(" into ")[0].count(",") + 1
    return 1


def caught(year: Year, settle: int, title: str) -> Table:
    """Spoil days, and count which are named."""
    table = Table(title=title)
    table.add_column("what is wrong")
    table.add_column("caught", justify="right")
    table.add_column("with noise", justify="right")
    chance = random.Random(5)
    days = [START + timedelta(days=chance.randrange(75, DAYS - 10)) for _ in range(20)]
    cases: list[tuple[str, str, str, dict[str, object]]] = []
    for share, words in ((0.5, "half of the rows"), (0.0, "nothing")):
        cases += [
            (
                f"{stream}: {words}",
                VOLUMES[0],
                stream,
                {"hit_stream": stream, "hit_share": share},
            )
            for stream in STREAMS
        ]
    cases.append(
        ("half of the orders", VOLUMES[1], "orders", {"hit_stream": "orders", "hit_share": 0.5})
    )
    cases += [
        (f"{NULL_RATES[check][0]}.{column} is null", check, column, {"hit_column": column})
        for check, column in NULLED.items()
    ]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for words, check, subject, what in cases:
        for day in days:
            year.spoil(hit_day=day, **what)
            for column, noise in enumerate((0, NOISE)):
                # An order's day is delivered by the sync of the next.
                asked = datetime.combine(day + timedelta(days=settle + 1), time(12))
                counts[words][column] += Alarm(check, subject, day) in year.alarms(
                    asked, noise, [check]
                )
    for words, seen_days in counts.items():
        table.add_row(words, *(f"{100 * seen / len(days):.0f} %" for seen in seen_days))
    return table


if __name__ == "__main__":
    main()
