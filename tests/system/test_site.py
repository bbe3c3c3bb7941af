"""The site: its links lead somewhere; each night in a real browser, where it opens from any folder,
and what landed does not run in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect

from tests.system import browser
from tests.system.browser import NARROW, WIDE, Tab
from tests.system.conftest import Reference
from tests.system.lake import PROJECT, Lake

# What a printer leaves of the width of a page, in CSS pixels.
A4 = 718
DOCS = [sys.executable, "-m", "lotus_lake", "docs"]

# Names of columns that landed; what they run says that it ran.
HOSTILE = [
    "</script><img src=x onerror=window.ran=1>",
    "<img src=x onerror=window.ran=2>",
    "<!--<script>window.ran=3",
    "{{constructor.constructor('window.ran=4')()}}",
    "<a href=javascript:window.ran=5>run</a>",
    'a"b',
    "line\u2028separator",
]

# The first page of each part, and what shows that it is there.
PARTS = {
    "docs/index.html": "h1",
    "status/index.html": "h1",
    "catalog/index.html": ".app-content h1:visible",
    "lineage/index.html": "[data-column-name]",
}


@dataclass(frozen=True)
class Site:
    """A site that was built, and the environment of its lake."""

    folder: Path
    environment: dict[str, str]

    def url(self, page: str) -> str:
        """Where a browser finds a page."""
        path, rest = re.fullmatch(r"([^?#]*)(.*)", page).groups()  # type: ignore[union-attr]
        return (self.folder / path).as_uri() + rest


def land_hostile_names(lake: Lake) -> None:
    """Feed a file with columns that try to run, and put one into quarantine whose name does."""
    folder = lake.landing / "ads/spend/year=2030/month=01/day=01"
    folder.mkdir(parents=True)
    table = pa.table({"id": [990001], **{name: ["x"] for name in HOSTILE}})
    pq.write_table(table, folder / "good.parquet")
    (folder / f"{HOSTILE[1]}.parquet").write_bytes(b"no parquet")
    built = lake.build_quickly("--select", "stg_ads__spend")
    assert built.ok, built


@pytest.fixture(scope="module")
def site(
    reference: Reference, shared: Path, tmp_path_factory: pytest.TempPathFactory, parsed: Path
) -> Site:
    """The site of a small shop, built by `lake docs`."""
    lake = Lake(tmp_path_factory.mktemp("site"), parsed=parsed)
    lake.copy_of(Lake(shared / "reference"))
    land_hostile_names(lake)
    built = lake.command("docs")
    assert built.code == 0, built
    return Site(lake.target / "site", lake.environment)


@pytest.mark.slow
def test_links_lead_somewhere(site: Site) -> None:
    """Every link within our pages has a file and an anchor; every guide is there."""
    texts = {
        path.resolve(): path.read_text()
        for path in site.folder.rglob("*.html")
        if path.parent.name not in ("catalog", "lineage")
    }
    dead = []
    for page, text in texts.items():
        for link in re.findall(r' (?:href|src)="(?![a-z]+:)([^"]*)"', text):
            parts = urlsplit(unescape(link))
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = f' id="{parts.fragment}"'
            if not path.is_file() or (parts.fragment and anchor not in texts.get(path, anchor)):
                dead.append((page.name, link))
    assert dead == []
    for guide in PROJECT.glob("docs/**/*.md"):
        assert (site.folder / guide.relative_to(PROJECT)).with_suffix(".html").resolve() in texts


@pytest.mark.slow
def test_tables_and_metrics_are_listed(site: Site) -> None:
    """Each table of the project with the columns that it has in the lake, what landed as text; a
    guide that names one in code leads to it."""
    listed = (site.folder / "docs/dictionary.html").read_text()
    columns = set(map(unescape, re.findall(r'<dt id="([^"]*)">', listed)))
    project = json.loads((site.folder.parent / "manifest.json").read_text())
    for node in project["nodes"].values():
        if node["resource_type"] in ("model", "seed", "snapshot"):
            assert f'<section id="{node["alias"]}">' in listed
            assert {f"{node['alias']}.{name}" for name in node["columns"]} <= columns
    assert {f"metric-{metric['name']}" for metric in project["metrics"].values()} <= columns
    assert {f"stg_ads__spend.{name}" for name in ("id", *HOSTILE[:6])} <= columns
    assert "<img src=x" not in listed and "<a href=javascript" not in listed
    guide = (site.folder / "docs/analysts.html").read_text()
    assert re.search(r'<a [^>]*href="dictionary.html#fct_sales"><code[^>]*>.*fct_sales', guide)


def blocks(site: Site, page: str, section: str, currency: str, grain: str) -> list[list[str]]:
    """The rows of a section of a page of metrics, for a currency and a period."""
    text = (site.folder / page).read_text().partition(f"<h2>{section}</h2>")[2]
    text = text.partition("</section>")[0]
    chosen = f'data-currency="{currency}" data-grain="{grain}"'
    (block,) = (part for part in text.split('<div class="block" ') if part.startswith(chosen))
    rows = re.findall(r"<tr>(.*?)</tr>", block.partition("<tbody>")[2])
    return [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t", row)] for row in rows]


@pytest.mark.slow
def test_pages_of_metrics(site: Site, reference: Reference, shared: Path) -> None:
    """Each figure is what SQL over the facts says."""
    lake = Lake(shared / "reference")
    days = lake.query(
        "select strftime(sale_day, '%a %d %b %Y'), total_sales, gross_sales, discounts, returns,"
        " net_sales, shipping, taxes, orders, average_order_value from fct_daily_sales"
        " where currency = 'USD' and sale_day is not null order by sale_day desc"
    )
    shown = blocks(site, "sales.html", "Sales over time", "USD", "day")
    assert len(days) > 15 and len(shown) > 15

    def cells(row: tuple[object, ...]) -> list[str]:
        name, *values, orders, average = row
        return [str(name), *(f"{value:,.2f}" for value in values), f"{orders:,}", f"{average:,.2f}"]

    expected = {row[0]: cells(row) for row in days}
    assert {row[0]: row[:-1] for row in shown}.items() <= expected.items()

    margins = lake.query(
        "select title, sum(gross_margin), sum(net_sales) from fct_order_lines"
        " where is_counted and currency = 'USD' group by 1 order by 2 desc nulls last limit 5"
    )
    ranked = blocks(site, "products.html", "Margin", "USD", "month")
    assert [row[:3] for row in ranked[:5]] == [
        [title, f"{margin:,.2f}", f"{sales:,.2f}"] for title, margin, sales in margins
    ]

    (last, until), *_ = lake.query(
        "with sales as (select * from fct_daily_sales where currency = 'USD' and sale_day notnull)"
        " select max_by(total_sales, sale_day), sum(total_sales) from sales"
        " where strftime(sale_day, '%Y-%m') = (select strftime(max(sale_day), '%Y-%m') from sales)"
    )
    (total, *_) = blocks(site, "index.html", "Sales", "USD", "")
    assert total == ["Total sales", f"{last:,.2f}", f"{until:,.2f}", "–"]
    assert "Something needs a look" in (site.folder / "index.html").read_text()

    retained = lake.query(
        "select retention_rate from fct_customer_cohorts where currency = 'USD'"
        " and months_since_first = 0 order by cohort_month desc"
    )
    triangle = blocks(site, "customers.html", "Who came back", "USD", "")
    assert [row[1] for row in triangle] == [f"{rate:.1%}" for (rate,) in retained]


@pytest.mark.slow
def test_the_site_is_served(site: Site) -> None:
    """By `lake docs --serve`, to this machine only, with headers of its own."""
    command = [*DOCS, "--serve", "0"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=site.environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout
            told = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            assert told
            with urlopen(told[0]) as answer:
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        finally:
            server.terminate()


# -- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A tab of one browser for all of these tests."""
    with browser.chromium() as opened:
        yield Tab(opened.new_page())


