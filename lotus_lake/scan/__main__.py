"""The process that scans landed files; ``lotus_lake.probe`` starts it."""

from lotus_lake.scan.worker import serve

serve()
