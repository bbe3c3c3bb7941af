"""The scheduler's decisions: what is news, who holds the lock, what is told, what it exits with."""

from __future__ import annotations

import json
import os
import runpy
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.landing import LocalLanding
from lotus_lake.listing import plan_listing
from lotus_lake.scheduler import build, news
from lotus_lake.scheduler.alerts import Condition, post
from lotus_lake.scheduler.catalog import open_catalog
from lotus_lake.scheduler.exits import Exit, Locked, Unreachable, worst
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.state import State
from lotus_lake.scheduler.store import open_store
from lotus_lake.scheduler.tick import build_arguments, exit_code, history_days
from tests.system import services

SNAPSHOT = ["7", "2025-01-15 00:00:00+00"]
PROJECT = Path(__file__).parents[2]
DAY = "year=2025/month=01/day=15"


@pytest.fixture
def config(tmp_path: Path) -> LakeConfig:
    (tmp_path / "landing").mkdir()
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


# -- what to list ----------------------------------------------------------------------------------


def listing(**changes: Any) -> tuple[date | None, datetime | None]:
    now = datetime.now(UTC)
    row = {
        "cursor_path": f"s/t/{DAY}/part.parquet",
        "files": 5000,
        "swept_at": now - timedelta(hours=1),
        "updated_at": now,
        "lookback_days": 14,
        "sweep_hours": 24,
        "list_free_files": 1000,
    }
    found = plan_listing(**(row | changes))
    return found.since, found.changed_since


def test_recent_days_are_listed_and_everything_when_due_or_cheap() -> None:
    since, changed = listing()
    assert since == date(2025, 1, 1)
    assert changed and datetime.now(UTC) - changed > timedelta(hours=23)
    everything = (None, None)
    assert listing(files=1000) == everything
    assert listing(swept_at=None) == everything
    assert listing(swept_at=datetime.now(UTC) - timedelta(hours=25)) == everything
    assert listing(cursor_path=None) == everything
    assert listing(cursor_path="s/t/outside.parquet") == everything
    today = datetime.now(UTC).date()
    assert listing(cursor_path="s/t/year=2999/month=01/day=01/x")[0] == today - timedelta(14)


# -- the quick proof -------------------------------------------------------------------------------


def memory(landing: LocalLanding, **changes: Any) -> dict[str, Any]:
    """What a good tick remembers of one stream, s.t."""
    stream = news.StreamMemory(
        source="s",
        stream="t",
        cursor_path=f"s/t/{DAY}/a",
        cursor_version=1,
        files=5000,
        swept_at=datetime.now(UTC).isoformat(),
        updated_at="2025-01-20 00:00:00+00",
        backlog=0,
        ledger_rows=2,
        lookback_days=14,
        sweep_hours=24,
        list_free_files=1000,
        **changes,
    )
    usual = stream.listing(None)
    entry = {
        "stream": asdict(stream),
        "digest": news._digest(usual, stream.versions(landing, usual)),
        "swept_at": None,
        "news": False,
    }
    return {"code": "c", "snapshot": SNAPSHOT, "streams": {"s.t": entry}}


