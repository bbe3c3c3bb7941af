"""The scheduler behind ``lake tick``: one tick is lock, pending changes, build, publish,
alert.

It keeps no memory of its own: what is pending follows from the lake and the landing zone alone.
Nothing here imports dbt before there is something to build.
"""
