"""Shows the site to this machine."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lotus_lake.config import LakeError
from lotus_lake.pages import SERVED


class Handler(SimpleHTTPRequestHandler):
    """Serves files with the site's headers."""

    def end_headers(self) -> None:
        """Add the headers."""
        for name, value in SERVED.items():
            self.send_header(name, value)
        super().end_headers()


def serve(site: Path, port: int) -> None:
    """Show the site until Ctrl-C.

    Raises:
        LakeError: There is no site, or the port cannot be used.
    """
    if not (site / "index.html").exists():
        raise LakeError(f"There is no site in {site}: run `lake docs` first.")
    handler = partial(Handler, directory=str(site))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise LakeError(f"Port {port} cannot be used ({error}): name another.") from error
    with server:
        print(f"The site is at http://127.0.0.1:{server.server_port}/ until Ctrl-C.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
