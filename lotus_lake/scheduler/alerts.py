"""One message to a webhook when things turn bad, or good again."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lotus_lake.escaping import markdown
from lotus_lake.scheduler.exits import Exit

# Seconds that a webhook may take.
_PATIENCE = 5


@dataclass(frozen=True)
class Condition:
    """How things stand after a tick.

    Args:
        code: The exit code that says it; OK is good, all others are bad.
        streams: The streams that it is about.
        reason: What happened, in one line.
        command: What to type.
    """

    code: Exit
    streams: list[str] = field(default_factory=list)
    reason: str = ""
    command: str = ""

    def worth_telling(self, told: dict[str, Any] | None) -> bool:
        """Whether this is another state than the one that was told last.

        Bad stays bad, so it is told once; bad in another way, or in another stream, is news.

        Args:
            told: What ``remembered`` gave then, or None when nothing was ever told.
        """
        if not told:
            return self.code != Exit.OK
        if self.code == Exit.OK or self.code != told["code"]:
            return bool(self.code != told["code"])
        return self.code == Exit.PARTIAL and not set(self.streams) <= set(told["streams"])

    def remembered(self) -> dict[str, Any]:
        """What to keep of it."""
        return {
            "code": int(self.code),
            "streams": self.streams,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def payload(self, told: dict[str, Any] | None, tick_id: str) -> dict[str, Any]:
        """The message, as Slack and Mattermost take it, with fields for others."""
        host = os.uname().nodename
        if self.code == Exit.OK:
            text = f"lotus-lake on {host}: good again. {markdown(self.reason)}"
            if told:
                text += f" (It was bad with exit code {told['code']} since {told['since']}.)"
        else:
            about = f" {', '.join(map(markdown, self.streams))}:" if self.streams else ""
            text = (
                f"lotus-lake on {host}: {self.code.meaning} (exit code {int(self.code)})."
                f"{about} {markdown(self.reason)} Type: {markdown(self.command)}"
            )
        return {
            "text": text,
            "status": "good" if self.code == Exit.OK else "bad",
            "exit_code": int(self.code),
            "streams": self.streams,
            "reason": self.reason,
            "command": self.command,
            "host": host,
            "tick_id": tick_id,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def post(url: str, payload: dict[str, Any]) -> str | None:
    """Send a message; return what went wrong, without the URL, which is a secret; or None."""
    outcome = [f"it did not answer within {_PATIENCE} seconds"]

    def send() -> None:
        import urllib.error
        import urllib.request

        try:
            request = urllib.request.Request(
                url,
                data=json.dumps(payload).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "lotus-lake"},
            )
            with urllib.request.urlopen(request, timeout=_PATIENCE):
                outcome[0] = ""
        except urllib.error.HTTPError as error:
            outcome[0] = f"it answered with status {error.code}"
        except TimeoutError:
            pass
        except Exception as error:  # whatever a wrong URL or a strange server can lead to
            outcome[0] = f"it cannot be reached ({type(error).__name__})"

    # A server that sends a byte now and then outlasts every time-out of a socket.
    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    sending.join(_PATIENCE + 0.5)
    return outcome[0] or None
