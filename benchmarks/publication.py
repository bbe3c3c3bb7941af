"""What publishing into PostgreSQL costs, beside a plain COPY of the same rows; and a BI query.

    python -m benchmarks.publication [--rows 1000000] [--changed 10000] [--repeat 5] [--work DIR]

A small project with one published table of so many rows, six columns and a key, on an embedded
lake, and a PostgreSQL server of its own (that of the tests). Whole processes of `lake publish`;
processor seconds with those of the server. "In a tick" is without the start of Python and the
connection to the lake, which a tick has already. With LAKE_CATALOG and the other variables of a
lake of the shop that is built, it is published too, and `select * from fct_daily_sales` measured
as role bi, on one connection.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.harness import DBT, Spent, fresh, lake, run, used
from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect
from lotus_lake.publication.publish import publish
from tests.system import services
from tests.system.dbt_process import PROJECT
from tests.system.serving import Serving
from tests.system.small_project import make_project, path_of

MODEL = """\
{{ config(unique_key='order_id') }}
select id as order_id, user_id as customer_id, status, (id * 7919 % 100000 / 100)::decimal(18, 2)
    as net_sales, date '2020-01-01' + (id % 2000)::int as order_day, 'EUR' as currency
from {{ follow(ref('stg_jaffle_shop__orders'), 'id') }}
qualify row_number() over (partition by id order by _source_file desc, _source_row desc) = 1
"""
MARTS = """\
models:
  - name: int_orders
    config: {meta: {publish: true}}
    columns:
      - {name: order_id, data_tests: [unique, not_null]}
      - {name: customer_id}
      - {name: status}
      - {name: net_sales}
      - {name: order_day}
      - {name: currency}
"""
COMMAND = [str(Path(DBT).with_name("lake")), "publish"]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path(".lake/benchmark"))
    options = parser.parse_args()
    work = options.work.resolve()
    project = fresh(work / "publication_project")
    make_project(project)
    (project / "models/int_orders.sql").write_text(MODEL)
    (project / "models/tests.yml").write_text(MARTS)
    landing = fresh(work / "publication_landing")
    environment = lake(work, landing, "publication")
    environment |= {"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(PROJECT)}

    def build(day: int, rows: int, status: str) -> None:
        file = landing / path_of("orders", day)
        file.parent.mkdir(parents=True)
        lines = (f"{id_},{id_ % 99991},{status}\n" for id_ in range(1, rows + 1))
        file.write_text("id,user_id,status\n" + "".join(lines))
        run([DBT, "--quiet", "build", "--select", "+int_orders"], environment)

    with services.postgres() as server:
        serving = Serving(server, "serving")
        environment["LAKE_SERVING_URL"] = serving.url
        results: dict[str, list[Spent]] = {}

        def measure(name: str, action: Callable[[], object]) -> None:
            processes = [psutil.Process(), psutil.Process(server.server.get_pid())]
            before, began = used(processes), time.perf_counter()
            action()
            passed = time.perf_counter() - began
            time.sleep(0.2)  # a server process ends after its client
            spent = Spent(passed, used(processes) - before, "")
            results.setdefault(name, []).append(spent)

        build(1, options.rows, "placed")
        measure("first publication", lambda: run(COMMAND, environment))
        copied(serving, work / "publication.csv", measure)
        for number in range(options.repeat):
            build(2 + number, options.changed, f"status {number}")
            measure(f"{options.changed:,} changed rows", lambda: run(COMMAND, environment))
            measure("nothing changed", lambda: run(COMMAND, environment))
            config = LakeConfig.from_env({**os.environ, **environment})
            ((code,),) = serving.run("select code from marts.published")
            with connect(config) as connection:
                again = partial(publish, config, connection, serving.url, code, Path)
                measure("nothing changed, in a tick", again)
        show(results)
        if "LAKE_CATALOG" in os.environ:
            shop = Serving(server, "shop")
            run(COMMAND, {**os.environ, "LAKE_SERVING_URL": shop.url})
            cursor, seconds = shop.connect("bi").cursor(), []
            for _ in range(200):
                began = time.perf_counter()
                cursor.execute("select * from fct_daily_sales")
                rows = cursor.fetchall()
                seconds.append(time.perf_counter() - began)
            median = 1000 * statistics.median(seconds)
            print(f"select * from fct_daily_sales: {len(rows):,} rows, p50 {median:.1f} ms")
            cursor.connection.close()


def copied(serving: Serving, file: Path, measure: Callable[..., None]) -> None:
    """What a COPY of the published rows takes, into a table with the same key."""
    connection = serving.connect("postgres")
    cursor = connection.cursor()
    with file.open("w") as out:
        cursor.copy_expert("copy marts.int_orders to stdout (format csv)", out)
    cursor.execute("create table marts.copied (like marts.int_orders)")
    connection.close()

    def copy() -> None:
        connection = serving.connect("postgres")
        with connection.cursor() as cursor, file.open() as rows:
            cursor.copy_expert("copy marts.copied from stdin (format csv)", rows)
            cursor.execute("alter table marts.copied add primary key (order_id)")
        connection.close()

    measure("plain COPY", copy)


def show(results: dict[str, list[Spent]]) -> None:
    """Print medians."""
    table = Table("what", title="medians")
    for column in ("seconds", "processor s", "ratio to COPY"):
        table.add_column(column, justify="right")
    base = results["plain COPY"][0].used
    for name, runs in results.items():
        spent = statistics.median(one.used for one in runs)
        passed = statistics.median(one.passed for one in runs)
        table.add_row(name, f"{passed:.2f}", f"{spent:.2f}", f"{spent / base:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
