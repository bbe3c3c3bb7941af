"""`make status` on a small, real lake, and how it looks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from lotus_lake import status
from lotus_lake.config import LakeConfig
from lotus_lake.connection import ALIAS, attach, attach_sql, prepare

from .conftest import meta_tables_sql

NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)
DAY = "shopify/orders/year=2025/month=03/day=09"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeConfig:
    """A lake of its own, also for what reads the environment."""
    places = {
        "DBT_TARGET": "local",
        "LAKE_LANDING_URL": str(tmp_path / "raw"),
        "LAKE_CATALOG": f"sqlite:{tmp_path / 'catalog.sqlite'}",
        "LAKE_DATA_URL": f"{tmp_path / 'data'}/",
    }
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    return LakeConfig.from_env(places)


@pytest.fixture
def writer(config: LakeConfig) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection such as dbt's, to a lake whose bookkeeping the project's macro describes."""
    with duckdb.connect() as connection:
        prepare(connection, config)
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, config, attach_sql(config, ALIAS))
        for statement in meta_tables_sql():
            connection.execute(statement)
        connection.execute(
            f"insert into {ALIAS}.meta.feeder_cursors by name select 'shopify' as source,"
            f" 'orders' as stream, '{DAY}/part_1.parquet' as cursor_path, 1 as cursor_version,"
            " 2 as files_loaded, 30 as rows_loaded, 400 as bytes_loaded, 3 as backlog_files,"
            f" 2500000 as backlog_bytes, '{NOON}'::timestamptz as updated_at"
        )
        yield connection


def file(
    writer: duckdb.DuckDBPyConnection, name: str, version: int, reason: str | None = None
) -> None:
    """Write a line of the ledger; with a reason it is quarantined."""
    writer.execute(
        f"insert into {ALIAS}.meta.feeder_files by name select 'shopify' as source,"
        " 'orders' as stream, $path as path, 'etag-' || $version as etag, 100 as size_bytes,"
        " $written as last_modified, if($reason is null, 10, null) as row_count,"
        " if($reason is null, 'loaded', 'quarantined') as status, $reason as reason,"
        " $version as cursor_version, $loaded_at as loaded_at",
        {
            "path": f"{DAY}/{name}.parquet",
            "version": version,
            "written": NOON - timedelta(hours=2),
            "reason": reason,
            "loaded_at": NOON + timedelta(minutes=version),
        },
    )


def printed(found: status.LakeStatus) -> str:
    """What a terminal without colours shows at noon."""
    output = io.StringIO()
    Console(file=output, width=80, highlight=False).print(status.render(found, NOON))
    return output.getvalue()


def test_a_stream_and_its_deliveries(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its last feed left it; no more deliveries than a person reads, the newest first."""
    assert "Nothing was fed yet." in printed(status.read(config))
    for version in range(1, 13):
        file(writer, f"part_{version}", version)
    file(writer, "bad", 12, reason="it has no rows")

    found = status.read(config)

    (stream,) = found.streams
    assert (stream.name, stream.files, stream.rows) == ("shopify.orders", 2, 30)
    assert stream.newest_file_at == NOON - timedelta(hours=2)
    assert [one.cursor_version for one in found.deliveries] == list(range(12, 2, -1))
    assert (found.deliveries[0].files, found.deliveries[0].quarantined) == (1, 1)
    shown = " ".join(printed(found).split())
    assert "shopify.orders 2025-03-09 2 30 3 (2 MB) 1 2h 0s" in shown
    assert status.main() == 0
    assert "shopify.orders" in capsys.readouterr().out


def test_what_is_in_quarantine(config: LakeConfig, writer: duckdb.DuckDBPyConnection) -> None:
    """The newest version of a file says it: one that was repaired is not, and one that was good
    until it was overwritten is. The reason is that of the file that was met last."""
    file(writer, "repaired", 1, reason="it is cut off")
    file(writer, "repaired", 2)
    file(writer, "overwritten", 1)
    file(writer, "overwritten", 3, reason="it is empty (0 bytes)")
    file(writer, "bad", 4, reason="it is cut off")
    file(writer, "bad", 5, reason="it has no rows")

    found = status.read(config)

    assert found.streams[0].quarantined == 2
    assert f"{DAY}/bad.parquet: it has no rows (and 1 more)" in " ".join(printed(found).split())


def test_it_reads_beside_a_build_and_changes_nothing(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    newest = f"select max(snapshot_id) from ducklake_snapshots('{ALIAS}')"
    before = writer.execute(newest).fetchone()
    writer.execute("begin")
    file(writer, "part_0", 1)

    assert status.read(config).deliveries == []
    writer.execute("commit")  # reading has not kept the build from it

    assert len(status.read(config).deliveries) == 1
    assert writer.execute(newest).fetchone() == (before[0] + 1,) if before else False


def test_what_cannot_be_read_is_one_line(
    config: LakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No lake, a file that is none, a server that does not answer, a wrong environment."""

    def refused(code: int, said: str) -> None:
        assert status.main() == code
        message = capsys.readouterr().err
        assert said in message and message.count("\n") == 1
        assert "very-secret" not in message

    refused(40, "make build")
    assert config.sqlite_path
    config.sqlite_path.write_text("this is no database\n" * 100)
    refused(40, str(config.sqlite_path))
    monkeypatch.setenv("LAKE_CATALOG", "postgres:")
    for name, value in (("HOST", "127.0.0.1"), ("PORT", "1"), ("PASSWORD", "very-secret")):
        monkeypatch.setenv(f"PG{name}", value)
    refused(40, "cannot be attached")
    monkeypatch.setenv("LAKE_CATALOG", "mysql:somewhere")
    refused(64, "LAKE_CATALOG")
