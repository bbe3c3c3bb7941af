"""Feeding a stream: landed files into its staging table, each version exactly once.

One feed is one DuckLake transaction: the staging table's new columns, the rows, the ledger
(``meta.feeder_files``) and the cursor (``meta.feeder_cursors``) commit together or not at all.
Whatever interrupts it leaves the lake as it was, and the next run feeds the same files.

``docs/feeder.md`` says what the feeder does; read the code from ``feeding`` on:

- ``feeding``: the steps of a feed, its transaction, and what happens when it fails;
- ``batch``: the files: what is new, how much of it one run takes, what cannot be read;
- ``ledger``: what the lake remembers: the cursor, the ledger, the changes of the schema;
- ``plan``: which files go in together, and how the staging table grows for them;
- ``fitting``: which files fit into its columns, and by which conversions;
- ``staging``: the staging table: making it, asking it, making it anew;
- ``rows``: the rows: copied into the table, or registered;
- ``drift``: what a feed has to record as a change of the schema.
"""

from lotus_lake.feeder.feeding import Feeder, Outcome, feed

__all__ = ["Feeder", "Outcome", "feed"]
