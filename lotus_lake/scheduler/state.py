"""What the scheduler remembers between ticks: one small JSON document beside the lake's data.

With a PostgreSQL catalog the catalog's database holds a copy: whichever of the two can be reached
knows how things stood, so that an outage of the other makes one alert and not one every tick.
Losing the memory loses nothing but time: the next tick builds everything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lotus_lake import s3
from lotus_lake.config import LakeConfig, LakeError, is_s3, local_path
from lotus_lake.scheduler.catalog import Catalog
from lotus_lake.scheduler.exits import Unreachable
from lotus_lake.scheduler.store import open_store

if TYPE_CHECKING:
    from concurrent.futures import Future

_VERSION = 1
_NAME = "scheduler.json"


class State:
    """The scheduler's memory.

    Args:
        config: Where the lake lies.

    Attributes:
        data: The document; empty before the first tick.
    """

    def __init__(self, config: LakeConfig) -> None:
        self._store = open_store(_beside(config.data_url))
        self._first: Future[Any] | None = None
        if is_s3(config.data_url):
            from concurrent.futures import ThreadPoolExecutor

            # The answer comes while the catalog is opened.
            self._first = ThreadPoolExecutor(1).submit(self._read)
        self.data: dict[str, Any] = {}

    def load(self, catalog: Catalog | None) -> list[str]:
        """Read the newest of the copies that can be reached.

        Args:
            catalog: The catalog, or None when it is away.

        Returns:
            What cannot be read, one line each.
        """
        found: list[Any] = []
        problems = []
        try:
            first, self._first = self._first, None
            found.append(first.result() if first else self._read())
        except (LakeError, ValueError) as error:
            problems.append(f"The scheduler's memory {self._store.url}{_NAME}: {error}")
        if catalog:
            try:
                found.append(catalog.load() or {})
            except (Unreachable, ValueError) as error:
                problems.append(f"The copy of the scheduler's memory in the catalog: {error}")
        usable = [
            data for data in found if isinstance(data, dict) and data.get("version") == _VERSION
        ]
        self.data = max(usable, key=lambda data: int(data.get("revision", 0)), default={})
        return problems

    def _read(self) -> Any:
        text = self._store.read(_NAME)
        return json.loads(text) if text else {}

    def save(self, catalog: Catalog | None) -> list[str]:
        """Write every copy that can be reached; return what cannot be written, one line each."""
        self.data |= {"version": _VERSION, "revision": int(self.data.get("revision", 0)) + 1}
        problems = []
        try:
            self._store.write(_NAME, json.dumps(self.data, indent=1).encode())
        except LakeError as error:
            problems.append(f"The scheduler's memory was not written: {error}")
        if catalog:
            try:
                catalog.save(self.data)
            except Unreachable as error:
                problems.append(f"The copy of the scheduler's memory was not written: {error}")
        return problems


def _beside(data_url: str) -> str:
    """The folder that holds the data path; a bucket's top is beside nothing, so it is the place."""
    if not is_s3(data_url):
        return str(local_path(data_url).resolve().parent)
    bucket, prefix = s3.split_url(data_url)
    above = prefix.rstrip("/").rpartition("/")[0]
    return f"s3://{bucket}/{above}"
