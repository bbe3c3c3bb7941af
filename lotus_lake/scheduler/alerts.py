"""One message to a webhook when things turn bad, and one when they are good again.

The only thing that a tick leaves for the next one: the open incident, a small file beside the
lake's data, where it can be read while the catalog cannot. Without a webhook there is none.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.escaping import markdown
from lotus_lake.exits import Exit
from lotus_lake.scheduler.logs import Log
from lotus_lake.scheduler.store import beside

_NAME = "incident.json"

# Seconds that a webhook may take.
_PATIENCE = 5


@dataclass(frozen=True)
class Report:
    code: Exit
    reason: str  # what is wrong, or what was done, in one line
    command: str = "lake tick --dry-run"
    streams: list[str] = field(default_factory=list)  # that something is wrong with
    idle: bool = False  # nothing was built


class Alerts:
    """Tells a webhook, whose URL is a secret; None tells nobody."""

    def __init__(self, webhook: str | None, config: LakeConfig, log: Log) -> None:
        self._webhook = webhook
        self._config = config
        self._log = log
        self._incident: dict[str, Any] | None = None

    def tell(self, report: Report, quarantined: Callable[[], list[str]]) -> None:
        """Send a message when this is another state than the last alert's; ``quarantined`` gives
        the streams with files that are still in quarantine."""
        if not self._webhook or report.code == Exit.LOCKED:
            return
        try:
            self._incident = json.loads(beside(self._config.data_url).read(_NAME) or b"null")
        except (LakeError, ValueError) as error:
            self._log.warn(f"What was told last is unknown: {error}")
        incident = self._incident
        if report.code == Exit.OK and incident:
            if streams := quarantined():
                # A tick that ends well does not empty the quarantine.
                reason = "Files are still in quarantine."
                report = Report(Exit.PARTIAL, reason, "lake status", streams)
            elif report.idle and incident["code"] == Exit.PARTIAL and not incident["streams"]:
                return  # a test warned: only a build can say that it is over
        if not _is_other(report, incident):
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        message = {
            "text": _text(report, incident),
            "status": "bad" if report.code else "good",
            "exit_code": int(report.code),
            "streams": report.streams,
            "reason": report.reason,
            "command": report.command,
            "host": platform.node(),
            "tick_id": self._log.tick_id,
            "time": now,
        }
        if problem := _post(self._webhook, message):
            self._log.warn(f"LAKE_ALERT_WEBHOOK: {problem}. The next tick tries again.")
            return
        opened = {"code": int(report.code), "streams": report.streams, "since": now}
        self._incident = opened if report.code else None
        try:
            beside(self._config.data_url).write(_NAME, json.dumps(self._incident).encode())
        except LakeError as error:
            self._log.warn(f"The next tick will tell this again: {error}")


def _is_other(report: Report, incident: dict[str, Any] | None) -> bool:
    """Whether this is another state than the last alert's: bad stays bad, so it is told once."""
    if not incident:
        return report.code != Exit.OK
    if report.code != incident["code"]:
        return True
    return report.code == Exit.PARTIAL and not set(report.streams) <= set(incident["streams"])


def _text(report: Report, incident: dict[str, Any] | None) -> str:
    """The message for people, as Slack and Mattermost show it."""
    host = platform.node()
    if incident and not report.code:
        was = f"It was bad with exit code {incident['code']} since {incident['since']}."
        return f"lotus-lake on {host}: good again. {markdown(report.reason)} ({was})"
    about = f" {', '.join(map(markdown, report.streams))}:" if report.streams else ""
    return (
        f"lotus-lake on {host}: {report.code.meaning} (exit code {int(report.code)})."
        f"{about} {markdown(report.reason)} Type: {markdown(report.command)}"
    )


def _post(url: str, payload: dict[str, Any]) -> str | None:
    """Send a message; return what went wrong, without the URL, which is a secret; or None."""
    import urllib.error
    import urllib.request

    try:
        request = urllib.request.Request(
            url,
            data=json.dumps(payload).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "lotus-lake"},
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            return None
    except urllib.error.HTTPError as error:
        return f"it answered with status {error.code}"
    except TimeoutError:
        return f"it did not answer within {_PATIENCE} seconds"
    except Exception as error:  # whatever a wrong URL or a strange server can lead to
        return f"it cannot be reached ({type(error).__name__})"
