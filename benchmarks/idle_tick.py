"""A tick with nothing new, with 10,000 files in ledger and landing zone, against `dbt --version`.

Makes embedded lakes whose landing zones hold that many files, of all streams alike, over that many
days, and feeds them. Then runs `scripts/scheduler.py` and `dbt --version` in turns, whole processes
from start to end, and reports medians, and the medians of the turns' ratios: of the time that
passed, and of the processor time, which other load on the machine does not change.
Within 14 days every file is listed in every tick; over more days the older ones are not.
"""

from __future__ import annotations

import operator
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import cycle, islice
from pathlib import Path

from benchmarks.harness import DBT, PROJECT, Spent, lake, parser, run, show
from sample import generate

# So that one round feeds everything; as options they would count as a change of the project.
ALL_AT_ONCE = "{feed_max_files: 1000000, feed_max_bytes: 100000000000}"
TICK = [sys.executable, str(PROJECT / "scripts" / "scheduler.py")]


def main() -> None:
    options = parser(__doc__, repeat=10)
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--days", type=int, nargs="+", default=[14, 400])
    arguments = options.parse_args()
    work = arguments.work.resolve()
    cases: dict[str, dict[str, str]] = {}
    for days in arguments.days:
        landing = make_landing(work, arguments.files, days)
        name = f"{arguments.files:,} files of {days} days"
        cases[name] = lake(work, landing, name=f"idle_{days}")
        print(f"feeding: {name} ...", flush=True)
        run([DBT, "--quiet", "build", "--vars", ALL_AT_ONCE], cases[name])
        run(TICK, cases[name])
    columns = ("what", "seconds", "ratio to dbt --version", "processor seconds", "ratio")
    seconds = measure(cases, arguments.repeat)
    show("a tick with nothing new, whole processes, medians", columns, rows(seconds))


def make_landing(work: Path, files: int, days: int) -> Path:
    """A landing zone with about so many files: each of a small shop's, again and again."""
    small, landing = work / "idle_small", work / f"idle_landing_{days}"
    for folder in (small, landing):
        shutil.rmtree(folder, ignore_errors=True)
    generate(small, orders=50, days=7, seed=3, start=date(2025, 1, 1))
    originals = sorted(small.glob("*/*/*/*/*/*.parquet"))
    print(f"writing {files:,} files of {days} days ...", flush=True)
    for number, file in enumerate(islice(cycle(originals), files)):
        day = date(2025, 1, 1) + timedelta(number * days // files)
        folder = landing / file.relative_to(small).parents[3] / f"{day:year=%Y/month=%m/day=%d}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / f"part_{number}.parquet")
    return landing


def measure(cases: dict[str, dict[str, str]], repeat: int) -> dict[str, list[Spent]]:
    """What every run took, in turns, of lakes given by their environments."""
    seconds: dict[str, list[Spent]] = {"dbt --version": []}
    for turn in range(repeat):
        seconds["dbt --version"].append(run([DBT, "--version"], dict(os.environ)))
        for name, environment in cases.items():
            seconds.setdefault(name, []).append(run(TICK, environment))
        print(f"turn {turn + 1} of {repeat}", flush=True)
    return seconds


def rows(seconds: dict[str, list[Spent]]) -> Iterator[list[str]]:
    """Medians, and their ratios to ``dbt --version``."""
    for name in seconds:
        row = [name]
        for kind in ("passed", "used"):
            own, base = (
                [getattr(one, kind) for one in seconds[of]] for of in (name, "dbt --version")
            )
            row.append(f"{statistics.median(own):.3f}")
            row.append(f"{statistics.median(map(operator.truediv, own, base)):.3f}")
        yield row


if __name__ == "__main__":
    main()
