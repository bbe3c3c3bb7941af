"""Being told to stop: SIGTERM and SIGINT let what runs go on for a while, then end the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from lotus_lake.exits import Exit
from lotus_lake.scheduler.logs import Log


class Stop:
    """Whether somebody asked for the end, which comes ``grace`` seconds later, after
    ``last_words``. DuckLake's transactions make that safe: what has not committed was never there.
    """

    def __init__(self, log: Log, grace: float, last_words: Callable[[], None]) -> None:
        self.requested = False
        self._log = log
        self._grace = grace
        self._last_words = last_words
        self._is_asleep = False
        self._wake = threading.Event()

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_request)

    def sleep(self, seconds: float) -> None:
        """Wait, but not for longer than until somebody asks for the end."""
        self._is_asleep = True
        self._wake.wait(seconds)
        self._is_asleep = False

    def _on_request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            return
        self.requested = True
        self._wake.set()
        name = signal.Signals(number).name
        self._log.warn(f"{name}: a running build gets {self._grace:g} s; no other is begun.")
        if not self._is_asleep:
            timer = threading.Timer(self._grace, self._end)
            timer.daemon = True
            timer.start()

    def _end(self) -> None:
        try:
            self._last_words()
        finally:
            os._exit(Exit.FAILED)