@pytest.mark.nightly
def test_our_pages_are_sound(site: Site, tab: Tab) -> None:
    """No errors, nothing asked of the network, no wider than a phone or a desk; pictures drawn."""
    reports = [f"{path.stem}.html" for path in (PROJECT / "pages").glob("*.yml")]
    guides = ["README.html", "docs/index.html", "docs/models.html", "docs/dictionary.html"]
    for page in (*reports, *guides, "status/index.html"):
        for width in (NARROW, WIDE):
            tab.resize(width)
            tab.open(site.url(page), "h1")
            assert tab.faults() == [], page
    tab.open(site.url("README.html"), "svg.flowchart >> text=landing zone")


@pytest.mark.nightly
def test_dark_and_printed(site: Site, tab: Tab) -> None:
    """Every text is legible on a light and a dark ground; paper is light, has no navigation, and
    is as wide as its charts."""
    ours = [f"{path.stem}.html" for path in (PROJECT / "pages").glob("*.yml")]
    ours.append("status/index.html")
    chromium = tab.page.context.browser
    assert chromium
    for scheme, media, width in (
        ("light", "screen", WIDE),
        ("dark", "screen", WIDE),
        ("dark", "screen", NARROW),
        ("dark", "print", A4),
    ):
        own = Tab(chromium.new_page(color_scheme=scheme))
        own.page.emulate_media(media=media)
        own.resize(width)
        for page in ours if media == "print" else [*ours, "docs/dictionary.html"]:
            where = f"{page}, {scheme}, {media}, {width} px"
            own.open(site.url(page), "h1")
            ground, faint = own.colours()
            assert ground < 0.1 if (scheme, media) == ("dark", "screen") else ground > 0.9, where
            assert faint == [], where
            if media == "print":
                assert_printable(own, where)
        own.page.close()


