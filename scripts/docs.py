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

from lotus_lake.config import LakeConfig, LakeError
from lotus_lake.pages import SERVED
from lotus_lake.scheduler.exits import Exit, Unreachable

PROJECT = Path(__file__).resolve().parent.parent

HELP = """\
The site is a folder of pages that need no server and no network: the guides of docs/, the status
of the lake, dbt's catalog of the tables, and the lineage of every column. It is built from dbt's
artifacts, so `dbt docs generate` comes first; `make docs` does both.

examples:
  python scripts/docs.py                 build target/site
  python scripts/docs.py --status        make only its status page anew
  python scripts/docs.py --serve         show it on http://127.0.0.1:8000
  python scripts/docs.py --serve 8080    on another port

exit codes:
   0  built, or shown until Ctrl-C
  40  the lake cannot be read, or was not built yet
  64  wrong usage or configuration, something is missing, or a guide has a fault
"""


class Parser(argparse.ArgumentParser):
    """Exits with the project's own code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}. See --help.", file=sys.stderr)
        sys.exit(Exit.USAGE)


class Handler(SimpleHTTPRequestHandler):
    """Hands out files, and says what they may do in a browser."""

    def end_headers(self) -> None:
        """Add the site's headers to those of the file."""
        for name, value in SERVED.items():
            self.send_header(name, value)
        super().end_headers()


def serve(site: Path, port: int) -> None:
    """Show the site to this machine until Ctrl-C.

    Raises:
        LakeError: There is no site, or the port is taken.
    """
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
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", type=Path, default=target, help="dbt's folder (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder of the site (site in dbt's folder)")
    parser.add_argument(
        "--serve", type=int, nargs="?", const=8000, metavar="PORT", help="show it (on port 8000)"
    )
    parser.add_argument("--status", action="store_true", help="make only the status page anew")
    options = parser.parse_args()
    site = options.out or options.target / "site"
    try:
        if options.serve is not None:
            serve(site, options.serve)
            return Exit.OK
        # Each takes a second to import, which nobody waits for who only looks.
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
