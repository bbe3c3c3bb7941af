"""An S3 server's bad days: an HTTP proxy that is slow, refuses, answers 503, or cuts answers off.

with proxy(s3.endpoint) as between:
    between.fault = lambda request: Cut() if request.path.endswith(".parquet") else None
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_UNAVAILABLE = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code>"
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    """What a client asks for; the path is bucket and key, with the query."""

    method: str
    path: str


@dataclass(frozen=True)
class Unavailable:
    """Answer 503 and do nothing."""


@dataclass(frozen=True)
class Drop:
    """Reset the connection without an answer."""


@dataclass(frozen=True)
class Slow:
    """Answer as the server does, but so many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """Send half of the body, announced as whole, and close the connection."""


Fault = Unavailable | Drop | Slow | Cut


@dataclass
class Proxy:
    """The proxy.

    Args:
        endpoint: What clients have to use.
        fault: What goes wrong with a request; None is nothing.
        requests: How many there were.
        hit: The requests that something went wrong with.
    """

    endpoint: str
    fault: Callable[[Request], Fault | None] = lambda request: None
    requests: int = 0
    hit: list[Request] = field(default_factory=list)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.fault = lambda request: None
        self.hit.clear()


@contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """Start a proxy before an S3 server, and stop it at the end."""
    behind = urlsplit(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path)
            between.requests += 1
            fault = between.fault(request)
            if fault:
                between.hit.append(request)
            match fault:
                case Drop():
                    return self.reset()
                case Unavailable():
                    return self.answer(503, [("Content-Type", "application/xml")], _UNAVAILABLE)
                case Slow(seconds):
                    time.sleep(seconds)
            status, headers, content = self.ask(body)
            if isinstance(fault, Cut) and content:
                self.answer(status, headers, content[: len(content) // 2], len(content))
                self.close_connection = True
                return None
            return self.answer(status, headers, content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

        def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            backend = http.client.HTTPConnection(str(behind.hostname), behind.port, timeout=60)
            with closing(backend):
                # The client's own headers, Host included: they are signed.
                backend.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    backend.putheader(name, value)
                backend.endheaders(body)
                answer = backend.getresponse()
                return answer.status, answer.getheaders(), answer.read()

        def answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            length: int | None = None,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = int(value)
                elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def reset(self) -> None:
            self.close_connection = True
            # Without lingering: what the client gets is a reset, not an end.
            with suppress(OSError):
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.connection.close()

        def handle(self) -> None:
            with suppress(OSError):  # clients that were killed
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    listening = Server(("127.0.0.1", 0), Handler)
    between = Proxy(f"http://127.0.0.1:{listening.server_port}")
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield between
    finally:
        listening.shutdown()
        listening.server_close()
