"""Run a dbt operation with arguments as NAME=VALUE, whatever is in the value (`make branch`).

Exit codes: dbt's own, 64 wrong usage.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml


def main(arguments: list[str]) -> int:
    """Run dbt, which takes arguments as YAML only."""
    name, *given = arguments
    values = dict(one.split("=", 1) for one in given if one)
    try:
        text = yaml.safe_dump(values)
    except (yaml.YAMLError, UnicodeError):
        print(f"{name}: {given} is no text in UTF-8.", file=sys.stderr)
        return 64
    dbt = str(Path(sys.executable).with_name("dbt"))
    return subprocess.call([dbt, "run-operation", "--args", text, "--", name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
