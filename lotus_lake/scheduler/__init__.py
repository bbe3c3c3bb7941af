"""The scheduler behind ``scripts/scheduler.py``: one tick is lock, news, build, publish, alert.

Nothing here imports dbt, DuckDB or PyArrow before there is something to build: a tick with nothing
new costs less than a tenth of ``dbt --version``.
"""
