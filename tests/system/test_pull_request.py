"""`lake pr`: what a checkout changes, built on a branch, and told before anything is merged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake
from tests.system.small_project import MODELS, Shop

pytestmark = pytest.mark.slow

STATUSES = "models/fct_statuses.sql"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, to be changed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for part in PROJECT.iterdir():
        if part.name == "models":
            shutil.copytree(part, folder / part.name)
        elif part.name == "tests":
            shutil.copytree(part / "integrity", folder / "tests" / "integrity")
            (folder / "tests" / "generic").symlink_to(part / "generic")
        elif part.name not in ("target", "logs", ".lake", ".git"):
            (folder / part.name).symlink_to(part)
    return folder


@pytest.fixture(scope="module")
def manifest(reference: Reference, shared: Path) -> Path:
    """What dbt parsed when it built the sample's lake."""
    return max((shared / "reference").glob("target-*/manifest.json"))


@pytest.fixture
def lake(reference_copy: Lake, manifest: Path) -> Lake:
    """A lake that has kept the manifest of its last build, as the scheduler publishes it."""
    publish(reference_copy, manifest)
    return reference_copy


@pytest.fixture
def statuses(shop: Shop) -> Shop:
    """The same of the small project, in a copy that is this lake's own."""
    shop.write(STATUSES, MODELS[STATUSES])
    parsed = shop.build("--no-partial-parse", "--select", "fct_statuses")
    assert parsed.ok, parsed
    publish(shop.lake, max(shop.lake.home.glob("target-*/manifest.json")))
    return shop


def publish(lake: Lake, manifest: Path) -> None:
    """What the scheduler does after a build."""
    (lake.home / "artifacts").mkdir()
    shutil.copy2(manifest, lake.home / "artifacts")


