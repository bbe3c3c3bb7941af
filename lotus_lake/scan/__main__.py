"""The process that scans landed files; ``lotus_lake.probe`` starts it."""

import sys

from lotus_lake.scan.worker import serve

serve(int(sys.argv[1]))
