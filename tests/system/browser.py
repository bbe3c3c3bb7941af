"""Chromium as it is installed, and what goes wrong on a page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

NARROW, WIDE = 390, 1440

# Nothing that the browser does by itself, so that every request is one of the page.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-dev-shm-usage"),
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


# The luminance of the page's ground, from 0 to 1, and the visible texts of which the contrast to
# what is behind them is below 4.5 (WCAG 2.2, AA).
_COLOURS = """() => {
  const rgba = text => {
    const [, ...parts] = text.match(/^rgba?\\(([\\d.]+), ([\\d.]+), ([\\d.]+)(?:, ([\\d.]+))?\\)$/);
    return parts.map(part => part === undefined ? 1 : Number(part));
  };
  const over = ([r, g, b, alpha], below) =>
    [r, g, b].map((part, n) => part * alpha + below[n] * (1 - alpha));
  const ground = element => element
    ? over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement))
    : [255, 255, 255];
  const luminance = colour => {
    const [r, g, b] = colour.map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = element => {
    const style = getComputedStyle(element), behind = ground(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(over(rgba(ink), behind)), luminance(behind)].sort().reverse();
    return (light + 0.05) / (dark + 0.05);
  };
  const texts = "h1, h2, h3, p, li, dt, dd, th, td, caption, figcaption, label, summary, a, code";
  const faint = [...document.querySelectorAll(`${texts}, svg text`)]
    .filter(element => element.checkVisibility() && element.textContent.trim())
    .filter(element => contrast(element) < 4.5)
    .map(element => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
  return [luminance(ground(document.body)), faint];
}"""


@dataclass
class Tab:
    """A tab of the browser, and what went wrong in it.

    Args:
        page: Playwright's page.
        problems: Messages in the console, errors, and requests that failed or left the machine.
    """

    page: Page
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda one: self.problems.append(f"failed: {one.url[:200]}"))
        self.page.on("response", self._response)

    def resize(self, width: int) -> None:
        """Make it so many pixels wide."""
        self.page.set_viewport_size({"width": width, "height": 900})

    def open(self, url: str, ready: str) -> None:
        """Go to a page and wait until something is visible."""
        # Leaves the page before: a link that differs only in its fragment would load nothing.
        self.page.goto("about:blank")
        self.page.goto(url)
        self.page.locator(ready).first.wait_for(timeout=20_000)

    def faults(self) -> list[str]:
        """The problems so far, and whether the open page is too wide."""
        found, self.problems = self.problems, []
        width = self.page.evaluate("document.documentElement.scrollWidth")
        if width > (self.page.viewport_size or {"width": 0})["width"]:
            found.append(f"the page is {width} px wide")
        return found

    def colours(self) -> tuple[float, list[str]]:
        """The luminance of the page's ground, from 0 to 1, and the texts that are too faint."""
        ground, faint = self.page.evaluate(_COLOURS)
        return ground, faint

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text[:300]}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:", "http://127.0.0.1:")):
            self.problems.append(f"leaves the machine: {request.url[:200]}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url[:200]}")


def executable() -> Path:
    """Where Chromium is.

    Where there is none the test is left out, since `make test` may ask for no more than Python,
    make and git; but the last lines of the run say so, and what to type (tests/conftest.py).
    """
    named = os.environ.get("LAKE_TEST_CHROMIUM")
    if named and not Path(named).exists():
        pytest.fail(f"LAKE_TEST_CHROMIUM is {named}, which does not exist.", pytrace=False)
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        pytest.skip(
            "there is no Chromium, so nobody knows whether the site works. Install it (Debian: "
            "apt-get install chromium), or name it: LAKE_TEST_CHROMIUM=/path/to/chromium"
        )
    return Path(found)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
