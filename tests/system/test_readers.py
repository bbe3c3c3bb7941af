"""Programs of others that read the published marts, or the lake, as docs/serving.md has them."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lotus_lake.publication.definitions import read_definitions
from tests.system import services
from tests.system.conftest import Reference
from tests.system.lake import Lake
from tests.system.serving import PASSWORD, Serving, publish

pytestmark = pytest.mark.nightly

HERE = Path(__file__).parent
PGJDBC = "org.postgresql:postgresql:42.7.7"


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