def land(config: LakeConfig, path: str, content: str = "x") -> Path:
    file = Path(config.landing_url, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def test_the_same_code_snapshot_and_listing_prove_that_nothing_is_new(config: LakeConfig) -> None:
    land(config, f"s/t/{DAY}/a")
    landing = LocalLanding(config.landing_url)
    known = memory(landing)
    assert news.nothing_new(known, "c", SNAPSHOT, landing)
    assert not news.nothing_new(None, "c", SNAPSHOT, landing)
    assert not news.nothing_new(known, "other", SNAPSHOT, landing)
    assert not news.nothing_new(known, "c", ["7", "another time, after a restore"], landing)
    land(config, f"s/t/{DAY}/b")
    assert not news.nothing_new(known, "c", SNAPSHOT, landing)
    assert news.nothing_new(memory(landing), "c", SNAPSHOT, landing)
    land(config, f"s/t/{DAY}/b", "other content")
    assert not news.nothing_new(known, "c", SNAPSHOT, landing)


def test_a_repaired_file_of_an_old_day_is_seen(config: LakeConfig) -> None:
    old = "s/t/year=2024/month=01/day=01/bad"
    land(config, f"s/t/{DAY}/a")
    os.utime(land(config, old).parent, (0, 0))
    landing = LocalLanding(config.landing_url)
    known = memory(landing, quarantined=[[old, "etag", "it is empty"]])
    blind = memory(landing)
    os.utime(land(config, old, "whole").parent, (0, 0))
    assert not news.nothing_new(known, "c", SNAPSHOT, landing)
    assert news.nothing_new(blind, "c", SNAPSHOT, landing), "the window is no window"


def test_a_due_sweep_is_no_proof(config: LakeConfig) -> None:
    land(config, f"s/t/{DAY}/a")
    landing = LocalLanding(config.landing_url)
    known = memory(landing)
    entry = known["streams"]["s.t"]
    entry["stream"]["swept_at"] = "2025-01-15 00:00:00+00"
    assert not news.nothing_new(known, "c", SNAPSHOT, landing)
    entry["swept_at"] = datetime.now(UTC).isoformat()  # by the scheduler itself
    assert news.nothing_new(known, "c", SNAPSHOT, landing)


def test_code_is_what_a_build_depends_on(tmp_path: Path, config: LakeConfig) -> None:
    for name in (
        "models/a.sql",
        "macros/b.sql",
        "lotus_lake/c.py",
        "tests/d.sql",
        "dbt_project.yml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    before = news.code_digest(tmp_path, config, None)
    (tmp_path / "tests/test_x.py").write_text("no test of dbt")
    (tmp_path / "lotus_lake/__pycache__").mkdir()
    (tmp_path / "lotus_lake/__pycache__/c.py").write_text("compiled")
    assert news.code_digest(tmp_path, config, None) == before
    assert news.code_digest(tmp_path, config, "{a: 1}") != before
    for name in ("models/a.sql", "tests/d.sql", "lotus_lake/c.py"):
        (tmp_path / name).write_text("2")
        changed = news.code_digest(tmp_path, config, None)
        assert changed != before
        before = changed


def test_what_dbt_is_asked_for() -> None:
    streams = [news.StreamNews("s", "t", [], "files have landed")]
    look = news.Look(streams=streams, tables=["int_x"])
    assert look.selectors == ["stg_s__t+", "int_x+"]
    arguments = build_arguments(look.selectors, "{a: 1}")
    assert arguments[-3:] == ["--select", "stg_s__t+", "int_x+"]
    assert arguments[3:5] == ["--vars", "{a: 1}"]
    assert "--select" not in build_arguments(news.Look("because", streams).selectors, None)


# -- the catalog -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["config", "in_postgres"])
def test_one_run_at_a_time(kind: str, request: pytest.FixtureRequest) -> None:
    config: LakeConfig = request.getfixturevalue(kind)
    first, second = open_catalog(config), open_catalog(config)
    first.lock()
    assert first.holds_lock()
    with pytest.raises(Locked, match=rf"pid {os.getpid()}"):
        second.lock()
    first.close()
    second.lock()
    second.close()


def test_a_lost_connection_loses_the_lock_and_takes_it_again(
    in_postgres: LakeConfig, server: services.Postgres
) -> None:
    catalog, other = open_catalog(in_postgres), open_catalog(in_postgres)
    catalog.lock()
    end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%'"
    server.server.psql(f"{end} and datname = '{os.environ['PGDATABASE']}';")
    other.close()
    assert catalog.holds_lock()
    other = open_catalog(in_postgres)
    with pytest.raises(Locked):
        other.lock()
    server.server.psql(f"{end} and datname = '{os.environ['PGDATABASE']}';")
    other = open_catalog(in_postgres)
    other.lock()
    assert not catalog.holds_lock(), "another run was faster"
    other.close()


def test_no_lake_has_no_snapshot(config: LakeConfig, in_postgres: LakeConfig) -> None:
    assert open_catalog(config).snapshot() is None
    catalog = open_catalog(in_postgres)
    assert catalog.snapshot() is None
    catalog.close()


def test_a_catalog_that_is_away_says_what_to_check(
    config: LakeConfig, in_postgres: LakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(config.catalog.removeprefix("sqlite:")).write_text("no SQLite " * 200)
    with pytest.raises(Unreachable, match="SQLite catalog"):
        open_catalog(config).snapshot()
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    with pytest.raises(Unreachable, match="PGPASSWORD") as away:
        open_catalog(in_postgres)
    assert "wrong-secret" not in str(away.value)
    broken = LakeConfig("l", "postgres:host=h password=t0p s3cret", "d/")
    with pytest.raises(LakeError, match="no connection string") as wrong:
        open_catalog(broken)
    assert "s3cret" not in str(wrong.value)


def test_a_catalog_that_is_something_else_is_a_wrong_configuration(config: LakeConfig) -> None:
    with closing(sqlite3.connect(config.catalog.removeprefix("sqlite:"))) as other:
        other.execute("create table t (a)")
    with pytest.raises(LakeError, match=r"LAKE_CATALOG .* something else") as wrong:
        open_catalog(config).snapshot()
    assert not isinstance(wrong.value, Unreachable)


# -- memory ----------------------------------------------------------------------------------------


def test_the_newest_copy_of_the_memory_counts(in_postgres: LakeConfig, tmp_path: Path) -> None:
    catalog = open_catalog(in_postgres)
    state = State(in_postgres)
    assert state.load(catalog) == []
    state.data["told"] = "first"
    assert state.save(catalog) == []
    file = tmp_path / "scheduler.json"
    older = file.read_text()
    state.data["told"] = "second"
    assert state.save(catalog) == []
    for content in (older, "{ broken", "[]"):
        file.write_text(content)
        again = State(in_postgres)
        again.load(catalog)
        assert again.data["told"] == "second"
    state.data["told"] = "third"
    assert state.save(None) == [], "the catalog is away"
    again = State(in_postgres)
    again.load(catalog)
    assert again.data["told"] == "third"
    catalog.close()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path}/a/b")
    assert (store.read("f"), store.has("f")) == (None, False)
    store.write("runs/f", b"1")
    store.write("runs/f", b"2")
    assert (store.read("runs/f"), store.has("runs/f")) == (b"2", True)
    assert [path.name for path in (tmp_path / "a/b/runs").iterdir()] == ["f"]
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="cannot be written"):
        open_store(f"{tmp_path}/file").write("f", b"")


def test_old_runs_are_deleted_from_what_was_published(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path}/published")
    assert store.delete_below("runs/", "20260101T000000Z") == 0, "nothing was ever published"
    for name in ("runs/20251231T235959Z-a/1", "runs/20251231T235959Z-a/2", "manifest.json"):
        store.write(name, b"")
    store.write("runs/20260101T000000Z-b/1", b"")
    assert store.delete_below("runs/", "20260101T000000Z") == 2
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"published/manifest.json", "published/runs/20260101T000000Z-b/1"}


