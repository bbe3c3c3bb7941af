"""`lake sql`: DuckDB's own shell, on the lake as it is, and unable to change it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.system import services
from tests.system.lake import PROJECT, Build, Lake
from tests.system.small_project import Shop

COMMAND = [sys.executable, "-m", "lotus_lake", "sql"]


def shell(
    lake: Lake,
    *arguments: str,
    typed: str = "",
    environment: dict[str, str] | None = None,
) -> Build:
    """Run it with a pipe in place of a terminal."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=PROJECT,
        env={**lake.environment, **(environment or {})},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not list(lake.home.glob("tmp/lotus-lake*")), "something was left behind"
    return Build(done.returncode, done.stdout + done.stderr)


def test_one_query(shop: Shop) -> None:
    """A query gives its rows and nothing else; its code is the shell's."""
    counted = shell(shop.lake, "-csv", "-c", "select count(*) as number from fct_statuses")
    assert counted.code == 0
    assert counted.output == f"number\n{shop.lake.value('select count(*) from fct_statuses')}\n"
    piped = shell(shop.lake, "-csv", typed="select current_setting('TimeZone');\n")
    assert piped.output.splitlines()[1:] == ["UTC"]
    asked = shell(shop.lake, "select 1 as one", "-csv")
    assert asked.output == "one\n1\n"
    wrong = shell(shop.lake, "-c", "select no_such from fct_statuses")
    assert wrong.code == 1
    assert "no_such" in wrong.output


def test_nothing_is_written(shop: Shop) -> None:
    """A statement that writes is refused, in words that say why."""
    before = shop.lake.snapshot()
    for statement in ("delete from fct_statuses", "create table mine as select 1 as one"):
        refused = shell(shop.lake, "-c", statement)
        assert refused.code == 1
        assert "attached in read-only mode" in refused.output
    assert shop.lake.snapshot() == before
    kept = shell(shop.lake, "-csv", "-c", "create temp table mine as select 1; from mine")
    assert kept.code == 0


