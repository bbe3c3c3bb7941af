"""``python -m lotus_lake``: the command ``lake``."""

from lotus_lake.cli import main

main()
