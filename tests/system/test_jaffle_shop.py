"""The second project: examples/jaffle_shop, as its README says; the engine is a dbt package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.system.dbt_process import PROJECT
from tests.system.lake import Lake

EXAMPLE = PROJECT / "examples/jaffle_shop"
# What of the locked packages is another one for the oldest dbt that `require-dbt-version` allows.
OLDEST = ("dbt-core==1.11.16", "dbt-semantic-interfaces==0.9.0")

CENTS = "coalesce(sum(amount) filter (payment_method like '{}'), 0)"
AMOUNTS = ", ".join(
    f"({CENTS.format(method)} / 100)::decimal(18, 2)"
    for method in ("credit_card", "coupon", "bank_transfer", "gift_card", "%")
)
ORDERS = f"""
    select orders.id, user_id, order_date, status, {AMOUNTS}
    from orders left join payments on orders.id = order_id
    group by all order by 1
"""
CUSTOMERS = """
    select customers.id, any_value(first_name), any_value(last_name), min(order_date),
        max(order_date), count(facts.id), coalesce(sum(facts.amount), 0)
    from customers left join facts as facts(id, user_id, order_date, status, a, b, c, d, amount)
        on customers.id = facts.user_id
    group by 1 order by 1
"""


class Jaffle:
    """A copy of the example, with the engine beside it as in the repository."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake = lake
        self.folder = folder / "examples/jaffle_shop"
        unwanted = shutil.ignore_patterns(".venv", ".lake", "dbt_packages", "target", "logs")
        shutil.copytree(EXAMPLE, self.folder, ignore=unwanted)
        (folder / "engine").symlink_to(PROJECT / "engine")
        self.environment = lake.environment | {
            "DBT_PROJECT_DIR": str(self.folder),
            "DBT_PROFILES_DIR": str(self.folder),
            "DLT_DATA_DIR": str(folder / "dlt"),
        }
        self.dbt = Path(sys.executable).with_name("dbt")

    def run(self, *command: str) -> str:
        """Run a command of the README; what it printed."""
        program = [sys.executable] if command[0].endswith(".py") else []
        if command[0] == "dbt":
            command = (str(self.dbt), *command[1:])
        done = subprocess.run(
            [*program, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, table: str, *rows: str) -> None:
        """Replace rows of a CSV file by their first column, and add new ones."""
        file = self.folder / f"data/raw_{table}.csv"
        header, *before = file.read_text().splitlines()
        found = {row.split(",")[0]: row for row in (*before, *rows)}
        file.write_text("\n".join([header, *found.values(), ""]))

    def truth(self) -> list[list[tuple[object, ...]]]:
        """Orders and customers, computed from the CSV files."""
        with duckdb.connect() as connection:
            for table in ("orders", "customers", "payments"):
                file = self.folder / f"data/raw_{table}.csv"
                connection.execute(f"create table {table} as from '{file}'")
            connection.execute(f"create view facts as {ORDERS}")
            return [connection.execute(sql).fetchall() for sql in ("from facts", CUSTOMERS)]

    def tables(self) -> list[list[tuple[object, ...]]]:
        """The same from the lake."""
        return [
            self.lake.query(f"from {name} order by 1")
            for name in ("fct_jaffle_shop__orders", "dim_jaffle_shop__customers")
        ]


@pytest.mark.slow
def test_the_example(new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """It lands, builds, finds nothing to do, and follows rows that change and come again."""
    jaffle = Jaffle(new_lake(), tmp_path / "repository")
    jaffle.run("dbt", "deps")
    jaffle.run("land.py")
    assert "ERROR=0" in jaffle.run("dbt", "build")
    assert jaffle.tables() == jaffle.truth()
    before = jaffle.lake.snapshot()
    jaffle.run("dbt", "build")
    assert jaffle.lake.snapshot() == before

    jaffle.write("orders", "5,5,2018-02-11,shipped", "9,4,2018-03-05,placed")
    jaffle.write("payments", "9,9,gift_card,1999", "10,9,credit_card,1")
    jaffle.run("land.py")
    jaffle.run("dbt", "build")
    assert jaffle.tables() == jaffle.truth()
    staged = jaffle.lake.value("select count(*) from staging.stg_jaffle_shop__orders")
    assert staged == 17


@pytest.mark.nightly
def test_the_oldest_dbt(new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """The example on it; everything else runs on the newest."""
    python = tmp_path / "venv/bin/python"
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"],
        [*install, "--require-hashes", "-r", PROJECT / "requirements.lock"],
        [*install, *OLDEST],
    ):
        # Not where the project is: its settings of uv put the newest in place of any dbt.
        subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    jaffle = Jaffle(new_lake(), tmp_path / "repository")
    jaffle.run("dbt", "deps")
    jaffle.run("land.py")
    jaffle.dbt = python.with_name("dbt")
    jaffle.environment["PYTHONPATH"] = str(PROJECT)
    for _ in range(2):
        assert "Running with dbt=1.11" in jaffle.run("dbt", "build")
    assert jaffle.tables() == jaffle.truth()
    shutil.rmtree(tmp_path / "venv")