def assert_printable(tab: Tab, where: str) -> None:
    """Nothing to click is left, and no chart is cut, by the paper's width or between two pages."""
    assert tab.page.locator("nav").count() == 1
    assert tab.page.locator("nav:visible, form:visible, details:visible").count() == 0, where
    for figure in tab.page.locator("figure.chart:visible").all():
        assert figure.evaluate("figure => getComputedStyle(figure).breakInside") == "avoid", where
        box = figure.locator("svg").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= A4, where


@pytest.mark.nightly
def test_the_parts_lead_to_each_other(site: Site, tab: Tab, tmp_path: Path) -> None:
    """Also when the whole site was moved; dbt's page shows a table's columns."""
    moved = tmp_path / "another folder" / "shop"
    shutil.copytree(site.folder, moved)
    page = tab.page
    tab.resize(WIDE)
    for name, part in (("Catalog", "catalog"), ("Lineage", "lineage"), ("Status", "status")):
        tab.open((moved / "docs/decisions/README.html").as_uri(), "h1")
        page.get_by_role("link", name=name, exact=True).first.click()
        page.locator(PARTS[f"{part}/index.html"]).first.wait_for(timeout=20_000)
        assert page.url.startswith((moved / part).as_uri())
    catalog = (moved / "catalog/index.html").as_uri()
    tab.open(catalog, PARTS["catalog/index.html"])
    page.get_by_role("link", name="guides", exact=True).click()
    assert page.url == (moved / "docs/index.html").as_uri()
    sales = f"{catalog}#!/model/model.lotus_lake.fct_sales"
    tab.open(sales, ".table-responsive tbody tr")
    expect(page.locator("body")).to_contain_text("net_sales")
    tab.open((moved / "status/index.html").as_uri(), "h1")
    page.get_by_role("link", name="fct_sales", exact=True).first.click()
    assert page.url == sales
    expect(page.locator(".table-responsive")).to_contain_text("net_sales")


