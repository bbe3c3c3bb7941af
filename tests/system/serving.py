"""The PostgreSQL that marts are published into, as the deployment sets it up."""

from __future__ import annotations

import json
from typing import Any

import psycopg2

from tests.deployment import DEPLOY
from tests.system import services
from tests.system.lake import Lake

PASSWORD = "it's a\\secret"
# Of the small project.
MARTS = """\
models:
  - name: dim_customers
    description: Who bought.
    config: {meta: {publish: true, indexes: [orders]}}
    columns:
      - {name: customer_id, description: Who., data_tests: [unique, not_null]}
      - {name: first_name, config: {meta: {personal: true}}}
      - {name: orders, description: It's how many.}
  - name: fct_statuses
    config: {meta: {publish: true}}
    columns:
      - {name: status, data_tests: [unique]}
      - {name: orders}
"""


class Serving:
    """A database for BI, with the roles that the deployment has."""

    def __init__(self, server: services.Postgres, name: str) -> None:
        self.server, self.name = server, name
        server.server.psql(f'create database "{name}"')
        self.run((DEPLOY / "postgres/serving.sql").read_text(), "postgres")
        for role in ("publisher", "bi"):
            self.run(f"alter role {role} password '{PASSWORD.replace(chr(39), chr(39) * 2)}'")

    @property
    def url(self) -> str:
        """The publisher's."""
        return f"postgresql://publisher:it%27s%20a%5Csecret@/{self.name}?host={self.server.host}"

    @property
    def variables(self) -> dict[str, str]:
        """The publisher's, as production has them."""
        return {
            "LAKE_SERVING_URL": f"postgresql:///{self.name}?host={self.server.host}",
            "LAKE_SERVING_USER": "publisher",
            "LAKE_SERVING_PASSWORD": PASSWORD,
        }

    def connect(self, role: str) -> Any:
        """A connection of a role's own, in autocommit mode."""
        password = {} if role == "postgres" else {"password": PASSWORD}
        connection = psycopg2.connect(
            host=self.server.host, dbname=self.name, user=role, **password
        )
        connection.autocommit = True
        return connection

    def run(self, sql: str, role: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        connection = self.connect(role)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """What a BI tool reads of a table."""
        return sorted(self.run(f"select {columns} from marts.{table}", "bi"), key=repr)

    def versions(self, table: str) -> set[tuple[str, ...]]:
        """The transactions that wrote a table's rows."""
        return set(self.run(f"select xmin::text from marts.{table}"))


def publish(lake: Lake, *words: str) -> dict[str, Any]:
    """Run `lake publish`; how each table that it wrote was written, and how many rows."""
    done = lake.command("publish", "--json", *words)
    assert done.code == 0, done.output
    steps = json.loads(done.output.splitlines()[-1])
    return {step["table"]: (step["how"], step["written"]) for step in steps}


def same(lake: Lake, serving: Serving, table: str, columns: str = "*") -> bool:
    """Whether a BI tool reads what the lake has."""
    there = sorted(lake.query(f"select {columns} from {table}"), key=repr)
    return bool(there) and serving.rows(table, columns) == there
