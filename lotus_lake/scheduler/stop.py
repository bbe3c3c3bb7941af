"""Being told to stop: SIGTERM and SIGINT let a running build finish for a while, then end it."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from lotus_lake.exits import Exit
from lotus_lake.scheduler.logs import Log

if sys.platform == "win32":
    _ALARM = signal.SIGBREAK
else:
    _ALARM = signal.SIGALRM
# Seconds that an interrupted build gets to roll back before the process ends itself.
_ROLL_BACK = 3.0

CUT_SHORT = (
    "The build was cut short. Nothing is half-written: what had not committed is not in the lake, "
    "and the next tick goes on from there."
)


class Stop:
    """Whether somebody asked for the end, and whether a build was cut short for it.

    A running build gets ``grace`` seconds to finish.
    """

    def __init__(self, log: Log, grace: float) -> None:
        self.requested = False
        self.is_interrupted = False
        self._log = log
        self._grace = grace
        self._interrupt: BaseException | None = None  # what ends that which runs
        self._wake = threading.Event()
        self._timer: threading.Timer | None = None

    def listen(self) -> None:
        """Handle the signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_request)
        signal.signal(_ALARM, self._on_time_out)

    def sleep(self, seconds: float) -> None:
        """Wait, but not for longer than until somebody asks for the end."""
        self._wake.wait(seconds)

    @contextlib.contextmanager
    def build(self, interrupt: BaseException) -> Iterator[None]:
        """While something runs that is given time, and then ended by an exception."""
        self._interrupt = interrupt
        if self.requested:
            self._alarm_after(self._grace)
        try:
            yield
        finally:
            self._interrupt = None
            self._alarm_after(None)

    def _on_request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            return
        self.requested = True
        self._wake.set()
        name = signal.Signals(number).name
        self._log.warn(f"{name}: a running build gets {self._grace:g} s; no other is begun.")
        if self._interrupt:
            self._alarm_after(self._grace)

    def _alarm_after(self, seconds: float | None) -> None:
        """Have ``_on_time_out`` called in the main thread; with None, never."""
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0 if seconds is None else max(seconds, 0.001))
            return
        if self._timer:
            self._timer.cancel()
        if seconds is not None:
            self._timer = threading.Timer(seconds, _thread.interrupt_main, [_ALARM])
            self._timer.daemon = True
            self._timer.start()

    def _on_time_out(self, number: int, frame: FrameType | None) -> None:
        if not self._interrupt:
            return
        if not self.is_interrupted:
            self.is_interrupted = True
            self._alarm_after(_ROLL_BACK)
            self._log.warn("The time to finish is over: the build is cut short and rolls back.")
            raise self._interrupt
        # DuckLake's transactions make this safe: what has not committed was never there.
        self._log.error(CUT_SHORT, exit_code=int(Exit.FAILED))
        os._exit(Exit.FAILED)
