"""The lake's own runs, timed from inside: dbt until nothing waits any more.

    python -m benchmarks.lake build [dbt arguments]

Where the lake lies is in the environment, as always. dbt's start-up (imports and parsing) is not
counted. Prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from dbt.cli.main import dbtRunner

from benchmarks.harness import ask, peak_memory


def main(command: str, arguments: list[str]) -> None:
    seconds, used, rounds = 0.0, 0.0, 0
    with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence):
        runner = dbtRunner(manifest=dbtRunner().invoke(["--quiet", "parse"]).result)
        while rounds == 0 or ask("sum(backlog_files) from lakehouse.meta.feeder_cursors"):
            started = time.process_time()
            result = runner.invoke(["--quiet", command, *arguments])
            if not result.success:
                sys.exit(f"dbt {command} failed: {result.exception or 'see the log'}")
            used += time.process_time() - started
            seconds += result.result.elapsed_time
            rounds += 1
    figures = {
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "rounds": rounds,
        "peak_mb": peak_memory(),
        "total_sales": ask("sum(total_sales) from lakehouse.main.fct_sales"),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
