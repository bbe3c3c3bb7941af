"""What a tick costs: beside trivial models, with nothing new, and as the lake grows older.

A day of a sample shop lands for each tick, as real small files with new rows, and one `dbt build`
without unit tests takes it. Then, on the oldest lake: ticks with news in one stream beside a cold
dbt project of as many trivial incremental models on DuckLake, and builds with nothing new beside
`dbt parse`. Whole processes; ratios are of processor time.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from benchmarks.harness import DBT, PROJECT, Spent, ask, fresh, lake, parser, run, show
from sample import Delivery, generate

START = date(2015, 1, 1)
BUILD = [DBT, "--quiet", "build", "--exclude-resource-type", "unit_test"]
NEWEST = "max(snapshot_id) from ducklake_snapshots('lakehouse')"
# What news in one stream rebuilds.
ONE_STREAM = "stg_klaviyo__events+"


def main() -> None:
    arguments = parser(__doc__, repeat=3)
    arguments.add_argument("--ticks", type=int, nargs=2, default=[10, 100], help="to compare")
    arguments.add_argument("--orders-per-day", type=int, default=20, help="how much is in a file")
    options = arguments.parse_args()
    work = options.work.resolve()
    young, old = options.ticks
    days = old + 7
    delivery = generate(
        fresh(work / "ticks_sample"),
        orders=days * options.orders_per_day,
        days=days,
        seed=2,
        start=START,
    )
    landing = fresh(work / "ticks_landing")
    environment = lake(work, landing, "ticks")

    ticks = []
    for number in range(1, old + 1):
        deliver(delivery, landing, number)
        ticks.append(run(BUILD, environment))
        print(f"tick {number}: {ticks[-1].used:.1f} processor seconds", flush=True)
    results = {
        f"tick {number}": ticks[max(0, number - options.repeat) : number] for number in (young, old)
    }
    before = ask(NEWEST, environment)
    repeat = range(options.repeat)
    results["nothing new"] = [run(BUILD, environment) for _ in repeat]
    written = ask(NEWEST, environment) - before
    results["dbt parse"] = [run([DBT, "--quiet", "parse"], environment) for _ in repeat]
    results["news in one stream"] = []
    for number in repeat:
        deliver(delivery, landing, old + 1 + number, "klaviyo/events/")
        results["news in one stream"].append(run([*BUILD, "--select", ONE_STREAM], environment))
    models = run([DBT, "--quiet", "ls", "--select", ONE_STREAM, "--resource-type", "model"])
    count = len(models.output.splitlines())
    results["trivial models"] = trivial(work, count, options.repeat)
    bases = {f"tick {old}": f"tick {young}", "nothing new": "dbt parse"}
    bases["news in one stream"] = "trivial models"
    columns = ("what", "seconds", "processor s", "ratio of processor time")
    show("whole processes, medians", columns, rows(results, bases))
    print(
        f"{count} models follow {ONE_STREAM}; builds with nothing new wrote {written:g} snapshots"
    )


def deliver(delivery: Delivery, landing: Path, number: int, folder: str = "") -> None:
    """Land what arrived on one day of the history."""
    day = START + timedelta(days=number)
    for file in delivery.files:
        if file.arrived_at.date() == day and file.path.startswith(folder):
            (landing / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(delivery.out / file.path, landing / file.path)


def trivial(work: Path, count: int, repeat: int) -> list[Spent]:
    """Build a project of so many models of one row, on a DuckLake of its own."""
    project = fresh(work / "trivial")
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(
        "name: trivial\nprofile: lotus_lake\nmodels: {trivial: {+materialized: incremental}}\n"
    )
    for number in range(count):
        (project / "models" / f"model_{number}.sql").write_text("select 1 as id")
    environment = lake(work, project / "landing", "trivial_lake")
    environment |= {"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(PROJECT)}
    runs = [
        run([DBT, "--quiet", "--no-partial-parse", "build"], environment) for _ in range(repeat + 1)
    ]
    return runs[1:]  # the first makes the tables


def rows(results: dict[str, list[Spent]], bases: dict[str, str]) -> Iterator[list[str]]:
    """Medians, and the ratio of some to others."""
    used = {name: statistics.median(spent.used for spent in runs) for name, runs in results.items()}
    for name, runs in results.items():
        base = bases.get(name)
        ratio = f"{used[name] / used[base]:.2f} × {base}" if base else ""
        passed = statistics.median(spent.passed for spent in runs)
        yield [name, f"{passed:.1f}", f"{used[name]:.1f}", ratio]


if __name__ == "__main__":
    main()
