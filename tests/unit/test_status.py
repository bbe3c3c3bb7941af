"""`make status` on a small, real lake, and how it looks."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from lotus_lake import status
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.connection import ALIAS, attach, prepare

ROOT = Path(__file__).parents[2]
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
    macro = (ROOT / "macros/lakehouse/create_meta_tables.sql").read_text()
    statements = re.search(r"begin;.*commit;", macro, re.DOTALL)
    assert statements, "create_meta_tables no longer creates its tables in one transaction"
    with duckdb.connect() as connection:
        prepare(connection, config)
        connection.execute("set TimeZone = 'UTC'")
        attach(
            connection,
            config,
            f"attach 'ducklake:{config.catalog}' as {ALIAS}"
            f" (data_path '{config.data_url}', data_inlining_row_limit 0)",
        )
        connection.execute(f"create schema {ALIAS}.meta")
        connection.execute(statements[0].replace('" ~ target.database ~ "', ALIAS))
        yield connection


def cursor(
    writer: duckdb.DuckDBPyConnection,
    stream: str,
    path: str | None = None,
    backlog: tuple[int, int] = (0, 0),
) -> None:
    """Give a stream its cursor row, fed at noon if it has a path."""
    writer.execute(
        f"insert into {ALIAS}.meta.feeder_cursors by name select 'shopify' as source,"
        " $stream as stream, $path as cursor_path, 1 as cursor_version, 2 as files_loaded,"
        " 30 as rows_loaded, 400 as bytes_loaded, $files as backlog_files,"
        " $bytes as backlog_bytes, $fed_at::timestamptz as updated_at",
        {
            "stream": stream,
            "path": path,
            "files": backlog[0],
            "bytes": backlog[1],
            "fed_at": NOON if path else None,
        },
    )


def file(
    writer: duckdb.DuckDBPyConnection,
    path: str,
    *,
    rows: int | None = 10,
    reason: str | None = None,
    version: int = 1,
    written: datetime = NOON,
    stream: str = "orders",
) -> None:
    """Write a line of the ledger; with a reason it is quarantined."""
    writer.execute(
        f"insert into {ALIAS}.meta.feeder_files by name select 'shopify' as source,"
        " $stream as stream, $path as path, 'etag-' || $version as etag, 100 as size_bytes,"
        " $written as last_modified, $rows::bigint as row_count, $status as status,"
        " $reason as reason, $version as cursor_version, $loaded_at as loaded_at",
        {
            "stream": stream,
            "path": path,
            "version": version,
            "written": written,
            "rows": None if reason else rows,
            "status": "quarantined" if reason else "loaded",
            "reason": reason,
            "loaded_at": NOON + timedelta(minutes=version),
        },
    )


def printed(found: status.LakeStatus, now: datetime = NOON, width: int = 80) -> str:
    """What a terminal without colours shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(status.render(found, now))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_a_stream_as_its_last_feed_left_it(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_1.parquet", backlog=(3, 2_500_000))
    file(writer, f"{DAY}/part_0.parquet", written=NOON - timedelta(hours=5))
    file(writer, f"{DAY}/part_1.parquet", written=NOON - timedelta(hours=2))

    (stream,) = status.read(config).streams

    assert stream.name == "shopify.orders"
    assert stream.last_day == date(2025, 3, 9)
    assert (stream.files, stream.rows) == (2, 30)
    assert (stream.backlog_files, stream.backlog_bytes) == (3, 2_500_000)
    assert (stream.quarantined, stream.quarantined_reason) == (0, None)
    assert stream.lag(NOON) == timedelta(hours=2)
    assert stream.fed_at == NOON


def test_a_stream_that_was_never_fed(config: LakeConfig, writer: duckdb.DuckDBPyConnection) -> None:
    cursor(writer, "customers")

    found = status.read(config)

    (stream,) = found.streams
    assert (stream.last_day, stream.fed_at, stream.lag(NOON)) == (None, None, None)
    assert found.deliveries == []
    assert "Nothing was fed yet." in printed(found)


def test_quarantine_counts_files_and_shows_the_newest_reason(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_1.parquet")
    file(writer, f"{DAY}/part_0.parquet", reason="it is empty (0 bytes)", version=1)
    file(writer, f"{DAY}/part_1.parquet", reason="it has no rows", version=2)

    found = status.read(config)

    (stream,) = found.streams
    assert stream.quarantined == 2
    assert stream.quarantined_path == f"{DAY}/part_1.parquet"
    assert stream.quarantined_reason == "it has no rows"
    assert "it has no rows (and 1 more)" in " ".join(printed(found).split())


def test_a_repaired_file_is_no_longer_in_quarantine(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_0.parquet")
    file(writer, f"{DAY}/part_0.parquet", reason="it is cut off", version=1)
    file(writer, f"{DAY}/part_0.parquet", version=2)

    (stream,) = status.read(config).streams

    assert stream.quarantined == 0


def test_a_good_file_that_was_overwritten_by_a_bad_one_is_in_quarantine(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_0.parquet")
    file(writer, f"{DAY}/part_0.parquet", version=1)
    file(writer, f"{DAY}/part_0.parquet", reason="it is cut off", version=2)

    (stream,) = status.read(config).streams

    assert (stream.quarantined, stream.quarantined_reason) == (1, "it is cut off")


def test_deliveries_newest_first_and_no_more_than_asked_for(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_12.parquet")
    for version in range(1, 13):
        file(writer, f"{DAY}/part_{version}.parquet", version=version)
    file(writer, f"{DAY}/bad.parquet", reason="it has no rows", version=12)

    deliveries = status.read(config).deliveries

    assert [delivery.cursor_version for delivery in deliveries] == list(range(12, 2, -1))
    newest = deliveries[0]
    assert (newest.files, newest.rows, newest.quarantined) == (1, 10, 1)
    assert newest.loaded_at == NOON + timedelta(minutes=12)


def test_it_reads_while_a_build_writes(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    cursor(writer, "orders", f"{DAY}/part_0.parquet")
    writer.execute("begin")
    file(writer, f"{DAY}/part_0.parquet")

    assert status.read(config).deliveries == []

    # And reading has not kept the build from committing.
    writer.execute("commit")
    assert len(status.read(config).deliveries) == 1


def test_it_changes_nothing(config: LakeConfig, writer: duckdb.DuckDBPyConnection) -> None:
    cursor(writer, "orders")
    newest = f"select max(snapshot_id) from ducklake_snapshots('{ALIAS}')"
    before = writer.execute(newest).fetchone()

    status.read(config)

    assert writer.execute(newest).fetchone() == before


@pytest.mark.parametrize("width", [80, 100, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    stream = status.StreamStatus(
        source="jaffle_shop",
        stream="customers_with_a_long_name",
        last_day=date(2025, 3, 9),
        files=1_234_567,
        rows=98_765_432_100,
        backlog_files=12_345,
        backlog_bytes=987_654_321,
        quarantined=123,
        quarantined_path=f"{DAY}/{'x' * 100}.parquet",
        quarantined_reason="column total_price has 14 values that cannot become a double",
        newest_file_at=NOON - timedelta(days=900),
        fed_at=NOON - timedelta(days=30),
    )
    delivery = status.Delivery(
        "jaffle_shop", "customers_with_a_long_name", 12_345, NOON, 500, 98_765_432_100, 123
    )

    lines = printed(status.LakeStatus([stream], [delivery] * 10), width=width).splitlines()

    assert max(map(len, lines)) <= width
    for figure in ("1,234,567", "98.8bn", "12,345 (988 MB)", "123", "900d", "30d"):
        assert figure in "\n".join(lines)


def test_the_command_shows_the_lake(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor(writer, "orders", f"{DAY}/part_0.parquet")

    assert status.main() == 0
    assert "shopify.orders" in capsys.readouterr().out


@pytest.mark.usefixtures("config")
def test_no_lake_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main() == 40
    message = capsys.readouterr().err
    assert "make build" in message
    assert message.count("\n") == 1


def test_a_catalog_that_is_none(config: LakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert config.sqlite_path
    config.sqlite_path.write_text("this is no database\n" * 100)

    assert status.main() == 40
    message = capsys.readouterr().err
    assert str(config.sqlite_path) in message
    assert message.count("\n") == 1


def test_a_catalog_server_that_does_not_answer(
    config: LakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", "postgres:")
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGPASSWORD", "very-secret")

    assert status.main() == 40
    message = capsys.readouterr().err
    assert "cannot be attached" in message
    assert "very-secret" not in message
    assert message.count("\n") == 1


def test_a_lake_without_bookkeeping(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    writer.execute(f"drop table {ALIAS}.meta.feeder_cursors")

    assert status.main() == 40
    assert "make build" in capsys.readouterr().err


def test_a_wrong_environment(
    config: LakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", "mysql:somewhere")

    assert status.main() == 64
    assert "LAKE_CATALOG" in capsys.readouterr().err


def test_an_error_while_reading_is_one_line(
    config: LakeConfig, writer: duckdb.DuckDBPyConnection
) -> None:
    writer.execute(f"alter table {ALIAS}.meta.feeder_cursors drop column backlog_files")

    with pytest.raises(LakeError, match="backlog_files") as raised:
        status.read(config)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (None, "-"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=61), "61m"),
        (timedelta(hours=36), "36h"),
        (timedelta(hours=72), "3d"),
        (timedelta(days=1000), "1,000d"),
    ],
)
def test_age(span: timedelta | None, shown: str) -> None:
    assert status.age(span) == shown


@pytest.mark.parametrize(
    ("bytes_", "shown"), [(0, "0 B"), (999, "999 B"), (2_500_000, "2 MB"), (10**13, "10.0 TB")]
)
def test_size(bytes_: int, shown: str) -> None:
    assert status.size(bytes_) == shown
