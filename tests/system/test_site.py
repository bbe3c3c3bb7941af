"""The site, in a real browser: every page is sound, on a phone and on a desk, from any folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect

from lotus_lake.site.frame import PARTS
from tests.system import browser
from tests.system.browser import NARROW, WIDE, Tab
from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake

DOCS = [sys.executable, "scripts/docs.py"]

# Names of columns that landed; what they run says that it ran.
HOSTILE = [
    "</script><img src=x onerror=window.ran=1>",
    "<img src=x onerror=window.ran=2>",
    "<!--<script>window.ran=3",
    "{{constructor.constructor('window.ran=4')()}}",
    'a"b',
    "line\u2028separator",
]

both_widths = pytest.mark.parametrize("width", [NARROW, WIDE], ids=["phone", "desk"])

# Of a page of the catalog, whose list of what was found has one too.
TITLE = ".app-content h1:visible"
# What shows that a page is there; the others show a heading at once.
READY = {
    "catalog/index.html": TITLE,
    "lineage/index.html": "[data-column-name]",
    "search.html": ".site-bar",
}
# Pages of the catalog, of each kind.
CATALOG = {
    "": TITLE,
    "#!/overview/lotus_lake": TITLE,
    "#!/model/model.lotus_lake.fct_sales": ".table-responsive tbody tr",
    "#!/model/model.lotus_lake.stg_shopify__orders": ".table-responsive tbody tr",
    "#!/source/source.lotus_lake.shopify.orders": ".table-responsive tbody tr",
    "#!/exposure/exposure.lotus_lake.sales_dashboard": ".panel-body",
    "#!/snapshot/snapshot.lotus_lake.snap_shopify__customers": ".table-responsive tbody tr",
    "#!/seed/seed.lotus_lake.klaviyo_metric_roles": ".table-responsive tbody tr",
    "#!/analysis/analysis.lotus_lake.cohort_retention": ".token.keyword",
    "#!/test/test.lotus_lake.refunds_are_within_sales": ".token.keyword",
    "#!/macro/macro.lotus_lake.volume_scores": TITLE,
}


@dataclass(frozen=True)
class Site:
    """A site that was built.

    Args:
        folder: Where it is.
        environment: That of the lake which it was built of.
        manifest: What dbt knows of the project.
    """

    folder: Path
    environment: dict[str, str]
    manifest: dict[str, dict[str, dict[str, object]]]

    @property
    def pages(self) -> list[str]:
        """Every page."""
        return sorted(str(page.relative_to(self.folder)) for page in self.folder.rglob("*.html"))

    def url(self, page: str) -> str:
        """Where a browser finds a page."""
        path, rest = re.fullmatch(r"([^?#]*)(.*)", page).groups()  # type: ignore[union-attr]
        return (self.folder / path).as_uri() + rest


def land_hostile_names(lake: Lake) -> None:
    """Feed a file with columns that try to run, and put one into quarantine whose name does."""
    folder = lake.landing / "jaffle_shop/customers/year=2030/month=01/day=01"
    folder.mkdir(parents=True)
    table = pa.table({"id": [990001], **{name: ["x"] for name in HOSTILE}})
    pq.write_table(table, folder / "good.parquet")
    (folder / f"{HOSTILE[1]}.parquet").write_bytes(b"no parquet")
    built = lake.build_quickly("--select", "stg_jaffle_shop__customers")
    assert built.ok, built


@pytest.fixture(scope="module")
def site(
    reference: Reference, shared: Path, tmp_path_factory: pytest.TempPathFactory, parsed: Path
) -> Site:
    """The site of a small shop, built as `make docs` does."""
    lake = Lake(tmp_path_factory.mktemp("site"), parsed=parsed)
    lake.copy_of(Lake(shared / "reference"))
    land_hostile_names(lake)
    running = lake.start("docs", "generate")
    assert running.wait().code == 0
    environment = {**lake.environment, "DBT_TARGET_PATH": str(running.target)}
    built = subprocess.run(
        DOCS, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stderr) == (0, "")
    folder = running.target / "site"
    assert str(folder) in built.stdout
    assert not [left for left in running.target.iterdir() if left.name.startswith(".site")]
    manifest = json.loads((running.target / "manifest.json").read_text())
    return Site(folder, environment, manifest)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all of these tests."""
    with browser.chromium() as opened:
        yield opened


