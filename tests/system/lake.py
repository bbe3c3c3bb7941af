"""A lake for one test: its places, its builds, and what is in it.

    lake = Lake(tmp_path)
    lake.deliver(sample.files[:40], sample.out)
    assert lake.build().ok
    assert not differences(lake.tables(), compute(sample.out, files=lake.loaded()))

A lake is used as a person uses it: dbt in a process of its own, configured by nothing but the
environment, and an independent DuckDB connection to look at the result.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from lotus_lake.connection import extension_file
from tests.oracle import SPECIFICATIONS, Table, diff
from tests.system import dbt_process
from tests.system.dbt_process import PROJECT, Crash

__all__ = ["PROJECT", "Build", "Crash", "Lake", "Running", "differences"]

# Everything but the tests, for builds in the middle of a story.
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

# Tests that say that something waits for a person; everything that could be built is built.
_MAY_WARN = {"quarantine_is_empty", "schema_has_not_drifted"}

_KEYS_OF_SNAPSHOTS = {
    "snap_klaviyo__campaigns": "campaign_id",
    "snap_shopify__customers": "customer_id",
    "snap_shopify__inventory": "variant_id, location_id",
}

# What one run writes about itself; everything else has to be the same however files were fed.
_OF_THE_RUN = {"_cursor_version", "dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"}


@dataclass(frozen=True)
class Build:
    """What one dbt process did.

    Args:
        code: Its exit code; negative for the signal that ended it.
        output: What it printed.
        statuses: Status of each node, by its name, from dbt's own run results.
        seconds: How long it took.
    """

    code: int
    output: str
    statuses: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0

    @property
    def bad(self) -> dict[str, str]:
        """Nodes that did not end well."""
        return {
            name: status
            for name, status in self.statuses.items()
            if status not in ("success", "pass", "no-op")
            and not (status == "warn" and name.split(".")[0] in _MAY_WARN)
        }

    @property
    def ok(self) -> bool:
        """Whether dbt ended well and every node did."""
        return self.code == 0 and not self.bad

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        """What a failed assertion shows: the exit code, and the end of the output."""
        return f"dbt ended with {self.code}, not well: {self.bad}\n{self.output[-6000:]}"


@dataclass
class Running:
    """A dbt process that runs."""

    process: Any
    output: Path
    target: Path
    started: float
    on_end: Any

    def wait(self, timeout: float = 900) -> Build:
        """Wait for its end."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"dbt still ran after {timeout} s:\n{self.output.read_text()}")
        self.on_end()
        return Build(
            code=self.process.exitcode,
            output=self.output.read_text(errors="replace"),
            statuses=_statuses(self.target / "run_results.json", self.started),
            seconds=time.time() - self.started,
        )

    def kill(self, after: float) -> Build:
        """Let it run for a while, then end it with SIGKILL, unless it has ended already."""
        self.process.join(after)
        if self.process.exitcode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        return self.wait()


