"""The example of docs/dlt.md: from an HTTP server to a table, through the landing zone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system import services
from tests.system.lake import PROJECT, Lake
from tests.system.test_discover import DISCOVER
from tests.system.test_recipes import Copy


def publish(api: Path, url: str, rates: list[dict[str, Any]]) -> None:
    """What the API answers with: pages of two rates, each with the address of the next."""
    pages = [rates[first : first + 2] for first in range(0, len(rates), 2)]
    for number, page in enumerate(pages):
        following = f"{url}{number + 1}" if number + 1 < len(pages) else None
        answer = json.dumps({"rates": page, "next": following})
        (api / f"rates{number or ''}").write_text(answer)


def rate(currency: str, value: float, updated: str) -> dict[str, Any]:
    """A rate of the first of February."""
    return {
        "id": f"2025-02-01 {currency}",
        "day": "2025-02-01",
        "currency": currency,
        "rate": value,
        "updated_at": f"2025-02-{updated}:00Z",
    }


@pytest.mark.nightly
def test_rates_of_an_api(new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """Three pages land and are a table; a rate that changes, and comes again, is there once."""
    copy = Copy(tmp_path / "project", new_lake("rates"))
    api, port = tmp_path / "api", services.free_port()
    api.mkdir()
    url = f"http://127.0.0.1:{port}/rates"
    copy.environment |= {
        "RATES_URL": url,
        "LAKE_LANDING_URL": str(copy.lake.landing),
        "DLT_DATA_DIR": str(tmp_path / "dlt"),
    }
    address = (str(port), "--bind", "127.0.0.1", "--directory", str(api))
    with services.running([sys.executable, "-m", "http.server", *address], tmp_path, {}, port):
        follow(copy, api, url)
    asked = re.findall(r"updated_since=(\S+)", (tmp_path / "log").read_text())
    assert asked[0].startswith("2020") and asked[-1].startswith("2025-02-01T12:00")


def follow(copy: Copy, api: Path, url: str) -> None:
    """The steps of the guide."""
    land = f"{sys.executable} {PROJECT / 'examples/exchange_rates.py'}"
    table = "select currency, rate from int_rates__daily order by currency"

    names = ("CHF", "EUR", "GBP", "JPY", "USD")
    rates = [rate(name, place, "01T12:00") for place, name in enumerate(names, 1)]
    publish(api, url, rates)
    assert "RATES_URL is not set" in copy.run(f"RATES_URL= {land} 2>&1  # has to fail")
    copy.run(land)
    assert "key id, newest by updated_at" in copy.run(f"{DISCOVER} --add rates.daily")
    copy.run("dbt build --select stg_rates__daily+")
    assert copy.lake.query(table) == [(name, place) for place, name in enumerate(names, 1)]

    # Asked for what changed since, the API sends the same rates again, and one that changed.
    rates[1] = rate("EUR", 1.0834, "02T12:00")
    publish(api, url, [*rates, rate("SEK", 0.5, "02T12:00")])
    copy.run(land)
    copy.run("dbt build --select stg_rates__daily+")
    assert dict(copy.lake.query(table)) == {
        **{name: place for place, name in enumerate(names, 1)},
        **{"EUR": 1.0834, "SEK": 0.5},
    }
    staged = copy.lake.value("select count(*) from staging.stg_rates__daily")
    assert isinstance(staged, int) and staged >= len(names) + 2
    printed = copy.run("python -m lotus_lake reconcile rates")
    assert "Landing, ledger, files and staging agree." in printed
