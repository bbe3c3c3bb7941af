"""Write Airbyte's catalogs from what the dbt sources declare, or check them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# So that the command also runs where the project is checked out but not installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lotus_lake.airbyte.catalog import orphans, stale_catalogs, write_catalogs
from lotus_lake.airbyte.declared import airbyte_streams, chosen, read_manifest
from lotus_lake.arguments import Parser
from lotus_lake.config import LakeError
from lotus_lake.scheduler.exits import Exit

HELP = """\
Reads dbt's manifest. `make airbyte-catalog CHECK=1` also builds a lake with only the declared
columns, on which DuckDB refuses a model that reads more.

exit codes:
   0  written, or everything is in step
  20  a catalog is stale; what differs is shown
  64  wrong usage, no manifest, or a declaration that cannot be told to Airbyte
"""


def main() -> int:
    """Write or check."""
    target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
    parser = Parser(
        description=__doc__.splitlines()[0] if __doc__ else None,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="*", help="only these sources")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is stale")
    parser.add_argument("--manifest", type=Path, default=target / "manifest.json")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("deploy/airbyte/catalogs"),
        help="folder of the catalogs (%(default)s)",
    )
    options = parser.parse_args()
    try:
        declared = airbyte_streams(read_manifest(options.manifest))
        streams = chosen(declared, options.source)
        if options.check:
            lines = stale_catalogs(streams, options.out)
            lines += [
                f"{file} belongs to no source: remove it" for file in orphans(declared, options.out)
            ]
            print(*lines, sep="\n", end="\n" * bool(lines), file=sys.stderr)
            return Exit.FAILED if lines else Exit.OK
        for file in write_catalogs(streams, options.out):
            print(file)
        for file in orphans(declared, options.out):
            file.unlink()
            print(f"{file} removed: no source declares it")
    except LakeError as error:
        print(f"airbyte-catalog: {error}", file=sys.stderr)
        return Exit.USAGE
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
