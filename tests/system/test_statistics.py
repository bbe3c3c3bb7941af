"""What DuckLake knows of a column's values, and DuckDB computes by, is right after every run."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from sample import Delivery
from tests.system.lake import Lake


def test_columns_that_begin_with_nulls(new_lake: Callable[..., Lake], sample: Delivery) -> None:
    """A file without a column and one with it come first and together, others one by one.

    DuckLake alone would take the last file's least and greatest value for the whole table's, and
    DuckDB would end `group by` with an error, or leave rows out.
    """
    lake = new_lake("statistics")
    folder = "shopify/customers/year=2025/month=01/day=01"
    (lake.landing / folder).mkdir(parents=True)
    sent = next(file for file in sample.files if file.path.startswith("shopify/customers/"))
    landed = pq.read_table(sample.out / sent.path).slice(0, 1)

    def land(number: int, value: int | None) -> None:
        column = landed.schema.get_field_index("orders_count")
        values = pa.array([value], landed.schema.field(column).type)
        table = landed.remove_column(column)
        if value is not None:
            table = table.append_column("orders_count", values)
        pq.write_table(table, lake.landing / folder / f"{number}_0.parquet")

    only = ("-s", "stg_shopify__customers")
    land(1, None)
    land(2, 1000)
    assert lake.build_quickly(*only).ok
    for number in range(3, 6):
        land(number, 2000 + number)
        assert lake.build_quickly(*only).ok
        staging = "from staging.stg_shopify__customers"
        counts = dict(lake.query(f"select orders_count, count(*) {staging} group by all"))
        assert counts == dict.fromkeys([None, 1000, *range(2003, 2001 + number)], 1)
        few = lake.query(f"select orders_count {staging} where orders_count < 1500 order by all")
        assert few == [(1000,)]
