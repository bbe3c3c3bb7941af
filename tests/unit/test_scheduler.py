"""The scheduler's decisions: what to list, who holds the lock, what is told, what it exits with."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import connect
from lotus_lake.exits import Exit, Locked, Unreachable
from lotus_lake.listing import first_day
from lotus_lake.locks import run_lock
from lotus_lake.scheduler.alerts import Alerts, Report
from lotus_lake.scheduler.build import Problem, Result
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.pending import code_digest
from lotus_lake.scheduler.store import Store
from lotus_lake.scheduler.tick import judge
from tests.system import services
from tests.system.scheduling import webhook

DAY = "year=2025/month=01/day=15"


@pytest.fixture
def config(tmp_path: Path) -> LakeConfig:
    return LakeConfig(
        f"{tmp_path}/landing", f"sqlite:{tmp_path}/catalog.sqlite", f"{tmp_path}/data/"
    )


@pytest.fixture(scope="module")
def server() -> Iterator[services.Postgres]:
    with services.postgres() as running:
        yield running


@pytest.fixture
def in_postgres(
    server: services.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LakeConfig:
    for name, value in server.database(tmp_path.name).items():
        monkeypatch.setenv(name, value)
    return LakeConfig(f"{tmp_path}/landing", "postgres:", f"{tmp_path}/data/")


# -- what is pending -------------------------------------------------------------------------------


def listed_since(**changes: Any) -> date | None:
    row: dict[str, Any] = {
        "cursor_path": f"s/t/{DAY}/part.parquet",
        "files": 5000,
        "swept_at": datetime.now(UTC) - timedelta(hours=1),
    }
    settings = {"feed_lookback_days": 14, "feed_sweep_hours": 24, "feed_list_free_files": 1000}
    return first_day(**(row | changes), settings=settings)


def test_recent_days_are_listed_and_everything_when_due_or_cheap() -> None:
    assert listed_since() == date(2025, 1, 1)
    assert listed_since(files=1000) is None
    assert listed_since(swept_at=None) is None
    assert listed_since(swept_at=datetime.now(UTC) - timedelta(hours=25)) is None
    assert listed_since(cursor_path=None) is None
    assert listed_since(cursor_path="s/t/outside.parquet") is None
    today = datetime.now(UTC).date()
    assert listed_since(cursor_path="s/t/year=2999/month=01/day=01/x") == today - timedelta(14)


def test_code_is_what_a_build_depends_on(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("macro-paths: [macros, engine/macros]")
    names = ("models/a.sql", "engine/macros/b.sql", "a.lock", "tests/d.sql", "sources.yml")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("1")
    before = code_digest(tmp_path, "local", None)
    (tmp_path / "tests/test_x.py").write_text("no test of dbt")
    (tmp_path / "models/c.pyc").write_text("compiled")
    assert code_digest(tmp_path, "local", None) == before
    found = {before, code_digest(tmp_path, "local", "{a: 1}"), code_digest(tmp_path, "prod", None)}
    for name in names:
        (tmp_path / name).write_text("2")
        found.add(code_digest(tmp_path, "local", None))
    assert len(found) == 3 + len(names)


# -- the catalog -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["config", "in_postgres"])
def test_one_run_at_a_time(kind: str, request: pytest.FixtureRequest) -> None:
    config: LakeConfig = request.getfixturevalue(kind)
    for _ in range(2):
        with (
            run_lock(config),
            pytest.raises(Locked, match=rf"pid {os.getpid()}"),
            run_lock(config),
        ):
            pass


def test_a_catalog_that_is_away_says_what_to_check(
    config: LakeConfig, in_postgres: LakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(config.catalog.removeprefix("sqlite:")).write_text("no SQLite " * 200)
    with pytest.raises(Unreachable, match="SQLite catalog"):
        connect(config)
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    with pytest.raises(Unreachable, match="PGPASSWORD") as away, run_lock(in_postgres):
        pass
    assert "wrong-secret" not in str(away.value)
    broken = LakeConfig("l", "postgres:host=h password=t0p s3cret", "d/")
    with pytest.raises(LakeError, match="no connection string") as wrong, run_lock(broken):
        pass
    assert "s3cret" not in str(wrong.value)


def test_a_catalog_that_is_something_else_is_a_wrong_configuration(config: LakeConfig) -> None:
    with closing(sqlite3.connect(config.catalog.removeprefix("sqlite:"))) as other:
        other.execute("create table t (a)")
    with pytest.raises(LakeError, match=r"LAKE_CATALOG .* something else") as wrong:
        connect(config)
    assert not isinstance(wrong.value, Unreachable)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/a/b")
    assert store.read("f") is None
    store.write("site/f", b"1")
    store.write("site/f", b"2")
    assert store.read("site/f") == b"2"
    assert [path.name for path in (tmp_path / "a/b/site").iterdir()] == ["f"]
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="cannot be written"):
        Store(f"{tmp_path}/file").write("f", b"")


# -- what is told ----------------------------------------------------------------------------------


def test_bad_is_told_once_and_good_once(config: LakeConfig) -> None:
    """By any process: a new one knows of the open incident. A tick that is fine does not empty the
    quarantine."""
    quarantined: list[str] = []

    def told(code: Exit, streams: Any = (), idle: bool = False) -> list[tuple[str, int]]:
        report = Report(code, "It is <so>.", "lake status", list(streams), idle)
        Alerts(hook.url, config, Log()).tell(report, lambda: quarantined)
        return [(message["status"], message["exit_code"]) for message in hook.take()]

    with webhook() as hook:
        assert told(Exit.OK) == []
        assert told(Exit.FAILED) == [("bad", 20)]
        assert told(Exit.FAILED) == told(Exit.LOCKED) == []
        assert told(Exit.UNREACHABLE) == [("bad", 40)]
        assert told(Exit.OK) == [("good", 0)]
        assert told(Exit.PARTIAL, ["s.a"]) == [("bad", 10)]
        quarantined = ["s.a"]
        assert told(Exit.PARTIAL, ["s.a"]) == told(Exit.OK) == []
        assert told(Exit.PARTIAL, ["s.b"]) == [("bad", 10)]
        quarantined = []
        assert told(Exit.OK, idle=True) == [("good", 0)]
        assert told(Exit.PARTIAL) == [("bad", 10)]
        assert told(Exit.OK, idle=True) == [], "a test warned, and did not run again"
        assert told(Exit.OK) == [("good", 0)]
        hook.status = 500
        assert told(Exit.FAILED) == []
        hook.status = 200
        assert told(Exit.FAILED) == [("bad", 20)]


def test_a_message_names_stream_reason_and_command(config: LakeConfig) -> None:
    report = Report(Exit.PARTIAL, "quarantined s/t/x: it is empty.", "lake status", ["s.t"])
    with webhook() as hook:
        Alerts(hook.url, config, Log()).tell(report, list)
        (message,) = hook.take()
    for part in ("s.t", "it is empty", "`lake status`", "exit code 10"):
        assert part in message["text"]


@pytest.mark.slow
def test_a_webhook_that_hangs_holds_a_tick_for_five_seconds(config: LakeConfig) -> None:
    out = StringIO()
    with webhook() as hook, redirect_stdout(out):
        hook.delay = 7
        Alerts(hook.url, config, Log()).tell(Report(Exit.FAILED, "so"), list)
    assert "did not answer within 5 seconds" in out.getvalue()


def test_a_webhook_that_is_away_is_not_named(config: LakeConfig) -> None:
    for url in ("http://127.0.0.1:9/t0ps3cret", "http://[t0ps3cret/"):
        out = StringIO()
        with redirect_stdout(out):
            Alerts(url, config, Log()).tell(Report(Exit.FAILED, "so"), list)
        assert "cannot be reached" in out.getvalue()
        assert "t0ps3cret" not in out.getvalue()


# -- dbt's messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused', 40),
        ("IO Error: Unable to query: server closed the connection unexpectedly", 40),
        ("HTTP Error: HTTP GET error on 'http://s3/x' (HTTP 503)", 40),
        ("The landing zone s3://landing/raw cannot be listed: Error performing GET", 40),
        ("FATAL: remaining connection slots are reserved for superusers", 40),
        ("Got 3 results, configured to fail if != 0", 20),
        ("Out of Memory Error", 20),
        ("Variable a is 'b'; it has to be a number.\n\n  > in macro _operate (a.sql)", 64),
        (
            "Wrong.\n  > in macro _operate (a.sql)\n  > called by macro _declare_streams (b.sql)",
            64,
        ),
        ("Wrong.\n  > in macro _operate (a.sql)\n  > called by macro keep_up (b.sql)", 20),
    ],
)
def test_an_outage_a_refusal_and_a_failure(message: str, code: int) -> None:
    assert judge([Result([Problem("stg_a__b", message)])], []).code == code


def test_of_a_message_the_line_that_says_what_happened() -> None:
    for text, line in (
        ("Compilation Error in model a (a.py)\n  It is away.\n\n  > in macro b", "It is away."),
        ("Runtime Error in model a", "Runtime Error in model a"),
        (
            "Runtime Error in model a (a)\n  Permission denied\n  compiled code at /tmp/a",
            "Permission denied",
        ),
        ("Database Error\n  LAKE_CATALOG is wrong.", "LAKE_CATALOG is wrong."),
    ):
        assert Problem("a", text).line == line


def test_every_line_is_json() -> None:
    out = StringIO()
    with redirect_stdout(out):
        log = Log("json")
        with log.around_dbt():
            print("fed s.t: 1 files\n\nno end", end="")
            print("\n" + '{"info": {"msg": "of dbt"}}')
        log.warn("over", exit_code=10)
    entries = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [entry.get("msg") for entry in entries] == ["fed s.t: 1 files", "no end", None, "over"]
    assert (entries[-1]["level"], entries[-1]["exit_code"]) == ("warn", 10)
