"""The staging table of a stream: making it, asking what it has, and making it anew."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.feeder.fitting import Columns, Part, failing
from lotus_lake.feeder.ledger import FILES, Ledger
from lotus_lake.schema.conversion import Conflict, Conversion, carry, convert, json_texts
from lotus_lake.schema.types import Type, literal, quote, replace_at, values_at
from lotus_lake.streams import LINEAGE_COLUMNS, Stream


@dataclass(frozen=True)
class Staging:
    connection: duckdb.DuckDBPyConnection
    stream: Stream

    def create(self) -> None:
        """The staging table exists from the first run on, with every declared column."""
        columns = {name: type_.sql() for name, type_ in self.stream.columns.items()}
        definition = ", ".join(
            f"{quote(name)} {type_}" for name, type_ in (columns | LINEAGE_COLUMNS).items()
        )
        self.connection.execute(f"create table if not exists {self.stream.table} ({definition})")

    def columns(self) -> dict[str, Type]:
        staging = self.connection.table(self.stream.table)
        return dict(zip(staging.columns, map(Type.of, staging.types), strict=True))

    def never_null(self) -> set[str]:
        """Columns of the staging table that have no null, nor has any field in them.

        So DuckLake's statistics say, and DuckDB answers ``x is null`` from them. This version does
        not correct them when a file is registered that lacks the column.
        """
        lake, schema, table = self.stream.table.split(".")
        catalog = f"__ducklake_metadata_{lake}"
        return {
            name
            for (name,) in self.connection.execute(
                f"""
                with recursive fields as (
                    select columns.table_id, column_id, column_name as name
                    from {catalog}.ducklake_column as columns
                    inner join {catalog}.ducklake_table as tables using (table_id)
                    inner join {catalog}.ducklake_schema as schemas using (schema_id)
                    where
                        schema_name = ? and table_name = ? and parent_column is null
                        and schemas.end_snapshot is null and tables.end_snapshot is null
                        and columns.end_snapshot is null
                    union all
                    select table_id, inner_columns.column_id, fields.name
                    from {catalog}.ducklake_column as inner_columns
                    inner join fields using (table_id)
                    where
                        inner_columns.parent_column = fields.column_id
                        and inner_columns.end_snapshot is null
                )

                select distinct name from fields
                inner join {catalog}.ducklake_table_column_stats using (table_id, column_id)
                where not contains_null::boolean
                """,
                [schema, table],
            ).fetchall()
        }

    def conversions(self, before: Mapping[str, Type], columns: Columns) -> dict[str, Conversion]:
        """How the values of the columns that it has get into those that it is to have."""
        return {
            name: self._conversion(name, type_, columns.types[name], columns.declared(name))
            for name, type_ in before.items()
        }

    def _conversion(self, column: str, old: Type, new: Type, declared: Type | None) -> Conversion:
        value = f"staging.{quote(column)}"
        if declared is None or old == new:
            return carry(value, old, new)
        rows = f"{self.stream.table} as staging"
        try:
            for path in json_texts(old, new, declared):
                found = self.connection.execute(
                    "select json_group_structure(value::json)::varchar"
                    f" from ({values_at(column, path, rows)}) where value <> ''"
                ).fetchone()
                inner = Type.of_json(json.loads(found[0])) if found and found[0] else None
                old = replace_at(old, path, Type.json_of(inner or Type.scalar("NULL")))
            conversion = convert(value, old, new, declared=declared)
            fits = not failing(self.connection, rows, {(column, ()): conversion.is_exact})
        except (Conflict, duckdb.ConversionException):
            fits = False
        if not fits:
            raise LakeError(
                f"Stream {self.stream.label}: column {column} is declared as {declared.sql()} "
                "since it was fed, but staging has text there, and not each fits. Declare it as it "
                "is in staging, or undo the deliveries that brought what does not fit "
                "(docs/operations.md). Nothing of this feed was written."
            )
        return conversion

    def misfits(self, conversions: Mapping[str, Conversion]) -> set[Part]:
        doubts = {
            (name, path): sure
            for name, conversion in conversions.items()
            for path, sure in conversion.doubts.items()
        }
        rows = f"{self.stream.table} as staging"
        return failing(self.connection, rows, doubts) if doubts else set()

    def write_anew(self, kept: Mapping[str, str], columns: Mapping[str, Type]) -> list[str]:
        """The statements that put a table with all the rows and these columns in place of staging;
        ``kept`` is SQL of each value that it has.

        DuckLake cannot change types inside others, and no file may be left whose lists have fewer
        fields than the table's: see differs_in_list(). Registered rows become the lake's own, and
        get the lineage that they lacked. Their table stays, under another name: with a dropped
        table, DuckLake's clean-up would delete the landed files.
        """
        table, before_it = self.stream.table, f"{self.stream.table}__before"
        definition = ", ".join(f"{quote(name)} {type_.sql()}" for name, type_ in columns.items())
        values = {
            name: f"cast({value} as {columns[name].sql()}) as {quote(name)}"
            for name, value in kept.items()
        }
        joined, end = "", f"drop table {before_it}"
        registered = f"{self.stream.condition} and feed_mode = 'register'"
        if self.connection.execute(f"select 1 from {FILES} where {registered}").fetchone():
            version = Ledger(self.connection, self.stream).cursor().version
            before_it = f"{table}__registered_{version}"
            end = f"update {FILES} set feed_mode = 'copy' where {registered}"
            folder = re.escape(f"{self.stream.source}/{self.stream.name}/")
            path = f"regexp_extract(staging.filename, {literal(f'.*({folder}.*)')}, 1)"
            joined = (
                f" left join (from {FILES} where {registered} and status = 'loaded') as fed"
                f" on staging._source_file is null and fed.path = {path}"
            )
            lineage = {
                "_source_file": "fed.path",
                "_source_row": "file_row_number",
                "_cursor_version": "fed.cursor_version",
            }
            values |= {
                name: f"coalesce(staging.{name}, {value}) as {name}"
                for name, value in lineage.items()
            }
        return [
            f"alter table {table} rename to {before_it.split('.')[-1]}",
            f"create table {table} ({definition})",
            f"insert into {table} by name select {', '.join(values.values())}"
            f" from {before_it} as staging{joined}",
            end,
        ]
