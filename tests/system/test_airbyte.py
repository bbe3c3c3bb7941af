"""What Airbyte does to a stream besides syncing it, by the steps of docs/airbyte.md.

How a new generation replaces the one before is tested in test_running.py.
"""

from __future__ import annotations

import shutil

from tests.system.lake import Lake
from tests.system.small_project import Shop


def is_proven(lake: Lake) -> None:
    """What the document says to look at afterwards."""
    reconciled = lake.command("reconcile")
    assert "Landing, ledger, files and staging agree." in reconciled.output, reconciled
    assert not lake.wrong_counts()
    assert not lake.backlog()


def test_a_clear_and_a_refresh_into_the_same_keys(shop: Shop) -> None:
    """The lake keeps what it fed while the landing zone is empty, --full-refresh included. Then all
    records come once more, under a key that had other content: they change what the source has
    changed, and no more, and a record that the source has lost stays."""
    shop.deliver(2, "4,9,placed")
    assert shop.build().ok
    before = shop.tables()
    shutil.rmtree(shop.lake.landing / "jaffle_shop/orders")
    for arguments in ((), ("--full-refresh",)):
        assert shop.build(*arguments).ok
        assert shop.tables() == before
    is_proven(shop.lake)

    lost, *kept, old = before["int_orders"]
    new = (*old[:2], "shipped")
    shop.deliver(2, *(",".join(map(str, row)) for row in (*kept, new)))
    assert shop.build().ok
    assert shop.tables()["int_orders"] == [lost, *kept, new]
    assert shop.tables()["int_customers"] == before["int_customers"]
    is_proven(shop.lake)
