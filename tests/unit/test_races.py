"""Transactions that another run was faster than."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from unittest.mock import patch

import duckdb
import pytest

from lotus_lake import races
from lotus_lake.config import LakeConfig
from lotus_lake.functions import register

from .conftest import SmallLake

COUNT_UP = "update lakehouse.meta.model_cursors set snapshot_id = snapshot_id + 1 where model = "


@pytest.fixture
def positions(lake: SmallLake) -> SmallLake:
    """A lake in which two models have a position each."""
    lake.query(
        "insert into lakehouse.meta.model_cursors by name select unnest(['mine', 'other'])"
        " as model, '' as upstream, 0 as snapshot_id, now() as updated_at"
    )
    return lake


def beside(lake: SmallLake, often: int) -> duckdb.DuckDBPyConnection:
    """A connection during whose first transactions another one changes another model's position."""
    other = lake.connection.cursor()

    class Beside:
        commits = 0

        def execute(self, sql: str) -> None:
            if sql == "commit":
                self.commits += 1
                if self.commits <= often:
                    other.execute(COUNT_UP + "'other'")
            lake.connection.execute(sql)

    return Beside()  # type: ignore[return-value]


def snapshots(lake: SmallLake) -> dict[str, int]:
    return dict(lake.query("select model, snapshot_id from lakehouse.meta.model_cursors"))


def test_it_is_run_again_from_its_begin(positions: SmallLake) -> None:
    """What it read before another run committed counts no more, and nothing is done twice."""
    with patch("time.sleep") as slept:
        assert races.commit(beside(positions, 3), COUNT_UP + "'mine'") is None
    assert snapshots(positions) == {"mine": 1, "other": 3}
    assert slept.call_count == 3


def test_it_gives_up_and_says_so(positions: SmallLake) -> None:
    with patch("time.sleep"):
        problem = races.commit(beside(positions, 99), COUNT_UP + "'mine'")
    assert problem and problem.endswith("let them end, and run again.")
    assert snapshots(positions)["mine"] == 0


HOLD = """
import sqlite3, sys, time
catalog = sqlite3.connect(sys.argv[1])
catalog.execute("begin immediate")
print("held", flush=True)
time.sleep(1)
catalog.rollback()
"""


def test_a_hook_waits_for_another_process(
    positions: SmallLake, open_again: Callable[[], SmallLake]
) -> None:
    """One that writes the catalog at that moment; what is wrong is given back, not raised."""
    folder, connection = positions.folder, open_again().connection
    register(connection, LakeConfig(f"{folder}/landing", "sqlite:none", "data/"))
    call = "select commit_to_lake(sql, '') from (values (?)) as statements (sql)"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{folder}/catalog.sqlite"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(duckdb.Error, match="database is locked"):
            connection.execute(COUNT_UP + "'mine'")
        found = connection.execute(call, [COUNT_UP + "'mine'"]).fetchall()
    assert found == [(None,)]
    assert snapshots(positions)["mine"] == 1
    # What is no race is not tried again.
    wrong = COUNT_UP + "'mine'; select * from nowhere"
    with patch("time.sleep", side_effect=AssertionError):
        ((problem,),) = connection.execute(call, [wrong]).fetchall()
    assert "nowhere" in problem
    assert snapshots(positions)["mine"] == 1
