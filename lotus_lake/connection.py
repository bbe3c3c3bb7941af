"""DuckDB connections to the lake: extensions from wheels, the S3 secret, the attached catalog."""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import sqlite3
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from lotus_lake.config import LakeConfig, LakeError, is_s3, local_path, spill_folder
from lotus_lake.exits import Unreachable
from lotus_lake.s3 import reason
from lotus_lake.schema.types import literal

ALIAS = "lakehouse"


class NoLakeError(Unreachable):
    """There is no catalog at the catalog's place."""


# Never reach for the network: what is not in a wheel is not there.
CONNECT_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def connect(config: LakeConfig, alias: str = ALIAS) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the lake attached read-only, as ``lakehouse`` by default.

    For commands that only read it. A SQLite catalog is copied first: DuckDB reads each of its
    tables at another moment, so beside maintenance, which replaces rows, it could miss files
    (docs/maintenance.md).

    Raises:
        Unreachable: There is no lake yet, or it cannot be read.
    """
    connection = duckdb.connect(config=CONNECT_CONFIG)
    load(connection, config)
    read = config
    if config.sqlite_path:
        if not is_catalog(config.sqlite_path):
            raise _no_lake(connection, config)
        folder = tempfile.TemporaryDirectory(prefix="lotus-lake-")
        weakref.finalize(connection, folder.cleanup)
        read = with_copied_catalog(config, Path(folder.name) / "catalog.sqlite")
    connection.execute("set TimeZone = 'UTC'")
    try:
        attach(connection, read, attach_sql(read, alias, read_only=True))
    except NoLakeError as error:
        raise _no_lake(connection, config) from error
    except LakeError as error:
        copy, original = (one.catalog.removeprefix("sqlite:") for one in (read, config))
        raise Unreachable(str(error).replace(copy, original)) from error
    return connection


def connect_to_write(config: LakeConfig) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the lake attached, as dbt has it.

    Raises:
        LakeError: The catalog, or the folder to spill to, cannot be used.
        Unreachable: There is no lake yet, or it cannot be read.
    """
    settings = {
        **CONNECT_CONFIG,
        "memory_limit": os.environ.get("LAKE_MEMORY_LIMIT") or "2GB",
        "temp_directory": str(make_spill_folder()),
        "enable_external_file_cache": config.uses_s3,
    }
    connection = duckdb.connect(config=settings)
    load(connection, config)
    if not _is_there(connection, config):
        raise _no_lake(connection, config)
    prepare_catalog(config)
    attach(connection, config, attach_sql(config, ALIAS, create=False))
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    forget_unknown_bounds(connection)
    return connection


def forget_unknown_bounds(connection: duckdb.DuckDBPyConnection) -> None:
    """Take from DuckLake's statistics the columns whose least value it does not know.

    It writes "none" for a column without values, but also when the first file or row group of a
    commit has no value and a later one has. Its next commit takes "none" for "no value", and keeps
    its own least and greatest as the table's: DuckDB then computes, and leaves out, by bounds that
    are wrong. A column without statistics stays without: nothing is assumed of it. Only the next
    commit could go wrong, so the beginning of each run is early enough (docs/decisions/0013).
    """
    unknown = f"__ducklake_metadata_{ALIAS}.ducklake_table_column_stats where min_value is null"
    if connection.execute(f"select 1 from {unknown} limit 1").fetchall():
        connection.execute(f"delete from {unknown}")