def test_in_a_terminal(shop: Shop) -> None:
    """A person is told which lake it is; Ctrl-C ends a query, not the shell; Ctrl-D leaves."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "-dark-mode"],
        cwd=PROJECT,
        env={**shop.lake.environment, "TERM": "dumb"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(terminal),
    )
    os.close(terminal)
    shown, position = "", 0

    def until(text: str) -> None:
        """Wait for a text after the one that was waited for last."""
        nonlocal shown, position
        end = time.monotonic() + 20
        while (found := shown.find(text, position)) < 0:
            assert time.monotonic() < end, f"'{text}' did not come:\n{shown}"
            if select.select([controller], [], [], 0.2)[0]:
                shown += os.read(controller, 4096).decode(errors="replace")
        position = found + len(text)

    until(f"as of snapshot {shop.lake.snapshot()}")
    until("usage hints")
    os.write(controller, b"select 'row' || count(*) as found from fct_statuses;\n")
    until(f"row{shop.lake.value('select count(*) from fct_statuses')}")
    os.write(controller, b"select count(*) from range(1000000000000) as many;\n")
    time.sleep(1)
    os.write(controller, b"\x03")
    time.sleep(0.5)
    os.write(controller, b"select 'still ' || 'here' as answer;\n")
    until("still here")
    os.write(controller, b".exit\n")
    process.wait(20)
    os.close(controller)
    assert not list(shop.lake.home.glob("tmp/lotus-lake*"))


def _take_terminal(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def test_closing_the_window(shop: Shop) -> None:
    """When its terminal goes away, nothing is left of it."""
    process = subprocess.Popen(
        COMMAND,
        cwd=PROJECT,
        env=shop.lake.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 20
    while not list(shop.lake.home.glob("tmp/lotus-lake-sql-*/start.sql")):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGHUP)
    process.wait(20)
    assert not list(shop.lake.home.glob("tmp/lotus-lake*"))


def test_on_a_branch(shop: Shop) -> None:
    """With target pr it is the branch; one that is not there is named."""
    assert shop.lake.command("branch", "create", "trial").code == 0
    branch = shop.lake.branch("trial")
    there = shell(branch, "-csv", "-c", "select count(*) > 0 as there from fct_statuses")
    assert there.output == "there\ntrue\n"
    missing = shell(branch, environment={"LAKE_BRANCH": "nobody"})
    assert missing.code == 64
    assert "There is no branch nobody" in missing.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "attach 'ducklake:{catalog}' as w (read_only false); drop table w.fct_statuses",
            "readonly",
        ),
        ("attach '{home}/new.db' as w", "disabled by configuration"),
        ("copy fct_statuses to '{home}/new.csv'", "disabled by configuration"),
        ("copy fct_statuses to '{data}/new.parquet'", "Permission denied"),
        ("explain analyze copy fct_statuses to '{data}/new.parquet'", "Permission denied"),
        ("export database '{data}/new'", "Permission denied"),
        ("load httpfs", "disabled"),
        ("from read_text('{home}/new.txt')", "disabled by configuration"),
        ("set enable_external_access = true", "locked"),
        ("select getenv('PATH')", "disabled"),
        (".shell touch '{home}/new'", "-safe mode"),
        (".output '{home}/new'", "-safe mode"),
    ],
)
def test_nothing_beside_the_lake(shop: Shop, query: str, said: str) -> None:
    """No second door: neither to the lake, nor to other files, programs or settings; as an argument
    or typed."""
    lake = shop.lake
    query = query.format(catalog=lake._catalog, home=lake.home, data=lake.data)
    tables, there = shop.tables(), {*lake.home.rglob("*")}
    assert said in shell(lake, typed=f"{query}\n;").output
    refused = shell(lake, "-c", query)
    assert refused.code != 0
    assert said in refused.output or "The shell only reads the lake" in refused.output
    assert {*lake.home.rglob("*")} <= {*there, lake.home / "tmp"}
    assert shop.tables() == tables


def test_what_it_may_read(shop: Shop) -> None:
    """Landed files, a column called copy, and more than fits into memory."""
    landed = f"{shop.lake.landing}/jaffle_shop/orders/*/*/*/part*.csv"
    for query in (
        f"select count(*) > 0 as yes from '{landed}'",
        'select "copy" as yes from (select true as "copy")',
        "use staging; select count(*) > 0 as yes from stg_jaffle_shop__orders",
        "set memory_limit = '60MB'; select count(*) > 0 as yes"
        " from (select random() as x, uuid() as y from range(3000000) order by x)",
    ):
        read = shell(shop.lake, "-csv", "-c", query)
        assert read.output == "yes\ntrue\n"


@pytest.mark.slow
def test_on_s3(new_shop: Callable[..., Shop], s3: services.S3) -> None:
    """The keys are used and shown nowhere."""
    s3.client.create_bucket(Bucket="shell")
    s3.client.put_object(Bucket="shell", Key="raw/a.txt", Body=b"landed")
    places = {"LAKE_LANDING_URL": "s3://shell/raw", "LAKE_DATA_URL": "s3://shell/data/"}
    lake = new_shop(environment={**s3.environment, **places}, connect=[s3.duckdb_secret]).lake
    assert lake.build_quickly().ok
    read = shell(lake, "-csv", "-c", "select count(*) = 0 as yes from fct_statuses")
    assert read.output == "yes\ntrue\n"
    landed = shell(lake, "-csv", "-c", "select content from read_text('s3://shell/raw/a.txt')")
    assert landed.output == "content\nlanded\n"
    shown = shell(lake, "-csv", "-c", "from duckdb_settings(); from duckdb_secrets()")
    assert "secret=redacted" in shown.output
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in shown.output
    written = shell(lake, "-c", "explain analyze copy (select 1) to 's3://shell/data/new.parquet'")
    assert written.code == 64
    other = shell(lake, "-c", "from read_text('s3://other/a.txt')")
    assert "disabled by configuration" in other.output
