"""DuckLake where it is known to err, used as the project uses it (docs/decisions 0002 and 0013)."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.system.small_project import Shop

pytestmark = pytest.mark.slow


def test_columns_that_begin_with_nulls(new_shop: Callable[..., Shop]) -> None:
    """A file without a column and one with it come first and together, others one by one.

    DuckLake alone would take the last file's least and greatest value for the whole table's, and
    DuckDB would end `group by` with an error, or leave rows out.
    """
    lake = new_shop().lake
    folder = lake.landing / "jaffle_shop/orders/year=2024/month=01/day=01"
    folder.mkdir(parents=True)

    def land(number: int, **values: int) -> None:
        table = pa.Table.from_pylist([{"id": number, **values}])
        pq.write_table(table, folder / f"{number}_0.parquet")

    def build() -> None:
        assert lake.build_quickly("-s", "stg_jaffle_shop__orders").ok

    land(1)
    land(2, user_id=1000)
    build()
    for number in (3, 4):
        land(number, user_id=2000 + number)
        build()
        staging = "from staging.stg_jaffle_shop__orders"
        counts = dict(lake.query(f"select user_id, count(*) {staging} group by all"))
        assert counts == dict.fromkeys([None, 1000, *range(2003, 2001 + number)], 1)
        few = lake.query(f"select user_id {staging} where user_id < 1500 order by all")
        assert few == [(1000,)]
