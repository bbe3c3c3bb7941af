"""`make sql`: DuckDB's own shell, on the lake as it is, and unable to change it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn

from lotus_lake.config import LakeConfig
from lotus_lake.shell import start_sql
from tests.system import services
from tests.system.lake import PROJECT, Build, Lake
from tests.system.upkeep import operation

COMMAND = [sys.executable, "scripts/sql.py"]


def shell(
    lake: Lake,
    *arguments: str,
    typed: str = "",
    environment: dict[str, str] | None = None,
) -> Build:
    """Run the script as `make sql` does, with a pipe in place of a terminal."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=PROJECT,
        env={**lake.environment, "TMPDIR": str(lake.home), **(environment or {})},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not list(lake.home.glob("lotus-lake*")), "something was left behind"
    return Build(done.returncode, done.stdout + done.stderr)


def test_one_query(reference_copy: Lake) -> None:
    """A query gives its rows and nothing else; its code is the shell's."""
    counted = shell(reference_copy, "-csv", "-c", "select count(*) as orders from fct_sales")
    assert counted.code == 0
    assert counted.output == f"orders\n{reference_copy.value('select count(*) from fct_sales')}\n"
    piped = shell(reference_copy, "-csv", typed="select current_setting('TimeZone');\n")
    assert piped.output.splitlines()[1:] == ["UTC"]
    wrong = shell(reference_copy, "-c", "select no_such from fct_sales")
    assert wrong.code == 1
    assert "no_such" in wrong.output


def test_nothing_is_written(reference_copy: Lake) -> None:
    """A statement that writes is refused, in words that say why."""
    before = reference_copy.snapshot()
    for statement in ("delete from fct_sales", "create table mine as select 1 as one"):
        refused = shell(reference_copy, "-c", statement)
        assert refused.code == 1
        assert "attached in read-only mode" in refused.output
    assert reference_copy.snapshot() == before
    kept = shell(reference_copy, "-csv", "-c", "create temp table mine as select 1; from mine")
    assert kept.code == 0


def test_in_a_terminal(reference_copy: Lake) -> None:
    """A person is told which lake it is; Ctrl-C ends a query, not the shell; Ctrl-D leaves."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "-dark-mode"],
        cwd=PROJECT,
        env={**reference_copy.environment, "TERM": "dumb", "TMPDIR": str(reference_copy.home)},
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

    until(f"as of snapshot {reference_copy.snapshot()}")
    until("usage hints")
    os.write(controller, b"select 'row' || count(*) as found from fct_sales;\n")
    until(f"row{reference_copy.value('select count(*) from fct_sales')}")
    os.write(controller, b"select count(*) from range(1000000000000) as many;\n")
    time.sleep(1)
    os.write(controller, b"\x03")
    time.sleep(0.5)
    os.write(controller, b"select 'still ' || 'here' as answer;\n")
    until("still here")
    os.write(controller, b".exit\n")
    process.wait(20)
    os.close(controller)
    assert not list(reference_copy.home.glob("lotus-lake*"))


def _take_terminal(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def test_closing_the_window(reference_copy: Lake) -> None:
    """When its terminal goes away, nothing is left of it."""
    process = subprocess.Popen(
        COMMAND,
        cwd=PROJECT,
        env={**reference_copy.environment, "TMPDIR": str(reference_copy.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 20
    while not list(reference_copy.home.glob("lotus-lake-sql-*/start.sql")):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGHUP)
    process.wait(20)
    assert not list(reference_copy.home.glob("lotus-lake*"))


def test_on_a_branch(reference_copy: Lake) -> None:
    """With target pr it is the branch; one that is not there is named."""
    assert operation(reference_copy, "branch", name="trial").code == 0
    branch = reference_copy.branch("trial")
    there = shell(branch, "-csv", "-c", "select count(*) > 0 as there from fct_sales")
    assert there.output == "there\ntrue\n"
    missing = shell(branch, environment={"LAKE_BRANCH": "nobody"})
    assert missing.code == 64
    assert "There is no branch nobody" in missing.output


def test_without_a_lake(lake: Lake) -> None:
    """It says what to do."""
    missing = shell(lake)
    assert missing.code == 40
    assert "run `make build` first" in missing.output
    assert "Traceback" not in missing.output


def test_in_postgres(
    postgres_lake: Callable[..., Lake], postgres: services.Postgres, tmp_path: Path
) -> None:
    """With PostgreSQL, and the password of a connection string nowhere to be seen."""
    lake = postgres_lake()
    assert lake.build_quickly("--select", "dim_dates").ok
    counted = shell(lake, "-csv", "-c", "select count(*) > 0 as there from dim_dates")
    assert counted.output == "there\ntrue\n"
    password = lake.environment.pop("PGPASSWORD")
    words = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER"}
    given = make_dsn(
        password=password, **{word: lake.environment[name] for word, name in words.items()}
    )
    lake.environment["LAKE_CATALOG"] = f"postgres:{given}"
    listed = shell(lake, "-c", "select path from duckdb_databases(); from dim_dates limit 1")
    assert listed.code == 0, listed
    assert f"dbname={lake.environment['PGDATABASE']}" in listed.output
    assert password not in listed.output


def test_no_secret_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell reads at its start names where S3 is, and none of the keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    text = start_sql(LakeConfig("s3://landing/raw", "postgres:", "s3://lake/data/", "prod"))
    assert "credential_chain" in text
    assert "127.0.0.1:9000" in text
    assert "the-key" not in text
    assert "the-secret" not in text