def test_for_how_long_runs_are_remembered() -> None:
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["history_days"]
    assert history_days(PROJECT, None) == declared
    assert history_days(PROJECT, "{history_days: 3, feed_lookback_days: 1}") == 3


# -- what is told ----------------------------------------------------------------------------------


def test_the_greatest_code_counts() -> None:
    assert worst([Exit.OK, Exit.PARTIAL, Exit.FAILED]) == 20
    assert worst([Exit.UNREACHABLE, Exit.FAILED, Exit.USAGE]) == 64
    assert worst([]) == 0
    assert all(code.meaning for code in Exit)


def test_bad_is_told_once_and_good_once() -> None:
    good, failed = Condition(Exit.OK), Condition(Exit.FAILED)
    assert not good.worth_telling(None)
    assert failed.worth_telling(None)
    assert not failed.worth_telling(failed.remembered())
    assert good.worth_telling(failed.remembered())
    assert not good.worth_telling(good.remembered())
    assert Condition(Exit.UNREACHABLE).worth_telling(failed.remembered())
    one = Condition(Exit.PARTIAL, ["s.a"])
    assert not Condition(Exit.PARTIAL, ["s.a"]).worth_telling(one.remembered())
    assert Condition(Exit.PARTIAL, ["s.a", "s.b"]).worth_telling(one.remembered())


