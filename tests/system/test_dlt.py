"""The example of docs/dlt.md: from an HTTP server to a table, through the landing zone."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.system.lake import PROJECT, Lake
from tests.system.test_discover import DISCOVER
from tests.system.test_recipes import Copy


class Rates(ThreadingHTTPServer):
    """An API with rates, two on a page; from when on it was ``asked`` for changes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rates: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/rates"


class _Handler(BaseHTTPRequestHandler):
    server: Rates

    def do_GET(self) -> None:
        query = {name: one[0] for name, one in parse_qs(urlsplit(self.path).query).items()}
        since, first = query["updated_since"], int(query.get("first", 0))
        self.server.asked.append(since)
        rates = [one for one in self.server.rates if one["updated_at"] >= since]
        following = f"{self.server.url}?updated_since={since}&first={first + 2}"
        answer = {
            "rates": rates[first : first + 2],
            "next": following if len(rates) > first + 2 else None,
        }
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Rates]:
    with Rates() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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
def test_rates_of_an_api(server: Rates, new_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """Three pages land and are a table; a rate that changes, and comes again, is there once."""
    copy = Copy(tmp_path / "project", new_lake("rates"))
    copy.environment |= {
        "RATES_URL": server.url,
        "LAKE_LANDING_URL": str(copy.lake.landing),
        "DLT_DATA_DIR": str(tmp_path / "dlt"),
    }
    land = f"{sys.executable} {PROJECT / 'examples/exchange_rates.py'}"
    table = "select currency, rate from int_rates__daily order by currency"

    names = ("CHF", "EUR", "GBP", "JPY", "USD")
    server.rates = [rate(name, place, "01T12:00") for place, name in enumerate(names, 1)]
    assert "RATES_URL is not set" in copy.run(f"RATES_URL= {land} 2>&1  # has to fail")
    copy.run(land)
    copy.run("dbt --quiet parse")
    assert "key id, newest by updated_at" in copy.run(f"{DISCOVER} --add rates.daily")
    copy.run("dbt build --select stg_rates__daily+")
    assert copy.lake.query(table) == [(name, place) for place, name in enumerate(names, 1)]

    # Asked for what changed since, the API sends the same rates again, and one that changed.
    server.rates[1] = rate("EUR", 1.0834, "02T12:00")
    server.rates.append(rate("SEK", 0.5, "02T12:00"))
    copy.run(land)
    copy.run("dbt build --select stg_rates__daily+")
    assert dict(copy.lake.query(table)) == {
        **{name: place for place, name in enumerate(names, 1)},
        **{"EUR": 1.0834, "SEK": 0.5},
    }
    assert server.asked[0].startswith("2020") and server.asked[-1].startswith("2025-02-01T12:00")
    staged = copy.lake.value("select count(*) from staging.stg_rates__daily")
    assert isinstance(staged, int) and staged >= len(names) + 2
    printed = copy.run("dbt run-operation reconcile --args '{source: rates}'")
    assert "Landing, ledger, files and staging agree." in printed