class Lake:
    """A lake in a folder of its own.

    Args:
        home: Folder for all that is local: landing, catalog, data, dbt's target and logs, HOME.
        environment: More environment variables; they come before the harness's own.
        parsed: Folder that remembers dbt's parsed projects, shared by all lakes of a session.
        connect: SQL to run on a connection before ``attach``; the place of the catalog.
    """

    def __init__(
        self,
        home: Path,
        *,
        environment: Mapping[str, str] | None = None,
        parsed: Path | None = None,
        catalog: str | None = None,
        connect: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.landing = home / "landing"
        self.catalog_file = home / "catalog.sqlite"
        self.data = home / "data"
        self.target = home / "target"
        self.logs = home / "logs"
        self.parsed = parsed
        self._catalog = catalog or f"sqlite:{self.catalog_file}"
        self._connect = connect
        self._branch = ""
        self._runs = 0
        for folder in (self.landing, home / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            # An empty home, and a clock that is not UTC's: neither may matter.
            "HOME": str(home / "home"),
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C.UTF-8",
            "LAKE_LANDING_URL": str(self.landing),
            "LAKE_CATALOG": f"sqlite:{self.catalog_file}",
            "LAKE_DATA_URL": str(self.data),
            "LAKE_TEMP_DIR": str(home / "tmp"),
            "LAKE_MEMORY_LIMIT": "1GB",
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.logs),
            "DBT_USE_COLORS": "false",
            # Every node, for tests that look for one.
            "DBT_LOG_LEVEL": "info",
            "DBT_LOG_LEVEL_FILE": "debug",
            **(environment or {}),
        }

    def branch(self, name: str) -> Lake:
        """A branch of it, made before: the same commands, on target ``pr``."""
        branch = copy.copy(self)
        branch.home = self.home / f"on-{name}"
        branch.home.mkdir(exist_ok=True)
        branch.data = self.data.parent / "branches" / name
        branch.catalog_file = self.catalog_file.parent / "branches" / f"{name}.sqlite"
        branch.target, branch.logs = branch.home / "target", branch.home / "logs"
        if self._catalog.startswith("sqlite:"):
            branch._catalog = f"sqlite:{branch.catalog_file}"
        else:
            schema = f"branch_{name}"
            branch._branch = f", metadata_schema '{schema}', meta_schema '{schema}'"
        branch.environment = {
            **self.environment,
            "DBT_TARGET": "pr",
            "LAKE_BRANCH": name,
            "DBT_TARGET_PATH": str(branch.target),
            "DBT_LOG_PATH": str(branch.logs),
        }
        return branch

    # -- what a person does ---------------------------------------------------------------------

    def deliver(self, paths: Iterable[str], source: Path) -> None:
        """Let files land: copied from ``source``, each appearing whole, times kept."""
        for path in paths:
            target = self.landing / path
            target.parent.mkdir(parents=True, exist_ok=True)
            arriving = target.parent / f".arriving-{target.name}"
            shutil.copy2(source / path, arriving)
            arriving.replace(target)

    def start(
        self,
        command: str = "build",
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        crash: Crash | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a dbt command and return at once."""
        self._runs += 1
        # A target folder for each run, so that two can run at once.
        target = self.home / f"target-{self._runs}"
        target.mkdir(parents=True, exist_ok=True)
        cached = self._cached_parse(variables)
        if cached and cached.exists():
            shutil.copy2(cached, target / "partial_parse.msgpack")
        words = ["dbt", command, *arguments]
        if variables:
            words += ["--vars", json.dumps(dict(variables))]
        output = self.home / f"output-{self._runs}.txt"
        variables_of_run = {
            **self.environment,
            "DBT_TARGET_PATH": str(target),
            **(environment or {}),
        }
        return Running(
            process=dbt_process.start(words, variables_of_run, output, crash),
            output=output,
            target=target,
            started=time.time(),
            on_end=lambda: self._keep_parse(cached, target),
        )

    def build(
        self,
        *arguments: str,
        command: str = "build",
        variables: Mapping[str, Any] | None = None,
        crash: Crash | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Build:
        """Run a dbt command, ``dbt build`` unless told otherwise, to its end."""
        return dbt_process.surviving(
            lambda: self.start(
                command, *arguments, variables=variables, crash=crash, environment=environment
            ).wait()
        )

    def start_command(self, *words: str, variables: Mapping[str, Any] | None = None) -> Running:
        """Start ``lake`` and return at once.

        Args:
            words: What follows ``lake``.
            variables: What dbt_project.yml says under ``vars``.
        """
        self._runs += 1
        environment = dict(self.environment)
        if variables:
            project = self.home / f"variables-{self._runs}"
            project.mkdir()
            (project / "dbt_project.yml").write_text(json.dumps({"vars": dict(variables)}))
            environment["DBT_PROJECT_DIR"] = str(project)
        output = self.home / f"output-{self._runs}.txt"
        process = dbt_process.start(["lake", *words], environment, output)
        return Running(process, output, self.target, time.time(), lambda: None)

    def command(self, *words: str, variables: Mapping[str, Any] | None = None) -> Build:
        """Run ``lake`` to its end."""
        return dbt_process.surviving(lambda: self.start_command(*words, variables=variables).wait())

    def build_quickly(self, *arguments: str, **options: Any) -> Build:
        """Build everything but the tests."""
        return self.build(*arguments, *WITHOUT_TESTS, **options)

    def drain(self, variables: Mapping[str, Any] | None = None, runs: int = 12) -> list[Build]:
        """Build until no file waits."""
        builds = []
        for _ in range(runs):
            builds.append(self.build_quickly(variables=variables))
            assert builds[-1].ok, builds[-1]
            if not self.backlog():
                return builds
        raise AssertionError(f"after {runs} builds files still wait: {self.backlog()}")

    # -- what is in it --------------------------------------------------------------------------

    @contextmanager
    def connection(self, *, writes: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that shares nothing with the project's own but the extensions."""
        connection = duckdb.connect()
        try:
            for name in ("sqlite_scanner", "postgres_scanner", "ducklake", "httpfs"):
                connection.execute(f"load '{extension_file(name)}'")
            for statement in self._connect:
                connection.execute(statement)
            connection.execute("set TimeZone = 'UTC'")
            mode = "data_inlining_row_limit 0" if writes else "read_only"
            connection.execute(
                f"attach 'ducklake:{self._catalog}' as lakehouse ({mode}{self._branch})"
            )
            connection.execute("use lakehouse")
            yield connection
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; ``lakehouse`` is the current database."""
        with self.connection() as connection:
            return connection.execute(sql).fetchall()

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        return self.query(sql)[0][0]

    def tables(self) -> dict[str, Table]:
        """Every table of the contract, as it is now."""
        with self.connection() as connection:
            return {name: _read(connection, name, key) for name, (key, _) in SPECIFICATIONS.items()}

    def everything(self, schema: str) -> dict[str, Table]:
        """Every table of a schema, with every column, as it is now."""
        with self.connection() as connection:
            names = connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
                f" where database_name = 'lakehouse' and schema_name = '{schema}' order by all"
            ).fetchall()
            return {name: _read(connection, name, ()) for (name,) in names}

    def has(self, table: str) -> bool:
        """Whether there is a table, named with its schema; also before there is a lake."""
        with sqlite3.connect(self.catalog_file) as catalog:
            begun = catalog.execute(
                "select 1 from sqlite_master where name = 'ducklake_metadata'"
            ).fetchone()
        catalog.close()
        return begun is not None and bool(
            self.query(
                "select 1 from duckdb_tables() where database_name = 'lakehouse'"
                f" and schema_name || '.' || table_name = '{table}'"
            )
        )

    def loaded(self) -> list[str]:
        """The paths that the ledger calls loaded, without repeats."""
        return [
            path
            for (path,) in self.query(
                "select distinct path from meta.feeder_files where status = 'loaded' order by path"
            )
        ]

    def quarantined(self) -> dict[str, str]:
        """The files in quarantine and why."""
        return dict(
            self.query("select path, reason from meta.feeder_files where status = 'quarantined'")
        )

    def backlog(self) -> dict[str, int]:
        """Streams with files that wait, and how many."""
        return dict(
            self.query(
                "select source || '.' || stream, backlog_files from meta.feeder_cursors"
                " where backlog_files > 0"
            )
        )

    def snapshot(self) -> int:
        """The lake's newest snapshot."""
        return int(self.value("select max(snapshot_id) from ducklake_snapshots('lakehouse')"))

    def wrong_counts(self) -> list[tuple[Any, ...]]:
        """What is there twice or missing: rows of a file version, ledger entries, snapshots."""
        problems = []
        with self.connection() as connection:
            streams = connection.execute(
                "select source, stream from meta.feeder_cursors join duckdb_tables() on"
                " table_name = format('stg_{}__{}', source, stream) order by all"
            ).fetchall()
            for source, stream in streams:
                problems += connection.execute(
                    f"""
                    with staged as (
                        select _source_file as path, _cursor_version as cursor_version,
                            count(*) as row_count, count(distinct _source_row) as row_numbers
                        from staging.stg_{source}__{stream} group by all
                    ), ledger as (
                        select path, cursor_version, sum(row_count)::bigint as row_count
                        from meta.feeder_files
                        where source = '{source}' and stream = '{stream}' and status = 'loaded'
                        group by all
                    )
                    select '{source}.{stream}', path, cursor_version, staged.row_count,
                        staged.row_numbers, ledger.row_count
                    from staged full join ledger using (path, cursor_version)
                    where staged.row_count is distinct from ledger.row_count
                        or staged.row_numbers is distinct from ledger.row_count
                    """
                ).fetchall()
            # The cursor's own sums, and file versions that are in the ledger twice.
            problems += connection.execute(
                "select 'cursor', source, stream, files_loaded, rows_loaded, files, row_count"
                " from meta.feeder_cursors join (select source, stream, count(*) as files,"
                "   sum(row_count) as row_count from meta.feeder_files where status = 'loaded'"
                "   group by all) using (source, stream)"
                " where files_loaded <> files or rows_loaded <> row_count"
                " union all"
                " select 'twice', source, stream, count(*), null, null, null"
                " from meta.feeder_files group by source, stream, path, etag having count(*) > 1"
            ).fetchall()
            # A state that was recorded twice, or that is open twice.
            for (name,) in connection.execute(
                "select table_name from duckdb_tables()"
                " where database_name = 'lakehouse' and schema_name = 'snapshots'"
            ).fetchall():
                key = _KEYS_OF_SNAPSHOTS[name]
                problems += connection.execute(
                    f"select '{name}', {key}, dbt_valid_to, count(*) from snapshots.{name}"
                    f" group by {key}, dbt_valid_to having count(*) > 1"
                ).fetchall()
        return problems

    def change(self, sql: str) -> None:
        """Change the lake as a careless colleague would."""
        with self.connection(writes=True) as connection:
            connection.execute(sql)

    # -- its insides ----------------------------------------------------------------------------

    def copy_of(self, other: Lake) -> None:
        """Become a copy of another embedded lake, landing zone included."""
        for part in ("landing", "data"):
            if (other.home / part).exists():
                shutil.copytree(other.home / part, self.home / part, dirs_exist_ok=True)
        with (
            sqlite3.connect(other.catalog_file) as source,
            sqlite3.connect(self.catalog_file) as to,
        ):
            source.backup(to)
        source.close()
        to.close()
        self.edit_catalog(
            f"update ducklake_metadata set value = '{self.data}/' where key = 'data_path'"
        )

    def edit_catalog(self, sql: str) -> None:
        """Change the embedded catalog behind DuckLake's back."""
        with sqlite3.connect(self.catalog_file) as catalog:
            catalog.execute(sql)
        catalog.close()

    def _cached_parse(self, variables: Mapping[str, Any] | None) -> Path | None:
        if self.parsed is None:
            return None
        text = json.dumps(dict(variables or {}), sort_keys=True)
        text += self.environment.get("DBT_TARGET", "local")
        return self.parsed / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.msgpack"

    @staticmethod
    def _keep_parse(cached: Path | None, target: Path) -> None:
        fresh = target / "partial_parse.msgpack"
        if cached and not cached.exists() and fresh.exists():
            arriving = cached.with_suffix(f".{os.getpid()}-{time.time_ns()}")
            shutil.copy2(fresh, arriving)
            arriving.replace(cached)


def differences(
    actual: Mapping[str, Table], expected: Mapping[str, Table], *, of_the_run: bool = False
) -> list[str]:
    """Readable differences between two sets of tables, none if equal.

    Tables with a key are compared row by row as the oracle does, the others as bags of rows.
    Columns that record the run itself are left out unless ``of_the_run``.
    """
    problems = []
    for name, wanted in expected.items():
        if name not in actual:
            problems.append(f"{name}: there is no such table")
            continue
        given = actual[name]
        if wanted.key:
            problems += diff(wanted, given.rows, given.columns)
            continue
        columns = [column for column in wanted.columns if of_the_run or column not in _OF_THE_RUN]
        if set(wanted.columns) != set(given.columns):
            odd = sorted(set(wanted.columns) ^ set(given.columns))
            problems.append(f"{name}: columns {odd} are only in one of the two")
            continue
        ours, theirs = _bag(given, columns), _bag(wanted, columns)
        extra, missing = ours - theirs, theirs - ours
        if extra or missing:
            problems.append(
                f"{name}: {extra.total()} rows are not expected, {missing.total()} are missing;"
                f" such as {next(iter(extra), None)} / {next(iter(missing), None)}"
            )
    return problems


def _bag(table: Table, columns: Sequence[str]) -> Counter[tuple[str, ...]]:
    places = [table.columns.index(column) for column in columns]
    return Counter(tuple(repr(row[place]) for place in places) for row in table.rows)


def _read(connection: duckdb.DuckDBPyConnection, name: str, key: tuple[str, ...]) -> Table:
    found = connection.execute(f"select * from {name}")
    columns = tuple(column[0] for column in found.description)
    return Table(name, key, columns, found.fetchall())


def _statuses(file: Path, since: float) -> dict[str, str]:
    if not file.exists() or file.stat().st_mtime < since - 1:
        return {}
    results = json.loads(file.read_text())["results"]
    # An exposure is in the results, but nothing runs for it.
    return {
        result["unique_id"].split(".", 2)[2]: result["status"]
        for result in results
        if not result["unique_id"].startswith("exposure.")
    }