def test_a_message_names_stream_reason_and_command() -> None:
    bad = Condition(Exit.PARTIAL, ["s.t"], "quarantined s/t/x: it is empty.", "make status")
    payload = bad.payload(None, "tick")
    for part in ("s.t", "it is empty", "`make status`", "exit code 10"):
        assert part in payload["text"]
    assert json.loads(json.dumps(payload))["status"] == "bad"
    assert Condition(Exit.OK).payload(bad.remembered(), "tick")["status"] == "good"


def test_a_webhook_that_is_away_is_not_named() -> None:
    said = post("http://127.0.0.1:9/t0ps3cret", {})
    assert said and "cannot be reached" in said
    assert "t0ps3cret" not in said
    said = post("http://[t0ps3cret/", {})
    assert said and "t0ps3cret" not in said


# -- dbt's messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused',
        "IO Error: Unable to query: server closed the connection unexpectedly",
        "HTTP Error: HTTP GET error on 'http://s3/x' (HTTP 503)",
        "The landing zone s3://landing/raw cannot be listed: Error performing GET",
        "FATAL: remaining connection slots are reserved for superusers",
    ],
)
def test_an_outage_is_told_from_a_failure(message: str) -> None:
    assert build.Problem("stg_a__b", message).away


@pytest.mark.parametrize(
    "message",
    ["Got 3 results, configured to fail if != 0", "column x does not exist", "Out of Memory Error"],
)
def test_a_failure_is_no_outage(message: str) -> None:
    assert not build.Problem("int_a", message).away


def test_of_a_message_the_line_that_says_what_happened() -> None:
    text = "Compilation Error in model a (models/a.py)\n  Stream s.t: it is away.\n\n  > in macro b"
    assert build._line(text) == "Stream s.t: it is away."
    assert build._line("Runtime Error in model a") == "Runtime Error in model a"
    text = "Runtime Error in model a (a.sql)\n  Permission denied\n  compiled code at /tmp/a.sql"
    assert build._line(text) == "Permission denied"
    assert build._line("Database Error\n  LAKE_CATALOG is wrong.") == "LAKE_CATALOG is wrong."


@pytest.mark.parametrize(
    ("macro", "code"),
    [("_refuse_variable", 64), ("declare_streams", 64), ("_check_deletions", 20), ("money", 20)],
)
def test_what_a_person_has_set_wrong_is_told_from_a_failure(macro: str, code: int) -> None:
    text = (
        "Compilation Error in operation lotus_lake-on-run-start-0 (./dbt_project.yml)\n"
        f"  It is wrong.\n\n  > in macro {macro} (macros/x.sql)\n"
        "  > called by macro declare_streams (macros/y.sql)"
    )
    problem = build.Problem("", build._line(text), build._is_refused(text))
    assert problem.message == "It is wrong."
    assert exit_code(None, problem) == code
    assert exit_code("The catalog is away.", problem) == 40


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (None, True),
        ("", True),
        ("{feed_max_files: 10}", True),
        *((text, False) for text in ("{a", "feed_max_files", "[a]", "null", "5")),
    ],
)
def test_variables_that_dbt_could_not_take(
    text: str | None, fits: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    command = runpy.run_path(str(PROJECT / "scripts/scheduler.py"))["parse"]
    arguments = [] if text is None else ["--vars", text]
    if fits:
        assert command(arguments).vars == text
        return
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 64
    assert f"--vars is '{text}'" in capsys.readouterr().err


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
