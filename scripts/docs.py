"""Build the site of the lake (`make docs`), or show it (`make docs-serve`)."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.arguments import Parser
from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.pages import SERVED
from lotus_lake.scheduler.exits import Exit, Unreachable

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
The site needs no server and no network: guides, status, data catalog, column lineage.
`dbt docs generate` comes first; `make docs` does both.

exit codes:
   0  built, or shown until Ctrl-C
  40  the lake cannot be read, or was not built yet
  64  wrong usage or configuration, something is missing, or a guide has a fault
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves files with the site's headers."""

    def end_headers(self) -> None:
        """Add the headers."""
        for name, value in SERVED.items():
            self.send_header(name, value)
        super().end_headers()


def serve(site: Path, port: int) -> None:
    """Show the site to this machine until Ctrl-C."""
    if not (site / "index.html").exists():
        raise LakeError(f"There is no site in {site}: run `make docs` first.")
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


def main() -> int:
    """Build or show."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = Parser(
        description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", type=Path, default=target, help="dbt's folder (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder of the site (site in dbt's folder)")
    parser.add_argument("--serve", type=int, nargs="?", const=8000, metavar="PORT", help="show it")
    parser.add_argument("--status", action="store_true", help="write only the status page")
    options = parser.parse_args()
    site = options.out or options.target / "site"
    try:
        if options.serve is not None:
            serve(site, options.serve)
            return Exit.OK
        # Each takes a second to import.
        if options.status:
            from lotus_lake.site import status

            status.write(LakeConfig.from_env(), options.target / "manifest.json", site)
        else:
            from lotus_lake.site.build import build

            build(PROJECT, options.target, site)
    except LakeError as error:
        print(f"docs: {error}", file=sys.stderr)
        return Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.USAGE
    print(f"The site is in {site}: open {site}/index.html, or run make docs-serve.")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
