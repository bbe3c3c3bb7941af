"""Connections to PostgreSQL beside the one that DuckDB has of its own."""

from __future__ import annotations

import os
import platform
from typing import Any

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.exits import Unreachable


def connect(config: LakeConfig) -> Any:
    """Open a psycopg2 connection to the catalog's database, in autocommit mode.

    Raises:
        Unreachable: It cannot be reached.
        LakeError: The connection string is wrong, or psycopg2 is not installed.
    """
    try:
        import psycopg2
    except ImportError:
        raise LakeError(
            "A catalog in PostgreSQL needs more packages: pip install 'lotus-lake[prod]'."
        ) from None

    text = config.catalog.removeprefix("postgres:")
    try:
        connection = psycopg2.connect(
            config.catalog if text.startswith("//") else text,
            connect_timeout=int(os.environ.get("PGCONNECT_TIMEOUT") or 10),
            application_name=f"lotus-lake {whoami()}"[:63],
            # A server that is gone is noticed within a minute.
            keepalives_idle=20,
            keepalives_interval=10,
            keepalives_count=3,
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            # So that no name means what somebody has put into another schema.
            cursor.execute("set search_path = pg_catalog, pg_temp")
    except psycopg2.ProgrammingError as error:
        # Its text may show a part of the password.
        raise LakeError(
            "LAKE_CATALOG: what follows postgres: is no connection string that libpq knows. "
            "Write host=… dbname=… user=…, or nothing for the PG* variables."
        ) from error
    except psycopg2.Error as error:
        raise away(error) from error
    return connection


def whoami() -> str:
    """Machine and process, as PostgreSQL's own views show them."""
    return f"{platform.node()} pid {os.getpid()}"


def away(error: Exception) -> Unreachable:
    """What a failed statement means, in one line that says what to check."""
    text = " ".join(str(error).split()) or type(error).__name__
    return Unreachable(
        f"The catalog's PostgreSQL cannot be used: {text}. Check PGHOST, PGPORT, PGDATABASE, "
        "PGUSER and PGPASSWORD, or LAKE_CATALOG, and that the server runs."
    )