@pytest.fixture
def tab(chromium: Browser, width: int) -> Iterator[Tab]:
    """A tab of the width that the test asks for."""
    page = chromium.new_page(viewport={"width": width, "height": 900})
    yield Tab(page)
    page.close()


# -- every page ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("width", [NARROW])
def test_every_page_is_sound(site: Site, tab: Tab) -> None:
    """No errors, no requests that fail or leave the machine; legible, accessible, not too wide."""
    faults = {}
    visits = {page: READY.get(page, "h1") for page in site.pages}
    visits |= {f"catalog/index.html{rest}": ready for rest, ready in CATALOG.items()}
    assert {"index.html", "readme.html", "status/index.html"} < set(visits)
    for page, ready in visits.items():
        tab.resize(NARROW)
        tab.open(site.url(page), ready)
        for width in (NARROW, WIDE):
            tab.resize(width)
            if page.startswith(("catalog", "lineage")):
                # Long enough for what they do late, such as a request of their own.
                tab.page.wait_for_timeout(1_000)
            faults[f"{page} at {width} px"] = tab.faults()
    assert {page: found for page, found in faults.items() if found} == {}


def test_the_dark_is_readable(site: Site, chromium: Browser) -> None:
    """Where the reader's machine prefers dark colours: the status page, and the guides."""
    tab = Tab(chromium.new_page(color_scheme="dark"))
    for page in ("status/index.html", "index.html", "models.html"):
        tab.open(site.url(page), "h1")
        dark = tab.page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(one => one < 64)"
        )
        assert dark, page
        assert tab.faults() == [], page
    tab.page.close()


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note both."""
        for name, value in attrs:
            if value and name in ("href", "src") and not re.match(r"[a-z]+:", value):
                self.links.add(value)
            elif value and name == "id":
                self.anchors.add(value)


def dead(site: Site, page: str, links: set[str], anchors: dict[str, set[str]]) -> list[str]:
    """Links of a page that lead to no file, no anchor, or nothing that the catalog has."""
    known = {name for kind in ("nodes", "sources", "exposures") for name in site.manifest[kind]}
    found = []
    for link in links:
        parts = urlsplit(link)
        target = (site.folder / page).parent / unquote(parts.path) if parts.path else None
        path = (target or site.folder / page).resolve()
        name = str(path.relative_to(site.folder.resolve()))
        if parts.fragment.startswith("!/"):
            what = parts.fragment.partition("#")[0].split("/")
            if what[1] != "overview" and what[2] not in known:
                found.append(link)
        elif not path.is_file() or (
            parts.fragment and path.suffix == ".html" and parts.fragment not in anchors[name]
        ):
            found.append(link)
    return found


def test_links_lead_somewhere(site: Site) -> None:
    """Every link within the site has a page, and what it points to within that page."""
    parsed = {
        page: Links((site.folder / page).read_text())
        for page in site.pages
        if not page.startswith(("catalog", "lineage"))
    }
    # Furo's way to the top of a page.
    anchors = {page: one.anchors | {""} for page, one in parsed.items()}
    links = {page: dead(site, page, one.links - {"#"}, anchors) for page, one in parsed.items()}
    assert {page: found for page, found in links.items() if found} == {}
    # Every guide is there, and every file that one of them links to.
    for guide in PROJECT.glob("docs/**/*.md"):
        name = str(guide.relative_to(PROJECT / "docs").with_suffix(".html"))
        assert name.replace("README", "index") in parsed
    assert "files/deploy/postgres/role.sql.html" in parsed


@pytest.mark.parametrize("width", [WIDE])
def test_links_of_the_catalog_lead_somewhere(site: Site, tab: Tab) -> None:
    """Those that people wrote, in doc() blocks and exposures."""
    anchors = {
        page: Links((site.folder / page).read_text()).anchors
        for page in site.pages
        if not page.startswith(("catalog", "lineage"))
    }
    for place in ("", "#!/overview/lotus_lake", "#!/exposure/exposure.lotus_lake.status_page"):
        tab.open(site.url(f"catalog/index.html{place}"), TITLE)
        links = tab.page.eval_on_selector_all(
            ".app-content a[href]", "all => all.map(one => one.getAttribute('href'))"
        )
        own = {link for link in links if not re.match(r"[a-z]+:", link)}
        assert len(own) > 2
        assert dead(site, "catalog/index.html", own, anchors) == [], place


# -- the parts -------------------------------------------------------------------------------------


@both_widths
def test_the_parts_lead_to_each_other(site: Site, tab: Tab, tmp_path: Path) -> None:
    """Also when the whole site was moved to another folder."""
    moved = tmp_path / "another folder" / "shop"
    shutil.copytree(site.folder, moved)
    page = tab.page
    tab.open((moved / "decisions/index.html").as_uri(), "h1")
    for name, ready in (
        ("Status", "h1"),
        ("Catalog", TITLE),
        ("Lineage", "[data-column-name]"),
        ("Guides", "h1"),
    ):
        page.get_by_role("navigation", name="Parts of the site").get_by_role(
            "link", name=name
        ).click()
        page.locator(ready).first.wait_for(timeout=20_000)
        assert page.url.startswith(moved.as_uri())
        current = page.locator(".site-bar [aria-current]")
        expect(current).to_have_text(name)
    assert tab.problems == []


@both_widths
def test_the_catalog_shows_a_table(site: Site, tab: Tab, width: int) -> None:
    """Its columns; and on a phone the menu of tables, which makes way for the table again."""
    tab.open(
        site.url("catalog/index.html#!/model/model.lotus_lake.fct_sales"),
        ".table-responsive tbody tr",
    )
    page = tab.page
    expect(page.locator(TITLE)).to_contain_text("fct_sales")
    columns = page.locator(".table-responsive tbody tr td:first-child").all_inner_texts()
    declared = site.manifest["nodes"]["model.lotus_lake.fct_sales"]["columns"]
    assert isinstance(declared, dict)
    assert {column.strip() for column in columns} >= set(declared)
    menu = page.locator(".app-menu")
    if width == NARROW:
        expect(menu).to_be_hidden()
        page.get_by_role("button", name="Menu of tables").click()
    expect(menu).to_be_visible()
    menu.get_by_role("link", name="fct_daily_sales", exact=True).filter(visible=True).first.click()
    expect(page.locator(TITLE)).to_contain_text("fct_daily_sales")
    if width == NARROW:
        expect(menu).to_be_hidden()
    assert tab.problems == []


@pytest.mark.parametrize("width", [WIDE])
def test_what_landed_does_not_run(site: Site, tab: Tab) -> None:
    """Names of columns and files are text on every page that shows them, and in what it finds."""
    table = "model.lotus_lake.stg_jaffle_shop__customers"
    for place, ready in (
        (f"catalog/index.html#!/model/{table}", ".table-responsive tbody tr"),
        (f"lineage/index.html?model={table}", "[data-column-name]"),
        ("status/index.html", "h1"),
    ):
        tab.open(site.url(place), ready)
        tab.page.wait_for_timeout(1_000)
        text = tab.page.inner_text("body")
        for name in HOSTILE if not place.startswith("status") else HOSTILE[:2]:
            assert name.replace("\u2028", "\\u2028" if "status" in place else "\u2028") in text, (
                place
            )
        assert tab.page.evaluate("window.ran") is None, place
        assert tab.problems == [], place
    tab.open(site.url(f"catalog/index.html#!/model/{table}"), TITLE)
    tab.page.locator("#search").fill("onerror")
    listed = f"columns: {HOSTILE[0]}, {HOSTILE[1]}"
    expect(tab.page.locator("body")).to_contain_text(listed, use_inner_text=True)
    assert tab.page.evaluate("window.ran") is None
    assert tab.problems == []


@pytest.mark.parametrize("width", [WIDE])
def test_a_page_runs_its_own_scripts_only(site: Site, tab: Tab) -> None:
    """Whatever else would get into one."""
    added = """document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran=1'>");
        document.body.append(Object.assign(document.createElement("script"),
            {textContent: "window.ran = 2"}))"""
    for part in PARTS:
        tab.open(site.url(part.page), READY.get(part.page, "h1"))
        tab.page.evaluate(added)
        tab.page.wait_for_timeout(300)
        assert tab.page.evaluate("window.ran") is None, part.page
        assert any("Content Security Policy" in problem for problem in tab.problems), part.page


@both_widths
def test_a_click_on_a_column_shows_its_path(site: Site, tab: Tab, width: int) -> None:
    """From a column of a fact down to the columns that landed."""
    tab.open(
        site.url("lineage/index.html?model=model.lotus_lake.fct_daily_sales"), "[data-column-name]"
    )
    page = tab.page
    # It moves for a moment, until its layout is computed.
    page.wait_for_timeout(1_000)
    page.locator(
        "[data-id='model.lotus_lake.fct_daily_sales'] [data-column-name=net_sales]"
    ).click()
    expect(page).to_have_url(re.compile("column=net_sales"))
    marked = "[data-column-name={}][data-highlighted=true]"
    # A phone shows a part of the path at a time.
    expect(page.locator(marked.format("returned_merchandise"))).to_be_attached()
    if width == WIDE:
        landed = page.locator("[data-id='source.lotus_lake.shopify.orders']")
        for column in ("total_discounts", "line_items", "taxes_included"):
            expect(landed.locator(marked.format(column))).to_be_attached()
        refunds = page.locator("[data-id='source.lotus_lake.shopify.order_refunds']")
        expect(refunds.locator(marked.format("refund_line_items"))).to_be_attached()
        expect(landed.locator(marked.format("email"))).to_have_count(0)
    assert page.locator(".react-flow__edge").count() > 5
    assert tab.problems == []


@pytest.mark.parametrize("width", [WIDE])
def test_every_model_has_a_lineage(site: Site, tab: Tab) -> None:
    """Each column of a model comes from one that it reads, or is made by the model itself."""
    tab.open(site.url("lineage/index.html"), "[data-column-name]")
    edges = tab.page.evaluate("window.colibriData.lineage.edges")
    led = {(edge["target"], edge["targetColumn"]) for edge in edges if edge["targetColumn"]}
    models = {
        name: node
        for name, node in site.manifest["nodes"].items()
        if node["resource_type"] == "model" and node["name"] != "dim_dates"
    }
    assert {name for name, _ in led} >= set(models)
    landed = {edge["source"] for edge in edges if edge["source"].startswith("source.")}
    streams = {name for name in site.manifest["sources"] if ".meta." not in name}
    assert landed >= streams
    # Counted rows come from no column, nor do the streams' names, which the project declares.
    made = {
        "fct_daily_sales": {"orders"},
        "fct_customer_cohorts": {"customers", "orders"},
        "fct_campaign_performance": {"attributed_orders"},
        "fct_stream_volumes": {"source", "stream"},
        "dim_customers": {"orders"},
        "dim_jaffle_shop__customers": {"number_of_orders"},
    }
    by_the_feeder = {"_source_file", "_source_row", "_cursor_version"}
    for name, node in models.items():
        columns = set(node["columns"])  # type: ignore[call-overload]
        table = str(node["name"])
        odd = {column for column in columns if (name, column) not in led}
        assert odd == (by_the_feeder if table.startswith("stg_") else made.get(table, set())), table


@both_widths
def test_the_status_page_can_be_sorted_and_has_charts(site: Site, tab: Tab) -> None:
    """A click on a head sorts, another the other way; every chart has marks."""
    tab.open(site.url("status/index.html"), "table.sortable")
    head = tab.page.locator("table.sortable th").first
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    cells = tab.page.locator("table.sortable").first.locator("tbody td:first-child")
    up = cells.all_inner_texts()
    assert len(up) > 2
    assert up == sorted(up)
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert cells.all_inner_texts() == sorted(up, reverse=True)
    # Numbers by their size, also where they are told in units or have none.
    table = tab.page.locator("table.sortable", has=tab.page.get_by_text("Tables", exact=True))
    place = table.locator("th").all_inner_texts().index("size")
    table.locator("th").nth(place).get_by_role("button").click()
    sizes = table.locator(f"tbody td:nth-child({place + 1})")
    known = [int(one.get_attribute("data-sort") or -1) for one in sizes.all()]
    assert known == sorted(known)
    assert known[-1] > 1000 > known[0] >= 0
    # Of what goes on in time a phone shows the end first.
    gone = tab.page.eval_on_selector_all(
        ".in-time", "all => all.map(one => one.scrollWidth - one.clientWidth - one.scrollLeft)"
    )
    assert gone and max(gone) < 2
    for caption in tab.page.locator(".in-time figcaption").all():
        left = caption.bounding_box()
        assert left and left["x"] >= 0, caption.inner_text()
    charts = tab.page.locator("figure.chart svg")
    assert charts.count() > 1
    for chart in charts.all():
        assert chart.locator("[class*=mark-] path").count() > 0


@pytest.mark.parametrize("width", [NARROW])
def test_a_status_page_that_nobody_makes_any_more_shows_its_age(site: Site, tab: Tab) -> None:
    """What it says was true then; whoever publishes it may have stopped."""
    tab.open(site.url("status/index.html"), "h1")
    expect(tab.page.locator("#age")).to_be_empty()
    tab.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=50))
    tab.open(site.url("status/index.html"), "h1")
    expect(tab.page.locator("#age")).to_have_text(" (2 days ago)")


@both_widths
def test_the_guides_can_be_searched(site: Site, tab: Tab) -> None:
    """Without a server too."""
    tab.open(site.url("search.html") + "?q=quarantine", "#search-results li a")
    tab.page.locator("#search-results li a").first.click()
    expect(tab.page.locator("h1").first).to_be_visible()
    assert tab.problems == []


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [NARROW])
def test_the_site_is_served(site: Site, tab: Tab) -> None:
    """As `make docs-serve` does, to this machine only."""
    server = subprocess.Popen(
        [*DOCS, "--serve", "0"],
        cwd=PROJECT,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        told = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert told
        with urlopen(told[0]) as answer:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        tab.open(told[0], "h1")
        tab.open(f"{told[0]}catalog/index.html", TITLE)
        assert tab.problems == []
    finally:
        server.terminate()
        server.wait()


def docs(site: Site, *arguments: str, **environment: str) -> tuple[int, str]:
    """The code and the complaints of the script."""
    done = subprocess.run(
        [*DOCS, *arguments],
        cwd=PROJECT,
        env={**site.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_what_is_missing_is_said(site: Site, tmp_path: Path) -> None:
    """And nothing is left behind, nor is what was there before touched."""
    nowhere = ("--target", str(tmp_path))
    code, said = docs(site, *nowhere)
    assert (code, "dbt docs generate" in said) == (64, True)
    code, said = docs(site, "--serve", *nowhere)
    assert (code, "make docs" in said) == (64, True)
    code, said = docs(site, "--out", str(tmp_path / "site"), LAKE_CATALOG=f"sqlite:{tmp_path}/no/c")
    assert (code, "make build" in said) == (40, True)
    assert list(tmp_path.iterdir()) == []
