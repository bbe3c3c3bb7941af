"""Counts agree with their nouns."""

from __future__ import annotations

import duckdb
import pytest
from jinja2 import Environment, FileSystemLoader

from lotus_lake.wording import COUNTED_SQL, counted
from tests.system.lake import PROJECT


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234567, "1,234,567 rows")]
)
def test_a_number_agrees_with_its_noun(number: int, words: str) -> None:
    """In Python, in SQL and in dbt's macro of SQL."""
    assert counted(number, "row") == words
    connection = duckdb.connect()
    connection.execute(COUNTED_SQL)
    folder = PROJECT / "engine/macros/lakehouse"
    macro = Environment(loader=FileSystemLoader(folder)).get_template("counted_sql.sql").module
    for sql in (f"counted({number}, 'row')", macro.counted_sql(f"{number}::bigint", "row")):
        assert connection.sql(f"select {sql}").fetchall() == [(words,)]


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert counted(1, "branch", "branches") == "1 branch"
    assert counted(3, "branch", "branches") == "3 branches"
