"""Whether a tick costs the same on an old lake: ticks of the example, one after the other.

    python -m benchmarks.many_ticks [--ticks 1000] [--postgres] [--repeat 10] [--work DIR]

For each tick two small CSV files with new rows land, of a new day, and `dbt build` with its data
tests takes them; all in one process that keeps the parsed project, as `lake tick --loop` does. The
ratio is of processor time, medians of some ticks up to the tenth, the hundredth and so on; of
PostgreSQL's too, with a server of its own (that of the tests).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import statistics
import time
from datetime import date, timedelta
from pathlib import Path

import psutil
from dbt.cli.main import dbtRunner

from benchmarks.harness import PROJECT, fresh, lake, parser, show, used
from tests.system import services

BUILD = ["--quiet", "build", "--exclude-resource-type", "unit_test"]
ORDERS = 20


def main() -> None:
    options = parser(__doc__, repeat=10)
    options.add_argument("--ticks", type=int, default=1000)
    options.add_argument("--postgres", action="store_true", help="a catalog in PostgreSQL")
    given = options.parse_args()
    work = given.work.resolve()
    landing = fresh(work / "many_ticks_landing")
    os.environ |= lake(work, landing, "many_ticks")
    with contextlib.ExitStack() as stack:
        processes = [psutil.Process()]
        if given.postgres:
            server = stack.enter_context(services.postgres())
            os.environ |= {
                "LAKE_CATALOG": "postgres:",
                "DBT_TARGET": "local",
                **server.database("many_ticks"),
            }
            processes.append(psutil.Process(server.server.get_pid()))
        os.chdir(PROJECT / "examples/jaffle_shop")
        project = pickle.dumps(dbtRunner().invoke(["--quiet", "parse"]).result)
        ticks = []
        for number in range(1, given.ticks + 1):
            land(landing, number)
            before, began = used(processes), time.perf_counter()
            done = dbtRunner(manifest=pickle.loads(project)).invoke(BUILD)
            assert done.success, done.exception or done.result
            ticks.append((time.perf_counter() - began, used(processes) - before))
            if number % 100 == 0:
                print(f"tick {number}: {ticks[-1][1]:.1f} processor seconds", flush=True)
    rows = []
    for number in sorted({min(10, given.ticks), min(100, given.ticks), given.ticks}):
        passed, spent = (
            statistics.median(tick[part] for tick in ticks[max(number - given.repeat, 1) : number])
            for part in (0, 1)
        )
        rows.append((number, passed, spent))
    show(
        f"ticks of the example, {'PostgreSQL' if given.postgres else 'SQLite'}",
        ("tick", "seconds", "processor s", "ratio"),
        [[f"{n}", f"{a:.2f}", f"{b:.2f}", f"{b / rows[0][2]:.2f}"] for n, a, b in rows],
    )


def land(landing: Path, number: int) -> None:
    """Orders and payments of one day."""
    day = date(2020, 1, 1) + timedelta(days=number)
    ids = range(number * ORDERS, (number + 1) * ORDERS)
    texts = {
        "orders": ["id,user_id,order_date,status", *(f"{i},{i % 997},{day},placed" for i in ids)],
        "payments": [
            "id,order_id,payment_method,amount",
            *(f"{i},{i},credit_card,{100 + i % 900}" for i in ids),
        ],
    }
    for table, lines in texts.items():
        folder = landing / f"jaffle_shop/{table}/year={day:%Y}/month={day:%m}/day={day:%d}"
        folder.mkdir(parents=True)
        (folder / "part_0.csv").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