def pr(lake: Lake, checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in the checkout, as CI does."""
    return subprocess.run(
        [sys.executable, "-m", "lotus_lake", "pr", "pr-1"],
        env={**lake.environment, "PYTHONPATH": str(PROJECT)},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def change(checkout: Path, path: str, old: str, new: str) -> None:
    """Edit a file of the checkout."""
    file = checkout / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_changed_formula(lake: Lake, checkout: Path) -> None:
    """Only what it touches is built, both ways agree, and the report says which figures move; the
    lake itself stays as it was. A failing test is told, with exit code 20."""
    before, tables = lake.snapshot(), lake.everything("main")
    formula = "gross_sales - discounts - returns"
    change(checkout, "models/enriched/sales/fct_sales.sql", formula, f"{formula} + 1")
    failed = pr(lake, checkout)
    assert failed.returncode == 20, failed.stdout + failed.stderr
    assert "FAILED fct_sales.sales_net_of_all_refunds" in failed.stdout
    report = lake.target / "pr" / "report.md"
    assert "❌ `fct_sales.sales_net_of_all_refunds` failed" in report.read_text()
    # What failed kept the table from being built: that it is the same says nothing of the change.
    assert "Not built, since what they need failed: fct_sales, " in report.read_text()
    assert "Not built, since" in failed.stdout
    assert "Nothing.\n" not in report.read_text()

    models = checkout / "models/enriched/sales/fct_sales.yml"
    models.write_text(models.read_text().partition("unit_tests:")[0])
    for check in ("integrity_fct_sales", "integrity_fct_sales_ledger", "sales_add_up"):
        (checkout / f"tests/integrity/{check}.sql").unlink()
    done = pr(lake, checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The incremental build and a full refresh agree (models built both ways: 1)" in (
        " ".join(done.stdout.split())
    )
    text = report.read_text()
    assert "`main.fct_sales`" in text
    count = lake.value("select count(*) from fct_sales")
    assert re.search(rf"`net_sales` \| {count:,} \| \+{count:,}\.00", text), text
    (month,) = lake.query(
        "select strftime(first_order_at, '%Y-%m'), sum(net_sales), sum(net_sales) + sum(orders)"
        " from dim_customers where currency = 'USD' and orders > 0 group by 1"
        " order by 1 desc limit 1"
    )
    said, was, now = month
    line = f"| `customer_net_sales` | `{said}` | `USD` | {was:,.2f} | {now:,.2f} |"
    assert line in text
    assert (lake.target / "pr" / "report.html").read_text().count("<svg") >= 2
    assert lake.snapshot() == before
    assert lake.everything("main") == tables


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("epoch_us(now())", "NOT THE SAME after a full refresh: main.fct_statuses"),
        (
            """{{ "error('never built in full')" if flags.FULL_REFRESH else "1" }}""",
            "FAILED fct_statuses (full refresh): ",
        ),
    ],
    ids=["differs", "fails"],
)
def test_both_ways(statuses: Shop, value: str, said: str) -> None:
    """A column whose value depends on when it was built, and one that cannot be built in full, are
    found by the second build, and told beside what the first one changed."""
    statuses.write(
        STATUSES, MODELS[STATUSES].replace("count(*)", f"count(*) + cast({value} as bigint)")
    )
    done = pr(statuses.lake, statuses.project)
    assert done.returncode == 20, done.stdout + done.stderr
    assert said in done.stdout
    report = (statuses.lake.target / "pr" / "report.md").read_text()
    assert "`main.fct_statuses`" in report
    if said.startswith("FAILED"):
        assert "❌ `fct_statuses (full refresh)` failed" in report
        assert "never built in full" in report


def test_personal_data_stays_in_the_lake(lake: Lake, checkout: Path) -> None:
    """Its changes are counted, also where the pull request says that nothing is personal."""
    model = "models/processed/shopify/int_shopify__customers"
    described = checkout / f"{model}.yml"
    described.write_text(described.read_text().partition("unit_tests:")[0])
    change(checkout, f"{model}.yml", "config: {meta: {personal: true}}", "config: {meta: {}}")
    change(checkout, f"{model}.sql", "    email,\n", "    upper(email) as email,\n")
    change(checkout, f"{model}.sql", "    last_name,\n", "    last_name || '!' as last_name,\n")
    values = lake.query(
        "select email, last_name from int_shopify__customers where email like '%@%'"
    )
    emails = {email for email, _ in values} | {email.upper() for email, _ in values}
    done = pr(lake, checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    told, html = ((lake.target / "pr" / name).read_text() for name in ("report.md", "report.html"))
    assert not [email for email in emails if email in told or email in html]
    count = lake.value("select count(*) from int_shopify__customers where email is not null")
    assert f"| `email` | {count:,} |" in told
    assert ": ••• → •••`" in told
    assert not [name for _, name in values if f"{name}!" in told]


def test_what_dbt_says_of_a_wrong_value(statuses: Shop) -> None:
    """Is told without the value."""
    wrong = MODELS[STATUSES].replace("select status,", "select cast(status as bigint) as status,")
    statuses.write(STATUSES, wrong)
    done = pr(statuses.lake, statuses.project)
    assert done.returncode == 20, done.stdout + done.stderr
    folder = statuses.lake.target / "pr"
    assert "Could not convert string '•••' to INT64" in (folder / "report.md").read_text()
    for report in folder.glob("report.*"):
        assert "placed" not in report.read_text() and "shipped" not in report.read_text()


def test_what_dbt_cannot_read(statuses: Shop) -> None:
    """There is a report of that, too."""
    statuses.write(STATUSES, "{{ nothing")
    done = pr(statuses.lake, statuses.project)
    assert done.returncode == 20, done.stdout + done.stderr
    assert "FAILED dbt build: it stopped before its first node" in done.stdout
    assert "❌ `dbt build` failed" in (statuses.lake.target / "pr" / "report.md").read_text()


def test_nothing_changed(statuses: Shop) -> None:
    """A pull request that changes no model builds none; without a manifest it says what to do."""
    lake = statuses.lake
    done = pr(lake, statuses.project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of" in done.stdout
    assert "Nothing." in (lake.target / "pr" / "report.md").read_text()
    shutil.rmtree(lake.home / "artifacts")
    lost = pr(lake, statuses.project)
    assert lost.returncode == 64
    assert "There is no manifest.json at" in lost.stderr
    assert "Traceback" not in lost.stderr