@pytest.mark.nightly
def test_one_search(site: Site, tab: Tab) -> None:
    """Over guides, tables, columns, metrics; a column that landed is found, and does not run."""
    tab.resize(WIDE)
    tab.faults()
    for words, kind, name, place in (
        ("fct_sales", "table", "fct_sales", "docs/dictionary.html#fct_sales"),
        ("net_sales", "column", "fct_sales.net_sales", "docs/dictionary.html#fct_sales.net_sales"),
        ("repeat_rate", "metric", "repeat_rate", "docs/dictionary.html#metric-repeat_rate"),
        ("quarantine", "", "Glossary", "docs/glossary.html"),
        ("onerror", "column", escape(f"stg_ads__spend.{HOSTILE[1]}"), ""),
    ):
        tab.open(site.url(f"search.html?q={words}"), "#search-results li")
        found = tab.page.locator("#search-results li")
        if kind:
            found = found.filter(has_text=f"{kind}, in Data dictionary")
        link = found.get_by_role("link", name=name, exact=True).first
        expect(link).to_be_visible()
        assert tab.page.evaluate("window.ran") is None
        assert tab.faults() == [], words
        if place:
            link.click()
            expect(tab.page).to_have_url(re.compile(f"/{re.escape(place)}$"))
            if anchor := place.partition("#")[2]:
                expect(tab.page.locator(f'[id="{anchor}"]')).to_be_in_viewport()


@pytest.mark.nightly
def test_currency_and_period_are_chosen(site: Site, tab: Tab) -> None:
    """Of the page's blocks only those of the choice are seen."""
    tab.open(site.url("sales.html"), "h1")
    page = tab.page
    heads = page.locator("section").first.locator("thead th:visible").first
    expect(heads).to_have_text("Month")
    page.get_by_label("Days").check()
    expect(heads).to_have_text("Day")
    before = page.locator("section").first.locator("tbody td:visible").first.inner_text()
    page.get_by_label("Currency").select_option(index=1)
    expect(page.locator("section").first.locator("tbody td:visible").first).not_to_have_text(before)
    assert page.locator("section").first.locator("table:visible").count() == 1


@pytest.mark.nightly
def test_what_landed_does_not_run(site: Site, tab: Tab) -> None:
    """Names of columns and files are text on every page that shows them, and in search results."""
    table = "model.lotus_lake.stg_ads__spend"
    catalog = f"catalog/index.html#!/model/{table}"
    for place, ready in (
        (catalog, ".table-responsive tbody tr"),
        (f"lineage/index.html?model={table}", "[data-column-name]"),
        ("status/index.html", "h1"),
    ):
        tab.open(site.url(place), ready)
        tab.page.wait_for_timeout(1_000)
        text = tab.page.inner_text("body")
        for name in HOSTILE[:2] if place.startswith("status") else HOSTILE[:5]:
            assert name in text, place
        assert tab.page.evaluate("window.ran") is None, place
    tab.open(site.url(catalog), PARTS["catalog/index.html"])
    tab.page.locator("#search").fill("onerror")
    expect(tab.page.locator("body")).to_contain_text("columns:", use_inner_text=True)
    tab.page.wait_for_timeout(1_000)
    assert tab.page.evaluate("window.ran") is None


@pytest.mark.nightly
def test_a_page_runs_its_own_scripts_only(site: Site, tab: Tab) -> None:
    """Whatever else would get into one."""
    added = """document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran=1'>");
        document.body.append(Object.assign(document.createElement("script"),
            {textContent: "window.ran = 2"}))"""
    for page, ready in PARTS.items():
        tab.faults()
        tab.open(site.url(page), ready)
        tab.page.evaluate(added)
        tab.page.wait_for_timeout(300)
        assert tab.page.evaluate("window.ran") is None, page
        assert any("Content Security Policy" in problem for problem in tab.problems), page


@pytest.mark.nightly
def test_the_status_page_shows_its_age(site: Site, tab: Tab) -> None:
    """Whoever publishes the page may have stopped."""
    tab.open(site.url("status/index.html"), "h1")
    expect(tab.page.locator("#age")).to_be_empty()
    tab.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=50))
    tab.open(site.url("status/index.html"), "h1")
    expect(tab.page.locator("#age")).to_have_text(re.compile(r"\((49|50) hours ago\)"))