def _no_lake(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> Unreachable:
    return _lost(connection, config) or NoLakeError(
        f"There is no lake at {config.catalog_name} yet: run `dbt build` first."
    )


def with_copied_catalog(config: LakeConfig, copy: Path) -> LakeConfig:
    """The same lake, its SQLite catalog copied to a file, as of one moment.

    Raises:
        LakeError: It cannot be read.
    """
    assert config.sqlite_path
    try:
        with (
            read_sqlite(config.sqlite_path) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise Unreachable(
            f"LAKE_CATALOG ({config.catalog_name}) cannot be read: {error}. Check that it is the "
            "lake's SQLite catalog and that this user may read it."
        ) from error
    return replace(config, catalog=f"sqlite:{copy}")


def read_sqlite(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """A SQLite catalog, only to be read; for ``with``."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30))


def attach_sql(
    config: LakeConfig, alias: str, *, read_only: bool = False, create: bool = True
) -> str:
    """The statement that attaches a lake, or a branch of one; to write, it may also make one."""
    options = (
        ["read_only"]
        if read_only
        # Inlined rows corrupt nested columns in this DuckLake version (docs/decisions/0002).
        else [
            f"data_path {literal(config.data_url)}",
            "data_inlining_row_limit 0",
            f"create_if_not_exists {create}",
        ]
    )
    if not config.sqlite_path:
        # For DuckDB, and those who look into DuckLake's tables, as macros do: no other schema is
        # there, whoever has put what into it.
        options.append(f"meta_schema '{config.metadata_schema}'")
        if config.branch:
            options.append(f"metadata_schema '{config.metadata_schema}'")
    catalog = literal(f"ducklake:{config.catalog}")
    return f"attach if not exists {catalog} as {alias} ({', '.join(options)})"


def prepare(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    """Make a new DuckDB instance, and the lake's places, ready for attaching the catalog to write.

    Raises:
        LakeError: The catalog is lost, or its file, or the folder to spill to, cannot be used.
    """
    make_spill_folder()
    load(connection, config)
    if not _is_there(connection, config):
        lost = _lost(connection, config)
        # If there are files, another run may have made a lake meanwhile.
        if lost and not _is_there(connection, config):
            raise lost
    prepare_catalog(config)


def _is_there(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> bool:
    """Whether there is a catalog, of whatever kind, at the catalog's place."""
    if config.sqlite_path:
        return is_catalog(config.sqlite_path)
    try:
        attach(connection, config, attach_sql(config, ALIAS, create=False))
    except NoLakeError:
        return False
    return True


def is_catalog(path: Path) -> bool:
    """Whether there is a SQLite catalog at a path.

    Raises:
        LakeError: There is another program's database.
    """
    if not path.exists():
        return False
    try:
        with read_sqlite(path) as database:
            found = database.execute("select name from sqlite_master where type = 'table'")
            tables = {name for (name,) in found}
    except sqlite3.Error:
        return True  # what is wrong with it is said when it is attached
    if tables and "ducklake_metadata" not in tables:
        raise LakeError(
            f"LAKE_CATALOG (sqlite:{path}) is a SQLite database of something else: it has tables, "
            "but no DuckLake. Nothing was changed. Name another file."
        )
    return bool(tables)


def _lost(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> Unreachable | None:
    """What to say where there is no catalog although the data path holds the files of a lake."""
    from lotus_lake.backup import advice

    if os.environ.get("LAKE_START_NEW"):
        return None
    try:
        found = connection.execute(
            "from glob(?) limit 1", [f"{config.data_url}**/*.parquet"]
        ).fetchone()
    except duckdb.Error as error:
        return Unreachable(f"LAKE_DATA_URL ({config.data_url}) cannot be listed: {reason(error)}.")
    if not found:
        return None
    return Unreachable(
        f"There is no catalog at {config.catalog_name}, but files of a lake, such as {found[0]}: "
        "the catalog is lost, or LAKE_CATALOG names another place. Nothing was changed. "
        f"{advice(config)} To start a new lake on purpose, set LAKE_DATA_URL to an empty place, or "
        "LAKE_START_NEW=yes for one run."
    )


def make_spill_folder() -> Path:
    """Make the folder that DuckDB spills to; by itself, it does not make those above it.

    Raises:
        LakeError: It cannot be made.
    """
    folder = spill_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"LAKE_TEMP_DIR is '{folder}', which cannot be made: {error.strerror}. Name a folder "
            "that this user may write."
        ) from error
    return folder


def load(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    """Load the extensions that a lake needs, and tell DuckDB where S3 is. Writes nothing.

    Raises:
        LakeError: An extension's wheel is not installed.
    """
    for statement in load_sql(config):
        connection.execute(statement)


def load_sql(config: LakeConfig) -> list[str]:
    """The statements that load the extensions and tell DuckDB where S3 is, without any key."""
    catalog = "sqlite_scanner" if config.sqlite_path else "postgres_scanner"
    statements = [_load_sql(name) for name in (catalog, "ducklake")]
    return [*statements, *(s3_sql() if config.uses_s3 else [])]


def s3_sql() -> list[str]:
    """The statements that load what reads S3, and tell DuckDB where it is."""
    statements = [_load_sql(name) for name in ("httpfs", "aws")]
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        statements.append(f"set global ca_cert_file = {literal(bundle)}")
    # httpfs has copied the keys into settings, which duckdb_settings() shows.
    names = ("access_key_id", "secret_access_key", "session_token")
    forget = [f"reset global s3_{name}" for name in names]
    return [*statements, s3_secret_sql(dict(os.environ)), *forget]


def _load_sql(extension: str) -> str:
    return f"load {literal(extension_file(extension))}"


def readable_sql(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> str:
    """The statement that names the only folders to read once external access is off.

    They follow from the files of the lake, which has to be attached.
    """
    files = " union ".join(
        f"from __ducklake_metadata_{ALIAS}.ducklake_{kind}_file select distinct "
        "regexp_replace(path, '[^/]*$', '') where not path_is_relative"
        for kind in ("data", "delete")
    )
    found = connection.execute(
        f"select data_path from ducklake_settings('{ALIAS}') union {files}"
    ).fetchall()
    landing = config.landing_url if is_s3(config.landing_url) else local_path(config.landing_url)
    folders = map(literal, [f"{landing}/", *(folder for (folder,) in found)])
    return f"set allowed_directories = [{', '.join(folders)}]"


def lock_down(connection: duckdb.DuckDBPyConnection, config: LakeConfig) -> None:
    """Make a connection safe for SQL of others: it reads the lake and its landing zone only."""
    connection.execute(readable_sql(connection, config))
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def prepare_catalog(config: LakeConfig) -> None:
    """Make the places of an embedded lake ready: folders, and a catalog that readers can share.

    In SQLite's write-ahead mode a reader never blocks the build, nor the build a reader. The mode
    is kept in the file, so this is a look, and a change only for a new catalog.

    Raises:
        LakeError: The catalog is not a SQLite file or cannot be written.
    """
    path = config.sqlite_path
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
            if database.execute("pragma journal_mode").fetchone()[0] != "wal":
                database.execute("pragma journal_mode = wal")
            _prove_writable(database)
    except (sqlite3.Error, OSError) as error:
        raise LakeError(
            f"LAKE_CATALOG ({config.catalog}) cannot be used: {error}. Check that it is the "
            "lake's SQLite catalog and that this user may write it; nothing was changed."
        ) from error
    if not is_s3(config.data_url):
        try:
            local_path(config.data_url).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(
                f"LAKE_DATA_URL is '{config.data_url}', which cannot be made: {error.strerror}. "
                "Name a folder that this user may write."
            ) from error


def _prove_writable(database: sqlite3.Connection) -> None:
    """Begin to write, and take it back: DuckDB would find out too late, and not say where."""
    database.execute("pragma busy_timeout = 0")
    try:
        database.execute("begin immediate")
        # Of a file that may only be read, the line above is content to begin reading.
        database.execute("pragma user_version = 1")
        database.rollback()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):  # by somebody who writes it, so that can be done
            raise


def attach(connection: duckdb.DuckDBPyConnection, config: LakeConfig, statement: str) -> None:
    """Run the ATTACH statement, turning its errors into ones a person can act on.

    Raises:
        NoLakeError: There is no catalog, and none is to be made.
        LakeError: The catalog cannot be reached, is no DuckLake, or is newer than this one.
    """
    try:
        connection.execute(statement)
    except duckdb.Error as error:
        text = str(error).strip().splitlines()[0].rstrip(".")
        if "does not exist - and creating a new DuckLake is explicitly disabled" in text:
            raise NoLakeError(f"There is no lake at {config.catalog_name}.") from error
        advice = "Check that it is there and that this user may read and write it."
        if "version" in text.lower():
            advice = (
                "The catalog was written by another DuckLake version: use the lotus-lake release "
                "that wrote it, or a newer one. Nothing was changed."
            )
        elif "data_path" in text.lower():
            advice = (
                "The catalog remembers another data path: set LAKE_DATA_URL to that one, or use "
                "another LAKE_CATALOG."
            )
        raise LakeError(
            f"The lake's catalog ({config.catalog_name}) cannot be attached: {text}. {advice}"
        ) from error


def extension_file(name: str) -> str:
    """The extension's binary inside its wheel.

    Raises:
        LakeError: The wheel is not installed.
    """
    try:
        root = importlib.resources.files(f"duckdb_extension_{name}")
    except ModuleNotFoundError as error:
        raise LakeError(
            f"DuckDB's extension {name} is not installed: pip install 'lotus-lake[prod]'."
        ) from error
    return str(root / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension")


def s3_secret_sql(env: dict[str, str]) -> str:
    """The statement that lets DuckDB reach S3; the keys themselves stay in the environment."""
    parts = ["type s3", "provider credential_chain", "chain 'env'", "url_style 'path'"]
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    if endpoint:
        url = urlsplit(endpoint)
        parts += [f"endpoint {literal(url.netloc)}", f"use_ssl {url.scheme == 'https'}"]
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if region:
        parts.append(f"region {literal(region)}")
    return f"create or replace secret lake_s3 ({', '.join(parts)})"
