"""Functions that macros call from SQL: what is in the landing zone."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from lotus_lake.config import LakeConfig


def register(connection: DuckDBPyConnection, config: LakeConfig) -> None:
    """Register the landing functions on a connection."""
