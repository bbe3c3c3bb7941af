"""The command ``lake``: everything about a lake that is not ``dbt build``."""

from lotus_lake.cli import change, feed, keep, look  # noqa: F401  (they add commands)
from lotus_lake.cli.base import main

__all__ = ["main"]
