"""Programs of others that read the published marts, or the lake, as docs/serving.md has them."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lotus_lake.publication.definitions import read_definitions
from tests.system import services
from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake
from tests.system.serving import PASSWORD, Serving, publish

pytestmark = pytest.mark.nightly

HERE = Path(__file__).parent
PGJDBC = "org.postgresql:postgresql:42.7.7"
POSTGRAPHILE = "postgraphile@4.14.1"
READS_ONLY = ("--disable-default-mutations", "--disable-query-log")


@pytest.fixture(scope="module")
def address() -> str:
    """An address of this machine at which nobody else has a server, most likely."""
    return "127." + ".".join(str(random.SystemRandom().randrange(1, 255)) for _ in range(3))


@pytest.fixture(scope="module")
def serving(address: str) -> Iterator[Serving]:
    """A database that is there over TCP too."""
    with services.postgres(address) as server:
        yield Serving(server, "serving")


@pytest.fixture(scope="module")
def lake(
    reference: Reference, shared: Path, serving: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    """The shop, published."""
    made = Lake(tmp_path_factory.mktemp("readers") / "lake", parsed=shared / "parsed")
    made.copy_of(Lake(shared / "reference"))
    made.environment["LAKE_SERVING_URL"] = serving.url
    publish(made)
    return made


def need(program: str, package: str) -> str:
    """The path of a program that `make setup` does not install."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"there is no {program}. Install it (Debian: apt-get install {package})")
    return found


def run(*command: object, **options: object) -> str:
    """Run a program to its end; what it printed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_jdbc_knows_tables_keys_and_descriptions(
    lake: Lake, serving: Serving, address: str, tmp_path: Path
) -> None:
    """pgjdbc's metadata calls, as Tableau's and DBeaver's, say what the project declares."""
    need("javac", "default-jdk-headless")
    maven = need("mvn", "maven")
    copy = f"-Dartifact={PGJDBC}", f"-DoutputDirectory={tmp_path}"
    run(maven, "--quiet", "--batch-mode", "dependency:copy", *copy)
    (driver,) = tmp_path.glob("*.jar")
    url = f"jdbc:postgresql://{address}/{serving.name}?user=bi&password={quote(PASSWORD)}"
    lines = run("java", "-cp", driver, HERE / "Metadata.java", url, "marts").splitlines()
    found = [tuple(line.split("\t")) for line in lines]

    declared = read_definitions(lake.target / "manifest.json")
    assert len(declared) > 15
    for table in declared:
        name = table.name
        assert ("table", name, table.comment) in found
        columns = {row[2]: row[5] for row in found if row[:2] == ("column", name)}
        assert columns == {column: text or "null" for column, text in table.comments.items()}
        key = tuple(row[2] for row in found if row[:2] == ("key", name))
        assert key == (table.key if table.is_complete else ()), name
        assert {("index", name, column, "f") for column in table.key} <= set(found)
    assert ("column", "fct_sales", "net_sales", "numeric", "2") in {row[:5] for row in found}
    assert ("key", "fct_sales", "order_id") in found


def test_graphql_gives_what_sql_does(
    lake: Lake, serving: Serving, address: str, tmp_path: Path
) -> None:
    """PostGraphile over schema marts, as role bi; there is nothing in it that writes."""
    npm = need("npm", "nodejs npm")
    run(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path, POSTGRAPHILE)
    port = services.free_port()
    url = f"postgres://bi:{quote(PASSWORD)}@{address}/{serving.name}"
    program = tmp_path / "node_modules/.bin/postgraphile"
    options = ["--connection", url, "--schema", "marts", "--port", str(port)]

    def ask(query: str) -> Any:
        request = urllib.request.Request(
            f"http://localhost:{port}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["data"]

    with services.running([str(program), *options, *READS_ONLY], tmp_path, {}, port):
        found = ask("{ allFctDailySales { nodes { saleDay currency orders netSales } } }")
        mutations = ask("{ __schema { mutationType { name } } }")
    rows = [tuple(row.values()) for row in found["allFctDailySales"]["nodes"]]
    assert mutations == {"__schema": {"mutationType": None}}
    columns = "sale_day::text, currency, orders::text, net_sales::text"
    assert len(rows) > 20 and sorted(rows, key=repr) == serving.rows("fct_daily_sales", columns)


@contextmanager
def mcp(command: list[str], environment: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """A server of the Model Context Protocol over stdin and stdout; asks it, and gives results."""
    numbers = itertools.count()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin and server.stdout

        def send(**message: object) -> None:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            server.stdin.flush()

        def ask(method: str, **params: object) -> Any:
            send(id=next(numbers), method=method, params=params)
            return json.loads(server.stdout.readline())["result"]

        client = {"name": "test", "version": "1"}
        ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        send(method="notifications/initialized")
        yield ask
        server.stdin.close()


def test_an_mcp_server_reads_the_lake_and_the_metrics(
    lake: Lake, serving: Serving, address: str, tmp_path: Path
) -> None:
    """What docs/serving.md says to type, at other places; SQL that writes is refused."""
    guide = (PROJECT / "docs/serving.md").read_text().partition("## Agents")[2]
    install, start, configuration = re.findall(r"```(?:sh|sql|json)\n(.*?)```", guide, re.DOTALL)
    password = PASSWORD.replace("\\", "\\\\")
    (tmp_path / "pgpass").write_text(f"*:*:*:bi:{password}")
    (tmp_path / "pgpass").chmod(0o600)

    def here(text: str) -> str:
        for there, place in {
            "/home/ann/lotus-lake/.lake": lake.home,
            "/home/ann/.pgpass": tmp_path / "pgpass",
            "/home/ann": tmp_path,
            "python3.12": f"python3.{sys.version_info.minor}",
            "host=db.example.org dbname=serving": f"host={address} dbname={serving.name}",
        }.items():
            assert there in guide
            text = text.replace(there, str(place))
        return text

    for line in here(install).replace("\\\n", "").splitlines():
        run(*shlex.split(line), cwd=tmp_path)
    (tmp_path / "mcp/lake.sql").write_text(here(start))
    (server,) = json.loads(here(configuration))["mcpServers"].values()
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with mcp([server["command"], *server["args"]], {**home, **server["env"]}) as ask:

        def query(sql: str) -> tuple[bool, str]:
            answer = ask("tools/call", name="execute_query", arguments={"sql": sql})
            return answer["isError"], answer["content"][0]["text"]

        tools = {tool["name"] for tool in ask("tools/list")["tools"]}
        assert {"execute_query", "list_tables", "list_columns"} <= tools
        for here_, there in (
            ("fct_sales", "fct_sales"),
            ("metrics.marts.sales_by_month", "fct_daily_sales"),
        ):
            sql = "select cast(sum(net_sales) as varchar) as sum from "
            is_error, text = query(sql + here_)
            assert not is_error and json.loads(text)["rows"] == [list(lake.query(sql + there)[0])]
        for sql, said in (
            ("insert into fct_sales select * from fct_sales", "attached in read-only mode"),
            ("delete from __ducklake_metadata_lakehouse.ducklake_table", "in read-only mode"),
            ("delete from metrics.marts.fct_sales", "attached in read-only mode"),
            ("call postgres_execute('metrics', 'delete from marts.fct_sales')", "read-only"),
            (f"from read_text('{tmp_path}/pgpass')", "Cannot access file"),
            ("set enable_external_access = true", "locked"),
        ):
            is_error, text = query(sql)
            assert is_error and said in text, text
