"""Feeding a stream: landed files into its staging table, each version exactly once.

One feed is one DuckLake transaction: the staging table's new columns, the rows, the ledger
(``meta.feeder_files``) and the cursor (``meta.feeder_cursors``) commit together or not at all.
Whatever interrupts it leaves the lake as it was, and the next run feeds the same files.

``docs/feeder.md`` says what the feeder does; read the code from ``feeding`` on, which calls
``batch``, ``plan`` (with ``fitting`` and ``staging``), ``rows`` and ``ledger`` in that order.
"""

from lotus_lake.feeder.feeding import Feeder, Outcome, feed

__all__ = ["Feeder", "Outcome", "feed"]
