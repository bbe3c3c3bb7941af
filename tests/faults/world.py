"""What a fault must leave: checks, and ticks that are killed."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system import services
from tests.system.scheduling import Done, Running, Ticks
from tests.system.small_project import Shop


def ticks_of(shop: Shop) -> Ticks:
    """Schedulers over a lake, whose clients give up soon enough for a test."""
    return Ticks(shop.lake, {"AWS_MAX_ATTEMPTS": "3", "PGCONNECT_TIMEOUT": "3"})


def assert_consistent(shop: Shop) -> None:
    """Right after a fault: nothing half-written, nothing doubled, nothing good in quarantine."""
    assert not shop.lake.wrong_counts()
    assert not shop.lake.quarantined()


def assert_whole(shop: Shop) -> None:
    """Everything is fed once, every table is what the files make it; reconcile is clean."""
    assert_consistent(shop)
    shop.assert_whole()
    build = shop.lake.command("reconcile")
    assert build.code == 0, build
    assert "Landing, ledger, files and staging agree" in build.output


def assert_heals(ticks: Ticks, shop: Shop) -> None:
    """The next tick ends well and leaves the lake whole."""
    ticks.run()
    assert_whole(shop)


def assert_told(done: Done, code: int, *words: str) -> None:
    """It ended with a code, and one line names the thing, says what to do, and hides no secret."""
    assert done.code == code, done.output
    line = done.lines[-1]
    assert f"(exit code {code}" in line, done.output
    assert any(word in line for word in words) or not words, line
    assert re.search(r"Type: |Check |Free |wait for its end|report", line), line
    assert "Traceback" not in done.output, done.output
    for secret in (services.PG_PASSWORD, services.S3_SECRET):
        assert secret not in done.output


@dataclass
class Killer:
    """Ends ticks with SIGKILL, at moments that are spread over a whole tick.

    A moment is a line that the tick prints, and a time after it: on a machine that is slow today
    the kills still reach the end.

    Args:
        ticks: Whose ticks.
        seed: Of the moments.
    """

    ticks: Ticks
    seed: int
    phases: list[str] = field(default_factory=list)
    _lines: list[float] = field(default_factory=list)  # seconds at which each was printed
    _starting: tuple[float, float] = (0, 0)
    _feeding: tuple[float, float] = (0, 0)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def watch(self, *arguments: str) -> Done:
        """Let one tick end, and remember when it printed what."""
        running = self.ticks.start(*arguments)
        while running.process.is_alive():
            self._lines += [_now(running)] * (_lines(running) - len(self._lines))
            time.sleep(0.01)
        done = running.wait()
        told = list(zip(self._lines, done.output.splitlines(), strict=False))

        def at(what: str) -> list[float]:
            return [seconds for seconds, line in told if what in line]

        feeds = at("python feed model")
        self._feeding = feeds[0], feeds[-1]
        self._starting = at("Running with dbt")[0], at("START hook: lotus_lake.on-run-start")[0]
        return done

    def moments(self, count: int) -> Sequence[float]:
        """Seconds of a tick, in any order.

        One at random in each of so many parts: a tenth are parts of the short while in which dbt
        starts, four tenths of that in which it feeds, and the others of the whole tick.
        """
        starting, feeding = count // 10, count * 4 // 10
        found = self._spread(starting, *self._starting)
        found += self._spread(feeding, *self._feeding)
        found += self._spread(count - starting - feeding, 0, self._lines[-1] + 0.1)
        self._random.shuffle(found)
        return found

    def _spread(self, count: int, begin: float, end: float) -> list[float]:
        parts = (part + self._random.random() for part in range(count))
        return [begin + (end - begin) * part / count for part in parts]

    def kill(self, moment: float) -> bool:
        """Start a tick and kill it; false when it ended before.

        Args:
            moment: When, in seconds of the tick that was watched.
        """
        running = self.ticks.start()
        seen = [seconds for seconds in self._lines if seconds <= moment]
        while _lines(running) < len(seen) and running.process.is_alive():
            time.sleep(0.005)
        running.process.join(moment - (seen[-1] if seen else 0))
        running.signal(signal.SIGKILL)
        done = running.wait()
        if done.code != -signal.SIGKILL:
            # Its predecessor's last statement may still run in the server, lock and all.
            assert done.code in (0, 30), done.output
            return False
        self.phases.append(phase(done.output))
        return True

    @property
    def told(self) -> str:
        """What was hit, for the report of a test."""
        counts = {name: self.phases.count(name) for name in sorted(set(self.phases))}
        return f"LAKE_TEST_SEED={self.seed}: {len(self.phases)} kills, in {counts}"


def phase(output: str) -> str:
    """What a tick did when its output ended."""
    if "Running with dbt" not in output:
        return "1 looking"
    if "START hook: lotus_lake.on-run-start" not in output:
        return "2 dbt starting"
    if "Done. PASS" in output:
        return "7 after dbt"
    steps = re.findall(r"(START (?:hook|python|sql|seed|snapshot)|PASS \w)", output)
    return {
        "START hook": "3 hooks",
        "START python": "4 feeding",
        "START sql": "5 models",
    }.get(steps[-1], "6 tests, seeds and snapshots")


def _lines(running: Running) -> int:
    return running.text().count("\n")


def _now(running: Running) -> float:
    return time.monotonic() - running.started
