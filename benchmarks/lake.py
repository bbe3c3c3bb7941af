"""The lake's own runs, timed from inside: dbt until nothing waits any more.

    python -m benchmarks.lake build [dbt arguments]

Where the lake lies is in the environment, as always. dbt's start-up (imports and parsing) is not
counted. Prints one line of JSON: seconds, rounds, snapshots, peak_mb.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from dbt.cli.main import dbtRunner

from benchmarks.memory import peak_memory
from lotus_lake.config import LakeConfig
from lotus_lake.connection import connect


def main(command: str, arguments: list[str]) -> None:
    """Run rounds until the backlog is empty, and say how long they took."""
    seconds, rounds = 0.0, 0
    with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence):
        runner = dbtRunner()
        manifest = runner.invoke(["--quiet", "parse"]).result
        runner = dbtRunner(manifest=manifest)
        while rounds == 0 or waiting():
            result = runner.invoke(["--quiet", command, *arguments])
            if not result.success:
                sys.exit(f"dbt {command} failed: {result.exception or 'see the log'}")
            seconds += result.result.elapsed_time
            rounds += 1
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "rounds": rounds,
                "peak_mb": peak_memory(),
            }
        )
    )


def waiting() -> int:
    """Files that the last run left for the next one."""
    connection = connect(LakeConfig.from_env())
    found = connection.execute(
        "select sum(backlog_files) from lakehouse.meta.feeder_cursors"
    ).fetchone()
    connection.close()
    return int(found[0]) if found else 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
